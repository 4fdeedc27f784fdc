// Alerts about a host, by what check_sshd_local writes for node_exporter's textfile collector.
{
  prometheusAlerts+:: {
    local config = $._config,
    local alert = (import '../lib/alert.libsonnet')(config),
    local group = (import '../lib/group.libsonnet')(config),
    local promql = (import '../lib/promql.libsonnet')(config),
    local text = (import '../lib/text.libsonnet')(config),

    local item(matcher, state) = '%s == %d' % [promql.host('sshd_local_item_state', matcher), state],
    local start = 'binaries|configuration|host_keys',
    local told = 'run check_sshd_local there to hear why.',
    local units = 'Run `systemctl status check_sshd_local.timer check_sshd_local.service '
                  + 'check_sshd_local_textfile.service` there.',

    groups+: [
      group('sshd_local', [
        alert(
          'SshdLocalTurnsEveryoneAwaySoon',
          'critical',
          item('item=~"%s"' % start, 2),
          'sshd will turn everyone away at its next connection or restart.',
          'On {{ $labels.instance }} the item {{ $labels.item }} is critical. Repair it before sshd restarts, and '
          + 'keep a session open.',
          text.runbook('server_fault'),
        ),
        alert(
          'SshdLocalCritical',
          'critical',
          item('item!~"%s"' % start, 2),
          'A host with sshd is in a critical state.',
          'On {{ $labels.instance }} the item {{ $labels.item }} is critical; ' + told,
          text.runbook(text.causeOfHost),
          'Nothing listens, all startups are taken, the monitor is banned, a resource is used up. The link is the page '
          + 'of a cause that the host has found.'
        ),
        alert(
          'SshdLocalWarning',
          'warning',
          item('item!="bans"', 1),
          'A host with sshd needs a look.',
          'On {{ $labels.instance }} the item {{ $labels.item }} is in state WARNING; ' + told,
          text.runbook(text.causeOfHost),
        ),
        alert(
          'SshdLocalStartupsHigh',
          'warning',
          '%s > %g * %s' % [
            promql.host('sshd_local_startups'),
            config.startupsShare,
            promql.host('sshd_local_startups_begin'),
          ],
          'sshd holds many connections that have not logged in.',
          '{{ $labels.instance }} has {{ $value }} connections that have not logged in, more than '
          + '%g%% of those from which on sshd drops some. ' % (config.startupsShare * 100) + text.atMaxStartups,
          text.runbook('maxstartups'),
        ),
        alert(
          'SshdLocalDrops',
          'warning',
          'rate(%s[10m]) > 0' % promql.host('sshd_local_drops_total', 'reason!="penalty"'),
          'sshd drops connections.',
          'sshd on {{ $labels.instance }} drops {{ printf "%.3g" $value }} connections a second, reason '
          + '{{ $labels.reason }}. ' + text.holders
          + 'raise MaxStartups (for per_source_limit PerSourceMaxStartups) or limit that client.',
          text.runbook('{{ $labels.reason }}'),
          "Penalties against strangers are sshd's healthy work; remove the matcher to hear of them too."
        ),
        alert(
          'SshdLocalBlindJail',
          'warning',
          item('item="bans"', 1),
          'A jail does not see what sshd logs.',
          'On {{ $labels.instance }} sshd logs failures and the jail counts none; its backend or its log path may be '
          + 'the wrong one.',
          text.runbook('banned'),
        ),
        alert(
          'SshdLocalLate',
          'warning',
          'time() - %s > %g' % [promql.host('sshd_local_last_run_timestamp_seconds'), config.hostLateSeconds],
          'check_sshd_local has not run.',
          'The metrics of {{ $labels.instance }} are {{ $value | humanizeDuration }} old; its timer may have stopped. '
          + units,
          text.runbook(''),
        ),
        alert(
          'SshdLocalAbsent',
          'warning',
          |||
            %(up)s == 0
            or
            (
              %(up)s
              unless on (instance)
              %(run)s
            )
          ||| % { up: promql.hostJob('up'), run: promql.host('sshd_local_last_run_timestamp_seconds') },
          'check_sshd_local has no metrics.',
          'Nothing is known of sshd on {{ $labels.instance }}: '
          + '{{ if eq $value 0.0 }}node_exporter does not answer. Run `systemctl status prometheus-node-exporter` '
          + 'there.{{ else }}node_exporter has no file of check_sshd_local. ' + units + '{{ end }}',
          text.runbook(''),
          'SshdLocalLate needs the metrics; here they are gone, or were never there.'
        ),
      ]),
    ],
  },
}
