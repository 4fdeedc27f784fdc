"""What Prometheus reads: which format it asked for, and the series of one probe and of the fleet."""
