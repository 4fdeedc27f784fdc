# Read by the tests: an sshd of this system on a port of its own, with keys of its own. No service is touched.
set -eu
work=$(mktemp -d "${AUTOPKGTEST_TMP:-/tmp}/sshd.XXXXXX")
started=
trap 'for pid in $started; do kill "$pid" 2>/dev/null || :; done; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

die() {
  echo "FAILED: $*" >&2
  exit 1
}

# Below the range of clients' own ports, so that none of them is in the way.
free_port() {
  python3 - <<'PORT'
import random, socket

while True:
    port = random.randrange(20000, 32000)
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            continue
    print(port)
    break
PORT
}

# until_true SECONDS COMMAND...
until_true() {
  left=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || die "not true in time: $*"
    sleep 0.1
  done
}

listens() {
  grep -q "$(printf ':%04X 00000000:0000 0A ' "$1")" /proc/net/tcp
}

# start_sshd [OPTION...]: sets $port; root may log in with $work/id.
start_sshd() {
  port=$(free_port)
  mkdir -p /run/sshd
  [ -e "$work/host" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/host"
  [ -e "$work/id" ] || ssh-keygen -q -t ed25519 -N '' -f "$work/id"
  # Since 9.8 sshd shuts out an address that makes some fifteen handshakes at once without a login, as these tests do.
  penalties=PerSourcePenalties=no
  /usr/sbin/sshd -t -f /dev/null -h "$work/host" -o "$penalties" 2>/dev/null || penalties=Compression=no
  /usr/sbin/sshd -D -e -f /dev/null -p "$port" -h "$work/host" -o ListenAddress=127.0.0.1 -o PidFile=none \
    -o AuthorizedKeysFile="$work/id.pub" -o StrictModes=no -o UsePAM=no -o "$penalties" "$@" 2>>"$work/log" &
  sshd=$!
  started="$started $sshd"
  until_true 30 listens "$port"
}
