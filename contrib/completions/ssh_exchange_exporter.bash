# Completion of ssh_exchange_exporter for bash: `make contrib` writes it with shtab, https://github.com/tqdm/shtab
# (Apache License 2.0). README.md beside it says where it goes.

_shtab_ssh_exchange_exporter_option_strings=(-h --help --config.file --config.check --web.listen-address --web.config.file --web.systemd-socket --timeout-offset --history.limit --shard --log.level --log.format --version)

_shtab_ssh_exchange_exporter___config_file_COMPGEN=_ssh_exchange_exporter_files
_shtab_ssh_exchange_exporter___web_config_file_COMPGEN=_ssh_exchange_exporter_files

_shtab_ssh_exchange_exporter___log_level_choices=(debug info warn error)
_shtab_ssh_exchange_exporter___log_format_choices=(logfmt json)

_shtab_ssh_exchange_exporter__h_nargs=0
_shtab_ssh_exchange_exporter___help_nargs=0
_shtab_ssh_exchange_exporter___config_check_nargs=0
_shtab_ssh_exchange_exporter___web_systemd_socket_nargs=0
_shtab_ssh_exchange_exporter___version_nargs=0

# Custom Preamble

_ssh_exchange_exporter() {
  # --depth=kex comes as three words, early_close=50 too: put together what no blank parts, then give shtab's function
  # the option and the value as two.
  local rest=${COMP_LINE:0:COMP_POINT} part before="" word at
  local -a joined=() parted=()
  for part in "${COMP_WORDS[@]:0:COMP_CWORD}" ""; do
    if [[ ${#joined[@]} -eq 0 || $rest == [[:blank:]]* || ! $before${rest:0:1} =~ [=:@] ]]; then
      rest=${rest#"${rest%%[![:blank:]]*}"}
      joined+=("$part")
    else
      joined[-1]+=$part
    fi
    rest=${rest#"$part"}
    before=$part
  done
  joined[-1]+=$rest  # up to the cursor
  for word in "${joined[@]}"; do
    if [[ $word == --*=* ]]; then
      parted+=("${word%%=*}" "${word#*=}")
    else
      parted+=("$word")
    fi
  done
  local typed=${joined[-1]} value=${parted[-1]}
  local -a COMP_WORDS=("${parted[@]}")
  local COMP_CWORD=$((${#parted[@]} - 1))
  _shtab_ssh_exchange_exporter
  # readline keeps what stands before the last = or : and puts the answer behind it.
  local breaks=${COMP_WORDBREAKS//[^=:@]/}
  local kept=${typed%"${typed##*[$breaks ]}"} option=${typed%"$value"}
  for at in "${!COMPREPLY[@]}"; do
    word=$option${COMPREPLY[at]}
    COMPREPLY[at]=${word#"$kept"}
  done
  [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
  return 0
}

_ssh_exchange_exporter_files() {
  compgen -f -- "$1"
}

_ssh_exchange_exporter_users() {
  compgen -u -- "$1"
}

_ssh_exchange_exporter_hosts() {
  local file line name
  local -a met=() names=()
  for file in ~/.ssh/known_hosts /etc/ssh/ssh_known_hosts; do
    [[ -r $file ]] || continue
    while read -r line _; do
      IFS=, read -ra met <<<"$line"
      for name in "${met[@]}"; do
        [[ $name == [\#\|@\[!]* || $name == *[*?]* ]] || names+=("$name")
      done
    done <"$file"
  done
  {
    compgen -A hostname -- "$1"
    compgen -W "${names[*]}" -- "$1"
  } | sort -u
}

# End Custom Preamble

# $1=COMP_WORDS[1]
_ssh_exchange_exporter_shtab_compgen_files() {
  compgen -f -- $1  # files
}

# $1=COMP_WORDS[1]
_ssh_exchange_exporter_shtab_compgen_dirs() {
  compgen -d -- $1  # recurse into subdirs
}

# $1=COMP_WORDS[1]
_ssh_exchange_exporter_shtab_replace_nonword() {
  echo "${1//[^[:word:]]/_}"
}

# set default values (called for the initial parser & any subparsers)
_ssh_exchange_exporter_set_parser_defaults() {
  local subparsers_var="${prefix}_subparsers[@]"
  sub_parsers=${!subparsers_var-}

  local current_option_strings_var="${prefix}_option_strings[@]"
  current_option_strings=${!current_option_strings_var}

  completed_positional_actions=0

  _ssh_exchange_exporter_set_new_action "pos_$completed_positional_actions" true
}

# $1=action identifier
# $2=positional action (bool)
# set all identifiers for an action's parameters
_ssh_exchange_exporter_set_new_action() {
  current_action="${prefix}_$(_ssh_exchange_exporter_shtab_replace_nonword $1)"

  local current_action_compgen_var=${current_action}_COMPGEN
  current_action_compgen="${!current_action_compgen_var-}"

  local current_action_choices_var="${current_action}_choices[@]"
  current_action_choices="${!current_action_choices_var-}"

  local current_action_nargs_var="${current_action}_nargs"
  if [ -n "${!current_action_nargs_var-}" ]; then
    current_action_nargs="${!current_action_nargs_var}"
  else
    current_action_nargs=1
  fi

  current_action_args_start_index=$(( $word_index + 1 - $pos_only ))

  current_action_is_positional=$2
}

# Notes:
# `COMPREPLY`: what will be rendered after completion is triggered
# `completing_word`: currently typed word to generate completions for
# `${!var}`: evaluates the content of `var` and expand its content as a variable
#     hello="world"
#     x="hello"
#     ${!x} -> ${hello} -> "world"
_shtab_ssh_exchange_exporter() {
  local completing_word="${COMP_WORDS[COMP_CWORD]}"
  local previous_word="${COMP_WORDS[COMP_CWORD-1]}"
  local completed_positional_actions
  local current_action
  local current_action_args_start_index
  local current_action_choices
  local current_action_compgen
  local current_action_is_positional
  local current_action_nargs
  local current_option_strings
  local sub_parsers
  COMPREPLY=()

  local prefix=_shtab_ssh_exchange_exporter
  local word_index=0
  local pos_only=0 # "--" delimiter not encountered yet
  _ssh_exchange_exporter_set_parser_defaults
  word_index=1

  # determine what arguments are appropriate for the current state
  # of the arg parser
  while [ $word_index -ne $COMP_CWORD ]; do
    local this_word="${COMP_WORDS[$word_index]}"

    if [[ $pos_only = 1 || " $this_word " != " -- " ]]; then
      if [[ -n $sub_parsers && " ${sub_parsers[@]} " == *" $this_word "* ]]; then
        # valid subcommand: add it to the prefix & reset the current action
        prefix="${prefix}_$(_ssh_exchange_exporter_shtab_replace_nonword $this_word)"
        _ssh_exchange_exporter_set_parser_defaults
      fi

      if [[ " ${current_option_strings[@]} " == *" $this_word "* ]]; then
        # a new action should be acquired (due to recognised option string or
        # no more input expected from current action);
        # the next positional action can fill in here
        _ssh_exchange_exporter_set_new_action $this_word false
      fi

      if [[ "$current_action_nargs" != "*" ]] && \
         [[ "$current_action_nargs" != "+" ]] && \
         [[ "$current_action_nargs" != "?" ]] && \
         [[ "$current_action_nargs" != *"..." ]] && \
         (( $word_index + 1 - $current_action_args_start_index - $pos_only >= \
            $current_action_nargs )); then
        $current_action_is_positional && let "completed_positional_actions += 1"
        _ssh_exchange_exporter_set_new_action "pos_$completed_positional_actions" true
      fi
    else
      pos_only=1 # "--" delimiter encountered
    fi

    let "word_index+=1"
  done

  # Generate the completions

  COMPREPLY=()
  if [[ $pos_only = 0 && "$completing_word" == -* &&
        ( -z "$current_action_compgen" || "$current_action_is_positional" = true ) ]]; then
    # optional argument started: use option strings
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_option_strings[*]}" -- "$completing_word")
  elif [[ "$previous_word" =~ ^[0-9\&]*[\<\>]\>?$ ]]; then
    # handle redirection operators
    compopt -o filenames 2>/dev/null || : # bash>=4
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -f -- "$completing_word")
  else
    # use choices & compgen
    local action_compgen_word="$completing_word"
    # handle tab-completing in the middle of a line (#248 <- #116)
    [[ -n "$current_action_compgen" && "$completing_word" == -* ]] && action_compgen_word=""
    [ -n "$current_action_compgen" ] && {
      [[ "$current_action_compgen" =~ _(file|dir|glob|FILE|DIR|GLOB)|File|Dir|Glob ]] &&
        compopt -o filenames 2>/dev/null || : # bash>=4
      while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
        "$current_action_compgen" "$action_compgen_word")
    }
    while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
      compgen -W "${current_action_choices[*]}" -- "$completing_word")
  fi

  if [[ ${#COMPREPLY[@]} = 0 ]]; then
    # native fallback matches are not necessarily filenames (e.g. variables)
    compopt +o filenames 2>/dev/null || : # bash>=4
  fi

  return 0
}

complete -o bashdefault -F _ssh_exchange_exporter ssh_exchange_exporter
