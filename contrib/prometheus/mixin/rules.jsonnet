// All rules as one rule file: `jsonnet rules.jsonnet >rules.json`, which Prometheus reads as YAML.
local mixin = import 'mixin.libsonnet';
{ groups: mixin.prometheusRules.groups + mixin.prometheusAlerts.groups }
