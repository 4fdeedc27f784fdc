#!/bin/sh
# Runs in a chroot without an init: the packages of /life/new, and of /life/old with an older version, come and go.
# Each step says what it has seen; the first that is wrong ends it.
set -eu
export DEBIAN_FRONTEND=noninteractive
plugin=monitoring-plugins-ssh-exchange exporter=ssh-exchange-exporter user=_ssh-exchange-exporter
config=/etc/ssh_exchange_exporter/config.yml defaults=/etc/default/ssh-exchange-exporter
nagios=/etc/nagios-plugins/config/ssh_exchange.cfg
check=/usr/lib/nagios/plugins/check_ssh_exchange

ok() { echo "ok: $*"; }
die() { echo "FAILED: $*"; exit 1; }
apt() { eatmydata apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@"; }
is() { [ "$2" = "$3" ] || die "$1: \"$2\", not \"$3\""; }
version() { dpkg-query -W -f '${Version}' "$1"; }
told() { "$1" --version 2>&1 | cut -d ' ' -f 2 || :; }
gone() { for path; do [ ! -e "$path" ] && [ ! -L "$path" ] || die "$path is still there"; done; }

# Every file with its kind, mode, owner, size, target and, below /etc, its content; not what dpkg, apt and programs that
# cache write by themselves, nor the backups of the password files.
picture() {
  find / -xdev \( -path /proc -o -path /dev -o -path /sys -o -path /tmp -o -path /run -o -path /life -o -path /var/lib/dpkg \
    -o -path /var/lib/apt -o -path /var/cache/apt -o -path /var/cache/debconf -o -path /var/cache/ldconfig -o -path /var/log \
    -o -path '/etc/*-' \) -prune -o -type d -printf '%p d %m %u %g\n' -o -printf '%p %y %m %u %g %s %l\n' | sort
  find /etc -type f ! -name '*-' -exec sha256sum {} + | sort -k 2
  dpkg-query -W -f '${Package} ${Status}\n' | sort
}
same() {
  picture >/tmp/now
  diff /tmp/before /tmp/now || die "$1: not as before"
  ok "$1: every file, user and package is as before"
}

# What the packages need stays, so that a difference is theirs.
needs=$(for deb in /life/new/*.deb; do dpkg-deb -f "$deb" Depends; done | paste -s -d , | sed "s/$plugin ([^)]*),*//")
apt satisfy "$needs" python3-venv
ldconfig
picture >/tmp/before

new=$(dpkg-deb -f /life/new/${plugin}_*.deb Version) old=$(dpkg-deb -f /life/old/${plugin}_*.deb Version)

# --- a first installation, and a second time over
apt install /life/new/*.deb
is "version of $plugin" "$(version $plugin)" "$new"
is "what the plugin says" "$(told $check)" "${new%%-*}"
is "what the exporter says" "$(told ssh_exchange_exporter)" "${new%%-*}"
runuser -u $user -- ssh_exchange_exporter --config.file=$config --config.check
number=$(id -u $user)
for script in "postinst configure $new" "postinst configure $new" "prerm upgrade $new" "postinst abort-upgrade $new" \
  "prerm remove" "postinst abort-remove"; do
  for package in $plugin $exporter; do
    # shellcheck disable=SC2086
    set -- $script
    file=/var/lib/dpkg/info/$package.$1
    shift
    [ ! -e "$file" ] || DPKG_MAINTSCRIPT_PACKAGE=$package DPKG_MAINTSCRIPT_NAME="${file##*.}" "$file" "$@" || die "$file $*"
  done
done
is "the user's number" "$(id -u $user)" "$number"
apt install --reinstall /life/new/*.deb
ok "$new installed; its scripts may run twice"
cp /var/lib/dpkg/info/$exporter.postrm /tmp/postrm
apt purge $plugin $exporter
gone $check /usr/bin/ssh_exchange_exporter $config $defaults $nagios
! getent passwd $user || die "$user is still there"
/tmp/postrm purge
rm /tmp/postrm
same "installed and purged"

# --- from an installation of 0.1 by pip, README's lines
python3 -m venv /opt/check_ssh_exchange
/opt/check_ssh_exchange/bin/pip -q install --no-index --find-links /life/pip/index setuptools wheel
/opt/check_ssh_exchange/bin/pip -q install --no-index --find-links /life/pip/index --no-build-isolation /life/pip/source
mkdir -p /usr/lib/nagios/plugins /etc/ssh_exchange_exporter
ln -s /opt/check_ssh_exchange/bin/check_ssh_exchange /opt/check_ssh_exchange/bin/check_sshd_local /usr/lib/nagios/plugins/
ln -s /opt/check_ssh_exchange/bin/ssh_exchange_exporter /usr/bin/
echo '# of an admin' >$config
mkdir -p /etc/nagios4/conf.d
printf 'define command {\n\tcommand_name\tcheck_ssh_exchange\n}\n' >/etc/nagios4/conf.d/commands.cfg
is "what the plugin says before" "$(told $check)" 0.1.0
apt install /life/new/*.deb >/tmp/said 2>&1 || { cat /tmp/said; die "it cannot be installed"; }
grep -qx /etc/nagios4/conf.d/commands.cfg /tmp/said || die "nobody says that Nagios has the commands twice"
rm -r /tmp/said /etc/nagios4
is "what the plugin says now" "$(told $check)" "${new%%-*}"
[ ! -L $check ] && [ ! -L /usr/bin/ssh_exchange_exporter ] || die "a link into /opt has stayed"
is "the plugin in /opt" "$(told /opt/check_ssh_exchange/bin/check_ssh_exchange)" 0.1.0
is "the admin's configuration" "$(cat $config)" '# of an admin'
ok "installed over 0.1 by pip: the links are programs now, the configuration is the admin's, a second definition is told"
apt purge $plugin $exporter
rm -r /opt/check_ssh_exchange
same "purged, and /opt/check_ssh_exchange removed"

# --- from a package of 0.1.0
apt install /life/old/*.deb
is "version before" "$(version $exporter)" "$old"
is "what the exporter says before" "$(told ssh_exchange_exporter)" "${old%%-*}"
number=$(id -u $user)
echo 'allowed_targets: [192.0.2.0/24]' >>$config
echo 'ARGS="--web.listen-address=127.0.0.1:9999"' >>$defaults
cp $config /tmp/config && cp $defaults /tmp/defaults
apt install /life/new/*.deb
is "version after" "$(version $exporter)" "$new"
is "what the exporter says after" "$(told ssh_exchange_exporter)" "${new%%-*}"
cmp $config /tmp/config && cmp $defaults /tmp/defaults || die "a file that the admin had changed is another"
! grep -q 'Of 0.1.0' $nagios || die "a file that nobody had changed is still the old one"
is "the user's number" "$(id -u $user)" "$number"
runuser -u $user -- ssh_exchange_exporter --config.file=$config --config.check
rm /tmp/config /tmp/defaults
ok "upgraded from $old: changed files are kept, others are new"

# --- removed, which leaves what may be wanted again; purged, which leaves nothing
apt remove $plugin $exporter
gone $check /usr/bin/ssh_exchange_exporter /usr/lib/ssh-exchange-exporter /usr/lib/python3/dist-packages/check_ssh_exchange \
  /usr/lib/python3/dist-packages/ssh_exchange_exporter
[ -e $config ] && [ -e $nagios ] && getent passwd $user >/dev/null || die "removal took what only purging may take"
ok "removed: programs are gone, configuration and user are there"
apt purge $plugin $exporter
same "removed and purged"
