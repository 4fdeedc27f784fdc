// Alerts about an SSH server, by what the exporter measures at /probe or as a background target.
{
  prometheusAlerts+:: {
    local config = $._config,
    local alert = (import '../lib/alert.libsonnet')(config),
    local group = (import '../lib/group.libsonnet')(config),
    local promql = (import '../lib/promql.libsonnet')(config),
    local text = (import '../lib/text.libsonnet')(config),

    // An alert that fires for these causes; with more than one, the label tells which.
    local byCause(name, severity, causes, summary, description, note='') = alert(
      name,
      severity,
      promql.cause(causes) + ' == 1',
      summary,
      description,
      text.runbook(if std.length(causes) == 1 then causes[0] else '{{ $labels.cause }}'),
      note
    ),
    local shutOut = ['banned', 'access_denied'],
    local named = text.subject + ', cause {{ $labels.cause }}. ',

    groups+: [
      group('ssh_exchange', [
        alert(
          'SshExchangeDown',
          'critical',
          |||
            %(success)s == 0
            or
            (
              %(state)s >= 2
              unless %(on)s
              (%(completed)s > 0)
            )
          ||| % {
            success: promql.job('probe_success'),
            state: promql.exchange('ssh_exchange_state', 'target!=""'),
            on: promql.onTarget(),
            completed: promql.byTarget(
              'increase(%s[5m])' % promql.exchange('ssh_exchange_handshakes_total', promql.completed)
            ),
          },
          'No SSH handshake completes.',
          text.subject + ' has not completed a handshake for %s; ' % text.words(config.pending.SshExchangeDown)
          + "the exporter's page shows the cause.",
          text.runbook(text.causeOfServer),
          "The link is the cause's page, or the list of them where the cause is not known."
        ),
        byCause(
          'SshExchangeNobodyGetsIn',
          'critical',
          ['proxy', 'tarpit', 'not_ssh', 'incompatible'],
          'What answers is no SSH server that a client can use.',
          named + 'The port answers, so a check of the port is content, but nobody can log in.',
        ),
        byCause(
          'SshExchangeAddressFamily',
          'warning',
          ['address_family'],
          'An SSH server works over one address family only.',
          text.subject + ' answers over one of IPv4 and IPv6; clients that use the other wait or fail. '
          + 'Compare ListenAddress on the server with what DNS has (A and AAAA).',
        ),
        alert(
          'SshExchangeTurnsConnectionsAway',
          'warning',
          |||
            %s > 0
            and %s
            %s == 1
          ||| % [promql.exchange('ssh_exchange_early_close_ratio'), promql.onTarget(), promql.cause(['maxstartups'])],
          'An SSH server drops connections: MaxStartups is reached.',
          text.subject + ' ended {{ $value | humanizePercentage }} of the last connections early. '
          + text.atMaxStartups,
          text.runbook('maxstartups'),
        ),
        alert(
          'SshExchangeRandomEarlyDrop',
          'warning',
          |||
            (%s > 0 < 1)
            unless %s
            max_over_time(%s[1h]) == 1
          ||| % [
            promql.exchange('target:ssh_exchange_early_close:ratio_rate1h'),
            promql.onTarget(),
            promql.exchange('ssh_exchange_cause', 'cause!~"healthy|slow|unexplained"'),
          ],
          'An SSH server closes some connections early, and no cause is sure.',
          text.subject + ' ended {{ $value | humanizePercentage }} of the connections of the last hour early, '
          + 'as random early drop of MaxStartups does. ' + text.atMaxStartups,
          text.runbook('maxstartups'),
        ),
        byCause(
          'SshExchangePenalised',
          'warning',
          ['penalty', 'per_source_limit', 'rate_limit'],
          "An SSH server holds the exporter's address back.",
          named + "Probe less often, or exempt the exporter's address on the server.",
        ),
        byCause(
          'SshExchangeMonitorBanned',
          'warning',
          shutOut,
          'An SSH server blocks the address that the exporter probes from.',
          named + "Exempt the exporter's address on the server.",
        ),
        alert(
          'SshExchangeMonitorBannedHere',
          'warning',
          promql.server(shutOut) + 'and on (server)\n' + promql.server(['healthy', 'slow']),
          'An SSH server blocks one exporter while another gets in.',
          '{{ $labels.server }}, cause {{ $labels.cause }}, seen by job {{ $labels.job }} at {{ $labels.instance }}. '
          + 'The server serves others; only this address is blocked.',
          text.runbook('{{ $labels.cause }}'),
          'Compares a server over all jobs, instances and both ways; it must be written the same everywhere.'
        ),
        byCause(
          'SshExchangeServerFault',
          'critical',
          ['server_fault'],
          'An SSH server accepts connections and its child dies.',
          text.subject + " closes every connection at once, which is no limit; look at sshd's log on the server.",
        ),
        byCause(
          'SshExchangeStalled',
          'critical',
          ['stalled'],
          'An SSH server accepts connections and stays silent.',
          text.subject + ' has sent no identification for %s; ' % text.words(config.pending.SshExchangeStalled)
          + 'its host may be overloaded or sshd stopped.',
        ),
        byCause(
          'SshExchangeSlow',
          'warning',
          ['slow'],
          'An SSH server is slow to identify itself.',
          text.subject + " is slower than its module's threshold. On the server look at load, DNS (UseDNS) and PAM.",
        ),
        alert(
          'SshExchangeHostKeyChanged',
          'critical',
          |||
            %(cause)s == 1
            or
            (
              %(key)s
              unless %(same)s
              last_over_time(%(key)s[1d] offset 1h)
              and %(type)s
              last_over_time(%(key)s[1d] offset 1h)
            )
          ||| % {
            cause: promql.cause(['host_key']),
            key: promql.exchange('ssh_exchange_host_key_info'),
            same: promql.onTarget(['type', 'fingerprint']),
            type: promql.onTarget(['type']),
          },
          'An SSH server shows another host key.',
          text.subject + ' shows a host key that is {{ with $labels.fingerprint }}new ({{ $labels.type }} {{ . }})'
          + '{{ else }}not the one expected{{ end }}. Ask who changed it before anyone accepts it.',
          text.runbook('host_key'),
          'Not the one expected, or for an hour a key that the day before had not shown for its type. Needs depth '
          + 'hostkey or beyond.'
        ),
        alert(
          'SshExchangeHostCertificateEnds',
          'warning',
          '%s - time() < %g * 86400' % [
            promql.exchange('ssh_exchange_host_certificate_expiry_timestamp_seconds'),
            config.certificateDays,
          ],
          'A host certificate of an SSH server ends soon or has ended.',
          'The {{ $labels.type }} certificate of %s ' % text.subject
          + '{{ if lt $value 0.0 }}has ended{{ else }}ends in {{ $value | humanizeDuration }}{{ end }}. '
          + 'Sign the host key again (`ssh-keygen -s`) and reload sshd.',
          text.runbook('host_key'),
        ),
      ]),
    ],
  },
}
