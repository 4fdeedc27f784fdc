// A group of rules.
function(config) function(name, rules, note='') {
  name: name,
  [if config.interval != '' then 'interval']: config.interval,
  rules: rules,
  note:: note,
}
