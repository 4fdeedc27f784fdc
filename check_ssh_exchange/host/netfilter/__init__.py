"""What nftables and iptables would do with a new connection, from their own listings: pure, nothing is asked again."""
