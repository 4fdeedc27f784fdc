// Recording rules: ratios of a server's handshakes, and quantiles of the wait for its banner.
{
  prometheusRules+:: {
    local group = (import '../lib/group.libsonnet')($._config),
    local promql = (import '../lib/promql.libsonnet')($._config),
    local record(name, expr, note='') = { record: 'target:ssh_exchange_' + name, expr: expr, note:: note },

    local earlyClose(window, note='') = record(
      'early_close:ratio_rate' + window, promql.ratio(window, promql.early, promql.accepted), note
    ),
    local banner(name, fraction, note='') = record('banner_seconds:%s_rate5m' % name, |||
      histogram_quantile(%s,
        %s
      )
    ||| % [
      fraction,
      promql.byTarget(
        'rate(%s[5m])' % promql.exchange('ssh_exchange_phase_duration_seconds_bucket', 'phase="banner"'), ['le']
      ),
    ], note),

    groups+: [
      group('ssh_exchange_records', [
        earlyClose(
          '5m',
          'Early closes by accepted connections: from the counters of background targets, else from the results of '
          + '/probe.'
        ),
        earlyClose('30m'),
        earlyClose('1h'),
        earlyClose('6h'),
        record(
          'availability:ratio_rate1h', promql.ratio('1h', promql.completed, ''), 'Completed handshakes by all.'
        ),
        banner(
          'p50',
          '0.5',
          'The wait for the banner, for background targets; /probe has ssh_exchange_phase_seconds{quantile} itself.'
        ),
        banner('p90', '0.9'),
      ]),
    ],
  },
}
