// Expressions for one configuration.
function(config) {
  local labels = std.join(', ', config.targetLabels),
  local select(name, matchers) = (
    local given = std.filter(function(one) one != '', matchers);
    name + (if given == [] then '' else '{%s}' % std.join(',', given))
  ),

  // Series of the exporter, of check_sshd_local, and of the jobs that scrape them.
  exchange(name, matchers=''):: select(name, [config.exchangeSelector, matchers]),
  host(name, matchers=''):: select(name, [config.hostSelector, matchers]),
  job(name):: select(name, [config.exchangeSelector, config.jobSelector]),
  hostJob(name):: select(name, [config.hostSelector, config.hostJobSelector]),

  cause(words, matchers=[]):: self.exchange(
    'ssh_exchange_cause',
    std.join(',', matchers + ['cause%s"%s"' % [if std.length(words) == 1 then '=' else '=~', std.join('|', words)]])
  ),

  onTarget(extra=[]):: 'on (%s)' % std.join(', ', config.targetLabels + extra),
  byTarget(expression, extra=[]):: 'sum by (%s) (%s)' % [std.join(', ', config.targetLabels + extra), expression],

  early:: 'ending=~"closed|reset|turned_away|closed_after_banner"',
  accepted:: 'ending!~"refused|rejected|unreachable|connect_timeout"',
  completed:: 'ending="completed"',

  // Handshakes by handshakes: from the counters of background targets, else from the results of /probe.
  ratio(window, above, below):: std.join('or\n', [
    |||
      (
        sum by (%(labels)s) (
          %(rate)s(%(above)s[%(window)s])
        )
        /
        (sum by (%(labels)s) (
          %(rate)s(%(below)s[%(window)s])
        ) > 0)
      )
    ||| % {
      labels: labels,
      rate: way[0],
      above: $.exchange(way[1], above),
      below: $.exchange(way[1], below),
      window: window,
    }
    for way in [['rate', 'ssh_exchange_handshakes_total'], ['sum_over_time', 'ssh_exchange_handshakes']]
  ]),

  // A server under one name, whichever way it was probed: its target, or at /probe its instance.
  server(words):: |||
    (
      label_replace(
        %(background)s == 1, "server", "$1", "target", "(.+)"
      )
      or
      label_replace(
        %(probed)s == 1, "server", "$1", "instance", "(.+)"
      )
    )
  ||| % {
    background: $.cause(words, ['target!=""']),
    probed: $.cause(words, ['target=""']),
  },
}
