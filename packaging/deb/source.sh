# shellcheck shell=bash disable=SC2154,SC2016
# Read by build.sh: the source package, as it is unpacked before a build, and what is downloaded for it.

# deb_version SUITE [VERSION]: debian/changelog's is trixie's; older suites sort before it, so that upgrading the suite
# upgrades the package.
deb_version() {
  local version=${2:-$(dpkg-parsechangelog -l "$top/debian/changelog" -S Version)}
  case $1 in
    bookworm) echo "$version~deb12u1" ;;
    *) echo "$version" ;;
  esac
}

# The files of a clone, or of an unpacked sdist.
source_files() {
  if git -C "$top" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git -C "$top" -c safe.directory="$top" ls-files -co --exclude-standard
  else
    (cd "$top" && find . -type f ! -path './dist/*' ! -path '*/.venv/*' ! -path '*/__pycache__/*' ! -path './*.egg-info/*' -printf '%P\n')
  fi
}

pack() { # DIRECTORY FILE.tar.gz NAME...: the same bytes from the same files
  local directory=$1 archive=$2
  shift 2
  tar -C "$directory" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -c "$@" | gzip -9n >"$archive"
}

# lay_out_source SUITE VERSION DIRECTORY: DIRECTORY/source to build in, beside it the archives of upstream's.
lay_out_source() {
  local suite=$1 version=$2 directory=$3
  local upstream=${version%%-*} shipped changelog
  local name=check-ssh-exchange_$upstream
  SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$top/debian/changelog" -S Timestamp)
  export SOURCE_DATE_EPOCH
  mkdir -p "$directory/source"
  (cd "$top" && source_files | tar -c --ignore-failed-read -T - 2>/dev/null) | tar -C "$directory/source" -x --no-same-owner
  mv "$directory/source/debian" "$directory/debian"
  changelog=$directory/debian/changelog
  shipped=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$directory/source/check_ssh_exchange/__init__.py")
  if [ "$upstream" = 0.1.0 ]; then # the same with another number, and other text in the files that an admin may change
    sed -i 's/^__version__ = .*/__version__ = "0.1.0"/' "$directory/source/check_ssh_exchange/__init__.py"
    sed -i '1i # Of 0.1.0.' "$directory/source/contrib/nagios/commands.cfg" "$directory/debian/config.yml" \
      "$directory/debian/ssh-exchange-exporter.default"
    : >"$changelog"
  elif [ "$upstream" != "$shipped" ]; then
    fail "debian/changelog says $upstream, check_ssh_exchange.__version__ $shipped"
  fi
  if [ "$(dpkg-parsechangelog -l "$changelog" -S Version 2>/dev/null)" != "$version" ]; then
    { printf 'check-ssh-exchange (%s) %s; urgency=medium\n\n  * Built for %s.\n\n' "$version" "$suite" "$suite"
      # Not the entry's before: its own minute, from which every file's time in the package is.
      sed -n '/^ -- /{s/>  .*/>  /;p;q}' "$top/debian/changelog" | tr -d '\n'
      LC_ALL=C TZ=UTC date -d "@$((SOURCE_DATE_EPOCH + 60))" '+%a, %d %b %Y %H:%M:%S +0000'
      [ ! -s "$changelog" ] || { echo; cat "$changelog"; }
    } >"$changelog.new"
    mv "$changelog.new" "$changelog"
  fi
  pack "$directory" "$directory/$name.orig.tar.gz" --transform "s,^source,check-ssh-exchange-$upstream," source
  if [ "$suite" = bookworm ]; then
    pack "$cache" "$directory/$name.orig-wheels.tar.gz" wheels
    cp -r "$cache/wheels" "$directory/source/wheels"
    cat "$directory/debian/venv/copyright" >>"$directory/debian/copyright"
  fi
  mv "$directory/debian" "$directory/source/debian"
}

python() {
  if [ -x "$top/.venv/bin/python" ]; then "$top/.venv/bin/python" "$@"; else python3 "$@"; fi
}

# pip picks by the Python that is named, bookworm's, not by the one it runs on, and refuses a file with another hash.
fetch_wheels() {
  if [ ! -e "$cache/wheels.key" ] || ! cmp -s "$top/packaging/requirements.txt" "$cache/wheels.key"; then
    rm -rf "$cache/wheels"
    mkdir "$cache/wheels"
    logged "$work/wheels.log" python -m pip --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: \
      --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none --platform manylinux_2_34_x86_64 \
      --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
      -d "$cache/wheels" -r "$top/packaging/requirements.txt"
    # The suite has it, and the plugin depends on that.
    rm "$cache/wheels"/nagiosplugin-*.whl
    cp "$top/packaging/requirements.txt" "$cache/wheels.key"
  fi
  [ -e "$cache/pip" ] || logged "$work/pip.log" python -m pip --disable-pip-version-check download -d "$cache/pip" \
    --only-binary :all: 'nagiosplugin >= 1.3.2, < 2' setuptools wheel
}

# What an installation of 0.1 by README's lines needs: the source with that version, and the index's files.
lay_out_pip() {
  mkdir -p "$1/source"
  (cd "$top" && source_files | grep -v '^debian/' | tar -c --ignore-failed-read -T - 2>/dev/null) | tar -C "$1/source" -x --no-same-owner
  sed -i 's/^__version__ = .*/__version__ = "0.1.0"/' "$1/source/check_ssh_exchange/__init__.py"
  cp -r "$cache/pip" "$1/index"
}
