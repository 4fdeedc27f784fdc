// The monitoring mixin of check_ssh_exchange: prometheusRules, prometheusAlerts, grafanaDashboards, _config.
(import 'config.libsonnet')
+ (import 'rules/records.libsonnet')
+ (import 'alerts/servers.libsonnet')
+ (import 'alerts/exporter.libsonnet')
+ (import 'alerts/burn_rate.libsonnet')
+ (import 'alerts/hosts.libsonnet')
+ (import 'dashboards.libsonnet')
