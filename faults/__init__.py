"""Every cause made real: `make faults` sets up each fault, runs the plugin against it and compares what it says."""
