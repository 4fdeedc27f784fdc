// Alerts about the exporter: whether it answers, keeps up, and may probe as often as it is asked to.
{
  prometheusAlerts+:: {
    local config = $._config,
    local alert = (import '../lib/alert.libsonnet')(config),
    local group = (import '../lib/group.libsonnet')(config),
    local promql = (import '../lib/promql.libsonnet')(config),
    local text = (import '../lib/text.libsonnet')(config),

    groups+: [
      group('ssh_exchange_exporter', [
        alert(
          'SshExchangeBudgetSpent',
          'warning',
          |||
            increase(%s[1h]) > %g
            or
            avg_over_time((%s > bool 0)[1h:]) > %g
          ||| % [
            promql.exchange('ssh_exchange_probes_deferred_total'),
            config.deferredInAnHour,
            promql.exchange('ssh_exchange_result_age_seconds'),
            config.oldResults,
          ],
          "The probes of an SSH server are more than the server's budget allows.",
          text.subject + ' is probed less often than asked for, so that it imposes no penalty. '
          + "Probe less often, or exempt the exporter's address on the server and in its module.",
          text.runbook('penalty'),
          'A budget keeps servers with penalties (OpenSSH 9.8 and later) from banning the exporter.'
        ),
        alert(
          'SshExchangeStale',
          'warning',
          |||
            time() - %s > %g
            or
            %s > %g
          ||| % [
            promql.exchange('ssh_exchange_last_probe_timestamp_seconds'),
            config.staleSeconds,
            promql.exchange('ssh_exchange_result_age_seconds'),
            config.staleSeconds,
          ],
          'The last result for an SSH server is old.',
          text.subject + ' was last probed {{ $value | humanizeDuration }} ago; '
          + 'its budget does not allow more probes, or the exporter is overloaded.',
          text.runbook(''),
        ),
        alert(
          'SshExchangeExporterDown',
          'critical',
          promql.job('up') + ' == 0',
          'The SSH exchange exporter does not answer Prometheus.',
          'The scrape of {{ $labels.instance }} (job {{ $labels.job }}) fails; no other alert can speak for it. '
          + 'Run `systemctl status ssh_exchange_exporter` and `journalctl -u ssh_exchange_exporter` on the host of the '
          + 'exporter; at /probe a target that it refuses (allowed_targets) looks the same.',
          text.runbook(''),
          'The link opens if another exporter is scraped; the one that is down serves no page.'
        ),
        alert(
          'SshExchangeExporterLate',
          'warning',
          |||
            histogram_quantile(0.9,
              sum by (%s) (rate(%s[5m]))
            ) > %g
          ||| % [
            std.join(', ', std.filter(function(label) label != 'target', config.targetLabels) + ['le']),
            promql.exchange('ssh_exchange_exporter_background_lateness_seconds_bucket'),
            config.exporterLateSeconds,
          ],
          'The SSH exchange exporter starts its probes late.',
          'A tenth of the background probes of {{ $labels.instance }} start more than {{ $value | humanizeDuration }} '
          + 'late; give it more CPU, or fewer targets.',
          text.page('/'),
        ),
        alert(
          'SshExchangeExporterConfigBad',
          'warning',
          promql.exchange('ssh_exchange_exporter_config_last_reload_successful') + ' == 0',
          'The SSH exchange exporter runs with an old configuration.',
          "The last reload on {{ $labels.instance }} failed; the exporter's log names the errors.",
          text.page('/config'),
          'No cause of an SSH server, so no runbook page: the link shows the configuration in force.'
        ),
        alert(
          'SshExchangeExporterTargetFilesBad',
          'warning',
          promql.exchange('ssh_exchange_exporter_target_files_failed') + ' > 0',
          'The SSH exchange exporter uses an old version of its target files.',
          "{{ $value }} target files of {{ $labels.instance }} have errors; the exporter's log names them.",
          text.page('/config'),
        ),
      ]),
    ],
  },
}
