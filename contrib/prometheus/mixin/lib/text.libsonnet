// Annotations for one configuration.
function(config) {
  local promql = (import 'promql.libsonnet')(config),
  // A string of Go's templates; the matchers in it have quotes of their own.
  local quoted(text) = std.escapeStringJson(text),
  local first(label) = '{{ . | first | label "%s" }}' % label,

  // The server: a background target has its name in `target`, a scraped probe in `instance`.
  subject:: '{{ with $labels.target }}{{ . }}{{ else }}{{ $labels.instance }}{{ end }}',

  // '5m' as '5 minutes'.
  words(duration):: (
    local count = std.substr(duration, 0, std.length(duration) - 1);
    local unit = { s: 'second', m: 'minute', h: 'hour', d: 'day' }[duration[std.length(duration) - 1]];
    '%s %s%s' % [count, unit, if count == '1' then '' else 's']
  ),

  // Which cause the series about this server or host name, empty if none does.
  causeOfServer:: ' {{- with printf %s $labels.instance $labels.target | query }}%s{{ end }}' % [
    quoted(promql.exchange('ssh_exchange_cause', 'instance=%q,target=%q') + ' == 1'),
    first('cause'),
  ],
  causeOfHost:: ' {{- with printf %s $labels.instance | query }}%s{{ end }}' % [
    quoted(promql.host('sshd_local_cause', 'instance=%q,cause!="healthy"') + ' == 1'),
    first('cause'),
  ],

  // What to do on a server that drops connections.
  holders:: 'On the server `check_sshd_local -v` names who holds the startups; ',
  atMaxStartups:: self.holders + 'raise MaxStartups or limit that client.',

  // A page of the exporter that `instance` names.
  page(path):: (
    local found = config.exporterScheme + '://{{ $labels.instance }}';
    (if config.exporterUrl != '' then config.exporterUrl else found) + path
  ),

  // A page of the runbook. `instance` is the exporter only where there is a `target`; at /probe and on a host it is the
  // SSH server. There the address is that of an exporter that Prometheus scrapes: every one has the same pages.
  runbook(page):: (
    local scraped = '{{- with query %s }}%s{{ else }} {{- %s }}{{ end }}' % [
      quoted(promql.exchange('ssh_exchange_exporter_build_info')),
      first('instance'),
      quoted(config.exporterAddress),
    ];
    // A space before `{{-` is none; it is where a rendered file may begin a new line.
    local found = '%s://{{ if $labels.target }}{{ $labels.instance }}{{ else }} %s{{ end }}';
    (if config.exporterUrl != '' then config.exporterUrl else found % [config.exporterScheme, scraped])
    + '/runbook/' + page
  ),
}
