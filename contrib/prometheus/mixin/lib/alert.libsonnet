// The frame of an alert. `note` becomes a comment in the rendered file; Prometheus does not see it.
function(config) function(name, severity, expr, summary, description, link, note='') {
  alert: name,
  expr: expr,
  [if config.pending[name] != '0m' then 'for']: config.pending[name],
  labels: { severity: severity },
  annotations: {
    summary: summary,
    description: description,
    runbook_url: link,
  },
  note:: note,
}
