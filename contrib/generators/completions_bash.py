"""What the completions for bash have besides shtab's: functions for values, and one around all of it."""

from collections.abc import Mapping
from string import Template

from .completions_words import Words

# shtab's function reads options and values as words of their own, but bash parts a line at = and :.
AROUND = r"""
_${program}() {
  # --depth=kex comes as three words, early_close=50 too: put together what no blank parts, then give shtab's function
  # the option and the value as two.
  local rest=$${COMP_LINE:0:COMP_POINT} part before="" word at
  local -a joined=() parted=()
  for part in "$${COMP_WORDS[@]:0:COMP_CWORD}" ""; do
    if [[ $${#joined[@]} -eq 0 || $$rest == [[:blank:]]* || ! $$before$${rest:0:1} =~ [=:@] ]]; then
      rest=$${rest#"$${rest%%[![:blank:]]*}"}
      joined+=("$$part")
    else
      joined[-1]+=$$part
    fi
    rest=$${rest#"$$part"}
    before=$$part
  done
  joined[-1]+=$$rest  # up to the cursor
  for word in "$${joined[@]}"; do
    if [[ $$word == --*=* ]]; then
      parted+=("$${word%%=*}" "$${word#*=}")
    else
      parted+=("$$word")
    fi
  done
  local typed=$${joined[-1]} value=$${parted[-1]}
  local -a COMP_WORDS=("$${parted[@]}")
  local COMP_CWORD=$$(($${#parted[@]} - 1))
  _shtab_${program}
  # readline keeps what stands before the last = or : and puts the answer behind it.
  local breaks=$${COMP_WORDBREAKS//[^=:@]/}
  local kept=$${typed%"$${typed##*[$$breaks ]}"} option=$${typed%"$$value"}
  for at in "$${!COMPREPLY[@]}"; do
    word=$$option$${COMPREPLY[at]}
    COMPREPLY[at]=$${word#"$$kept"}
  done
  [[ $${#COMPREPLY[@]} -eq 1 && $${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}

_${program}_files() {
  compgen -f -- "$$1"
}
"""
USERS = r"""
_${program}_users() {
  compgen -u -- "$$1"
}
"""
# What /etc/hosts names, and what ssh has met; hashed names cannot be offered.
HOSTS = r"""
_${program}_hosts() {
  local file line name
  local -a met=() names=()
  for file in ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts; do
    [[ -r $$file ]] || continue
    while read -r line _; do
      IFS=, read -ra met <<<"$$line"
      for name in "$${met[@]}"; do
        [[ $$name == [\#\|@\[!]* || $$name == *[*?]* ]] || names+=("$$name")
      done
    done <"$$file"
  done
  {
    compgen -A hostname -- "$$1"
    compgen -W "$${names[*]}" -- "$$1"
  } | sort -u
}
"""
ONE_WORD = r"""
_${program}_${kind}() {
  compgen -W "${words}" -- "$$1"
}
"""
LIST = r"""
_${program}_${kind}() {
  # A list with commas: the words before the last comma stay.
  local kept=$${1%"$${1##*,}"}
  compgen -P "$$kept" -W "${words}" -- "$${1##*,}"
}
"""
PAIRS = r"""
_${program}_${kind}() {
  # A list with commas of WORD=VALUE: the pairs before the last comma stay.
  local kept=$${1%"$${1##*,}"} pair=$${1##*,}
  if [[ $$pair == *=* ]]; then
    compgen -P "$$kept$${pair%%=*}=" -W "${values}" -- "$${pair#*=}"
  else
    compgen -P "$$kept" -S = -W "${words}" -- "$$pair"
  fi
}
"""


def preamble(program: str, words: Mapping[str, Words]) -> str:
    """Return the functions of a program."""
    found = [Template(text).substitute(program=program) for text in (AROUND, USERS, HOSTS)]
    for kind, one in words.items():
        text = LIST if one.is_list else ONE_WORD
        text = text if one.values is None else PAIRS
        found.append(
            Template(text).substitute(
                program=program, kind=kind, words=" ".join(one.words), values=" ".join(one.values or ())
            )
        )
    return "".join(found)
