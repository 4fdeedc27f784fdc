# shellcheck shell=bash disable=SC2154,SC2016
# Read by build.sh: chroots, kept as archives in $cache, unpacked into $work.

# The archive that this machine's apt uses; $DEB_MIRROR overrides it.
mirror() {
  [ -z "${DEB_MIRROR:-}" ] || { echo "$DEB_MIRROR"; return; }
  apt-get indextargets --format '$(REPO_URI) $(LABEL) $(COMPONENT)' 'Created-By: Packages' |
    awk '$2 == "Debian" && $3 == "main" { print $1; exit }'
}

# make_chroots SUITE: base, as small as can be; build, the same with what the source needs, and lintian.
make_chroots() {
  local suite=$1 base=$cache/$1-base.tar archives=$cache/$1-archives needed
  mkdir -p "$archives/partial"
  needed=$(sed -n '/^Build-Depends:/,/^[^ B]/p' "$top/debian/control" | sed -e '/^[^ B]/d' -e 's/^Build-Depends://' -e 's/<!nocheck>//')
  if [ ! -e "$base" ] || [ -n "$(find "$base" -mtime +7)" ]; then
    rm -f "$cache/$suite-build.tar" "$cache/$suite-build.key" "$archives"/*.deb
    logged "$work/$suite-base.log" mmdebstrap --format=tar --variant=minbase --components=main --include=eatmydata \
      --skip=cleanup/apt/lists --dpkgopt=force-unsafe-io "$suite" "$base.part" "$(mirror)"
    mv "$base.part" "$base"
  fi
  if [ ! -e "$cache/$suite-build.tar" ] || [ "$needed" != "$(cat "$cache/$suite-build.key")" ]; then
    local root=$work/$suite-chroot
    open_root "$root" "$base"
    logged "$work/$suite-chroot.log" enter "$root" sh -c "eatmydata apt-get satisfy -y --no-install-recommends '$needed' &&
      eatmydata apt-get install -y --no-install-recommends build-essential lintian && useradd -m -u 1000 builder"
    unmount "$root"
    tar -C "$root" --numeric-owner -cf "$cache/$suite-build.tar.part" .
    mv "$cache/$suite-build.tar.part" "$cache/$suite-build.tar"
    echo "$needed" >"$cache/$suite-build.key"
    rm -rf --one-file-system "$root"
  fi
}

# open_root DIRECTORY ARCHIVE: unpack, and mount what programs expect. Packages that are downloaded are kept.
open_root() {
  local root=$1 suite
  suite=$(basename "$2")
  suite=${suite%%-*}
  mkdir "$root"
  tar -C "$root" --numeric-owner -xf "$2"
  mount -t proc proc "$root/proc"
  mount --rbind /dev "$root/dev"
  mount --bind "$cache/$suite-archives" "$root/var/cache/apt/archives"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  # What apt downloads stays, for the next run.
  echo 'APT::Keep-Downloaded-Packages "true";' >"$root/etc/apt/apt.conf.d/99keep"
}

unmount() {
  umount -l "$1/proc" "$1/dev" "$1/var/cache/apt/archives"
}

close_root() {
  unmount "$1"
  rm -rf --one-file-system "$1"
}

# enter ROOT COMMAND...
enter() {
  local root=$1
  shift
  chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# alone ROOT COMMAND...: the same with a loopback interface and no other.
alone() {
  local root=$1
  shift
  unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
    chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp LC_ALL=C.UTF-8 "$@"
}
