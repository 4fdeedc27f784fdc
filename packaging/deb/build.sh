#!/bin/bash
# `make deb`: build.sh [SUITE]... builds the Debian packages in a clean chroot of each suite (bookworm, trixie), without
# network and not as root; lintian reads them; they are installed, upgraded, removed and purged; their tests run.
# The packages are left in dist/deb/SUITE. Needs root on Debian, and mmdebstrap, autopkgtest, iproute2.
# $XDG_CACHE_HOME/check-ssh-exchange/deb keeps the chroots and what was downloaded; a chroot is made anew after a week.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/check-ssh-exchange/deb
out=$top/dist/deb
[ $# -gt 0 ] || set -- bookworm trixie

fail() { echo "make deb: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "chroots need root"
for program in mmdebstrap autopkgtest dpkg-source unshare ip; do
  command -v "$program" >/dev/null || fail "$program is missing: apt-get install mmdebstrap autopkgtest dpkg-dev util-linux iproute2"
done
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9 # two at once would write the same files
if [ -z "${DEB_WORK:-}" ]; then
  # Mounts that nobody else sees, and that end with us however we end.
  DEB_WORK=$(mktemp -d "${TMPDIR:-/tmp}/deb.XXXXXX")
  export DEB_WORK
  exec 9>&-
  exec unshare --mount --pid --fork --kill-child "$0" "$@"
fi
work=$DEB_WORK
trap 'umount -l "$work"; rmdir "$work"' EXIT
trap 'exit 1' HUP INT TERM # else process 1 of a namespace hears none of them
mount -t tmpfs -o mode=755 tmpfs "$work"
mount -t proc proc /proc

. "$here/chroots.sh"
. "$here/source.sh"

SECONDS=0
say() { printf '%s (%d s)\n' "$*" "$SECONDS"; }
# logged FILE COMMAND...: quiet unless it fails.
logged() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || { tail -n 300 "$log" >&2; fail "failed, after $SECONDS s: $*"; }
}

build() { # SUITE VERSION DIRECTORY WHAT [nocheck]: packages into the directory; full: source and binaries, binary
  local suite=$1 version=$2 to=$3 what=$4 options=${5:-${DEB_BUILD_OPTIONS:-}}
  local root=$work/$suite-build
  open_root "$root" "$cache/$suite-build.tar"
  lay_out_source "$suite" "$version" "$root/build"
  chown -R 1000:1000 "$root/build"
  # Without network: what is not in the source or in the chroot cannot get into the package.
  logged "$work/$suite-$version.log" alone "$root" runuser -u builder -- env "DEB_BUILD_OPTIONS=$options" \
    "DEB_BUILD_PROFILES=$(case " $options " in *" nocheck "*) echo nocheck ;; esac)" sh -c "cd /build/source && dpkg-buildpackage -us -uc -v0~ --build=$what"
  mkdir -p "$to"
  find "$root/build" -maxdepth 1 -type f -exec cp -t "$to" {} +
}

check_lintian() { # SUITE: in the chroot that has just built
  local root=$work/$1-build
  # An older lintian knows an older Policy: what the newer one asks for is what the newer lintian says.
  logged "$work/$1-lintian.log" alone "$root" runuser -u builder -- sh -c \
    "lintian --fail-on error,warning --show-overrides --suppress-tags newer-standards-version /build/*.changes"
  cat "$work/$1-lintian.log"
}

live() { # SUITE: install, upgrade, remove, purge
  local suite=$1 root=$work/$1-live
  open_root "$root" "$cache/$suite-base.tar"
  mkdir -p "$root/life"
  cp "$here/lifecycle.sh" "$root/life/"
  cp -r "$work/$suite-old" "$root/life/old"
  cp -r "$work/$suite-new" "$root/life/new"
  lay_out_pip "$root/life/pip"
  logged "$work/$suite-lifecycle.log" enter "$root" sh /life/lifecycle.sh
  grep '^ok: ' "$work/$suite-lifecycle.log"
  close_root "$root"
}

try() { # SUITE: debian/tests, by autopkgtest
  local suite=$1 root=$work/$1-try code=0
  open_root "$root" "$cache/$suite-base.tar"
  logged "$work/$suite-unpack.log" dpkg-source -x "$work/$suite-new"/*.dsc "$work/$suite-source"
  autopkgtest --no-built-binaries --output-dir "$work/$suite-autopkgtest" "$work/$suite-new"/*.deb \
    "$work/$suite-source/" -- chroot "$root" >"$work/$suite-autopkgtest.log" 2>&1 || code=$?
  # 2: a test was skipped, which here none may be.
  [ "$code" = 0 ] || { cat "$work/$suite-autopkgtest.log" >&2; fail "autopkgtest ended with $code"; }
  cat "$work/$suite-autopkgtest/summary"
  close_root "$root"
}

for suite; do
  say "$suite: chroots"
  make_chroots "$suite"
done
say "sources"
fetch_wheels
for suite; do
  say "$suite: build"
  build "$suite" "$(deb_version "$suite")" "$work/$suite-new" full
  say "$suite: lintian"
  check_lintian "$suite"
  close_root "$work/$suite-build"
  say "$suite: build 0.1.0, to upgrade from"
  build "$suite" "$(deb_version "$suite" 0.1.0-1)" "$work/$suite-old" binary nocheck
  close_root "$work/$suite-build"
  say "$suite: install, upgrade, remove, purge"
  live "$suite"
  say "$suite: autopkgtest"
  try "$suite"
  rm -rf "${out:?}/$suite"
  mkdir -p "$out/$suite"
  cp "$work/$suite-new"/* "$out/$suite"
done
say "done"
find "$out" -name '*.deb' -printf '%p %s bytes\n' | sort
