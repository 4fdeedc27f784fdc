// Alerts by an objective, in two windows each.
{
  prometheusAlerts+:: {
    local config = $._config,
    local alert = (import '../lib/alert.libsonnet')(config),
    local group = (import '../lib/group.libsonnet')(config),
    local promql = (import '../lib/promql.libsonnet')(config),
    local text = (import '../lib/text.libsonnet')(config),

    local burns(name, severity, long, short, pace, span) = alert(
      name,
      severity,
      |||
        %(long)s > %(pace)g * %(allowed)g
        and
        %(short)s > %(pace)g * %(allowed)g
      ||| % {
        long: promql.exchange('target:ssh_exchange_early_close:ratio_rate' + long),
        short: promql.exchange('target:ssh_exchange_early_close:ratio_rate' + short),
        pace: pace,
        allowed: config.earlyCloseAllowed,
      },
      'An SSH server closes too many connections early for its objective.',
      text.subject + ' ended {{ $value | humanizePercentage }} of the connections of the last '
      + '%s early; %g%% is allowed. ' % [span, config.earlyCloseAllowed * 100] + text.atMaxStartups,
      text.runbook('maxstartups'),
    ),

    groups+: [
      group(
        'ssh_exchange_burn_rate',
        [
          burns('SshExchangeEarlyCloseBurnsFast', config.burnSeverity, '1h', '5m', config.burnFast, 'hour'),
          burns('SshExchangeEarlyCloseBurnsSlow', 'warning', '6h', '30m', config.burnSlow, '6 hours'),
        ],
        ('An example: %g %% of the accepted connections shall reach the key exchange in 30 days, so %g %% may be '
         + "closed early. At 14.4 times that pace an hour takes 2 %% of the month's allowance, at 6 times six hours "
         + 'take 5 %%. The shorter window ends the alert soon after the trouble has ended.') % [
          100 - config.earlyCloseAllowed * 100,
          config.earlyCloseAllowed * 100,
        ]
      ),
    ],
  },
}
