#!/bin/sh
# Install the Debian packages that the tests start real components from, where that is allowed; elsewhere, print what to
# install. Arguments: the packages; none: those of the whole suite. Services are not started: nothing here needs them.
set -u
[ $# -gt 0 ] || set -- openssh-client openssh-server openssl iproute2 iptables nftables \
  nagios4-core icinga2-bin nagios-nrpe-server nagios-nrpe-plugin \
  prometheus prometheus-alertmanager prometheus-node-exporter gearman-job-server faketime jsonnet chromium-headless-shell systemd dbus curl \
  prometheus-blackbox-exporter monitoring-plugins-basic tcpdump strace sudo \
  man-db groff-base mandoc bash-completion zsh rpm cpio rpmlint ssh-audit jq rsyslog shellcheck
missing=""
for package in "$@"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, so their tests are skipped; to have them: apt-get install$missing" >&2
  exit 0
fi
echo "Installing$missing"
# Debian starts the services of what it installs unless this says no. Where the machine has its own, that one decides.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  trap 'exit 1' HUP INT TERM
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086
{ apt-get -q update && apt-get -q install -y --no-install-recommends $missing; } >/dev/null 2>&1 ||
  echo "apt-get could not install$missing; their tests are skipped" >&2
exit 0
