"""What tests, faults and bench start: servers in chroots, networks, daemons, scripted servers."""
