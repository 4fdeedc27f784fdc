# contrib/systemd's units as the package has them: a user of its own, so that keys, a spool and the certificates of
# Icinga can be given to it; arguments from /etc/default; the manual instead of the words about pip.
/^# Prometheus exporter of SSH exchanges\. In a checkout/,/^# virtual environment/c\
# Prometheus exporter of SSH exchanges. Configuration: /etc/ssh_exchange_exporter/config.yml; arguments, among them the\
# address to listen on: /etc/default/ssh-exchange-exporter
s/^ListenStream=10922$/ListenStream=127.0.0.1:10922/
/^Description=/a\
Documentation=man:ssh_exchange_exporter(8) man:ssh_exchange_exporter.yml(5)
s/^DynamicUser=yes$/User=_ssh-exchange-exporter/
/^ExecStart=/{
i\
EnvironmentFile=-/etc/default/ssh-exchange-exporter
s/$/ $ARGS/
}
