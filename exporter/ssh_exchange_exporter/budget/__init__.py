"""How many handshakes a source address may still make against a server."""
