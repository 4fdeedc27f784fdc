"""HTTP: listening sockets, TLS, users, endpoints."""
