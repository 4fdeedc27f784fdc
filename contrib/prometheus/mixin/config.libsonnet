// What a site changes. `(import 'mixin.libsonnet') + { _config+:: { exchangeSelector: 'site="fra"' } }`
{
  _config+:: {
    // Matchers that are added wherever a metric of the exporter, or of check_sshd_local, is read. None: all of them.
    exchangeSelector: '',
    hostSelector: '',
    // probe_success and up are not names of ours alone, so their jobs have to be told.
    jobSelector: 'job=~"ssh_exchange.*"',
    // The job that scrapes node_exporter for check_sshd_local alone: each of its targets must have the metrics.
    hostJobSelector: 'job="sshd_local"',
    // What makes a target of the exporter one of its kind; a site with several clusters adds its label.
    targetLabels: ['job', 'instance', 'target'],

    // Where a browser finds the exporter's pages, as 'https://exporter.example'. Empty: at the exporter's address in
    // `instance`, found when the alert fires, else at exporterAddress.
    exporterUrl: '',
    exporterScheme: 'http',
    exporterAddress: '127.0.0.1:10922',

    // A share of accepted connections that may be closed early in 30 days.
    earlyCloseAllowed: 0.01,
    // The pace that takes 2 % of the month's allowance in an hour, and 5 % in six hours.
    burnFast: 14.4,
    burnSlow: 6,
    // Of the fast burn. The objective is an example; with your own this may be 'critical', which pages.
    burnSeverity: 'warning',
    certificateDays: 7,
    // Probes that the budget has deferred in an hour, and the share of scrapes of /probe that got an old result.
    deferredInAnHour: 30,
    oldResults: 0.5,
    staleSeconds: 1800,
    exporterLateSeconds: 10,
    // Of the connections from which on sshd drops some.
    startupsShare: 0.5,
    hostLateSeconds: 300,

    // Seconds between evaluations, as '30s'; empty: Prometheus' own evaluation_interval.
    interval: '',
    // How long an expression holds before its alert fires.
    pending: {
      SshExchangeDown: '5m',
      SshExchangeNobodyGetsIn: '5m',
      SshExchangeAddressFamily: '10m',
      SshExchangeTurnsConnectionsAway: '5m',
      SshExchangeRandomEarlyDrop: '15m',
      SshExchangePenalised: '5m',
      SshExchangeMonitorBanned: '2m',
      SshExchangeMonitorBannedHere: '5m',
      SshExchangeServerFault: '2m',
      SshExchangeStalled: '5m',
      SshExchangeSlow: '10m',
      SshExchangeHostKeyChanged: '0m',
      SshExchangeHostCertificateEnds: '15m',
      SshExchangeBudgetSpent: '15m',
      SshExchangeStale: '5m',
      SshExchangeExporterDown: '5m',
      SshExchangeExporterLate: '10m',
      SshExchangeExporterConfigBad: '5m',
      SshExchangeExporterTargetFilesBad: '5m',
      SshExchangeEarlyCloseBurnsFast: '2m',
      SshExchangeEarlyCloseBurnsSlow: '15m',
      SshdLocalTurnsEveryoneAwaySoon: '2m',
      SshdLocalCritical: '5m',
      SshdLocalWarning: '15m',
      SshdLocalStartupsHigh: '10m',
      SshdLocalDrops: '2m',
      SshdLocalBlindJail: '15m',
      SshdLocalLate: '1m',
      SshdLocalAbsent: '10m',
    },
  },
}
