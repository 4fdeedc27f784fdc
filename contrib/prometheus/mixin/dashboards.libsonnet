// The dashboards of ../../grafana, by file name.
{
  grafanaDashboards+:: {
    'ssh-exchange-fleet.json': import '../../grafana/fleet.json',
    'ssh-exchange-server.json': import '../../grafana/server.json',
  },
}
