#!/bin/sh
# Build the RPM packages: build.sh [DIRECTORY], dist/rpm without one. KINDS="fedora el" says which; EL_PYTHON=3.12 is the
# Python that those for Enterprise Linux bring libraries for. SOURCE_DATE_EPOCH is the time of every file in them, else
# that of the last commit. Needs rpmbuild, tar, gzip and a Python with pip, which fetches wheels by their hashes.
set -eu
umask 022
export LC_ALL=C TZ=UTC
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:-$root/dist/rpm}
mkdir -p "$out"
out=$(cd "$out" && pwd)
cd "$root"
command -v rpmbuild >/dev/null || { echo "rpmbuild is missing: apt-get install rpm, or dnf install rpm-build" >&2; exit 1; }
[ -n "${PYTHON:-}" ] || { [ -x .venv/bin/python ] && PYTHON=$root/.venv/bin/python || PYTHON=python3; }
python=${EL_PYTHON:-3.12}
digits=$(echo "$python" | tr -d .)
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' check_ssh_exchange/__init__.py)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}
export SOURCE_DATE_EPOCH

top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$top/SOURCES" "$top/SPECS"

pack() { # NAME DIRECTORY-INSIDE FILE...: an archive that is the same whoever packs it, and when
  archive=$top/SOURCES/$1 inside=$2
  shift 2
  tar --create --sort=name --format=gnu --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u+rw,go=rX \
    --exclude=__pycache__ --exclude='*.egg-info' --transform="s,^,$inside," "$@" >"$top/archive"
  gzip -n <"$top/archive" >"$archive"
}

# pip picks the wheels by the Python that is named, not by the one that it runs on.
echo "fetching the wheels for Python $python"
"$PYTHON" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes --only-binary=:all: \
  --implementation cp --python-version "$digits" --abi "cp$digits" --abi abi3 --abi none \
  --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux_2_28_x86_64 \
  --requirement packaging/requirements.txt --target "$top/wheels"
rm -rf "$top/wheels/bin"
(cd "$top" && pack "check_ssh_exchange-wheels-$version.tar.gz" "" wheels)
pack "check_ssh_exchange-$version.tar.gz" "check_ssh_exchange-$version/" \
  check_ssh_exchange contrib docs exporter packaging/config.yml packaging/rpm CHANGELOG.md LICENSE README.md

# Releases as CHANGELOG.md heads them: `## X.Y.Z (2026-12-01)`; one without a date has that of the source.
changelog() {
  sed -n 's/^## \([0-9.]*\) (\(.*\))$/\1 \2/p' CHANGELOG.md | while read -r release date; do
    case $date in
      [0-9]*) day=$(date -d "$date" '+%a %b %d %Y') ;;
      *) [ "$release" = "$version" ] || continue; day=$(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y') ;;
    esac
    printf '* %s The check_ssh_exchange founders - %s-1\n- Release %s: see CHANGELOG.md among the documents\n\n' \
      "$day" "$release" "$release"
  done
}
pinned() { sed -n 's/^\([a-z][a-z0-9-]*\)==\([0-9.]*\) .*/\1 \2/p' packaging/requirements.txt; }
changelog >"$top/changelog"
pinned | sed -n '/^nagiosplugin /!s/^\(.*\) \(.*\)/Provides:       bundled(python3dist(\1)) = \2/p' >"$top/bundled"
sed -e "s/@VERSION@/$version/" -e "s/@NAGIOSPLUGIN@/$(pinned | sed -n 's/^nagiosplugin //p')/" \
  -e "/@BUNDLED@/{r $top/bundled" -e 'd}' -e "/@CHANGELOG@/{r $top/changelog" -e 'd}' \
  packaging/rpm/check_ssh_exchange.spec.in >"$top/SPECS/check_ssh_exchange.spec"

for kind in ${KINDS:-fedora el}; do
  case $kind in
    fedora) set -- --define 'fedora 43' --define 'dist .fc' ;;
    el) set -- --define 'rhel 9' --define 'dist .el' --define "python /usr/bin/python$python" ;;
    *) echo "KINDS: fedora, el" >&2; exit 1 ;;
  esac
  echo "building for $kind"
  rpmbuild -bb --nodeps --target x86_64 --define "_topdir $top" --define "_rpmdir $top/RPMS" --define "_libdir /usr/lib64" \
    "$@" "$top/SPECS/check_ssh_exchange.spec" >"$top/log" 2>&1 || { cat "$top/log" >&2; exit 1; }
  ! grep -i '^warning' "$top/log" >&2
done
cp "$top"/RPMS/x86_64/*.rpm "$out"
cp "$top/SPECS/check_ssh_exchange.spec" "$top"/SOURCES/*.tar.gz "$out"
ls -l "$out"
