"""The Nagios kit: process, arguments, thresholds, perfdata, states, output, state file. It knows nothing of SSH."""
