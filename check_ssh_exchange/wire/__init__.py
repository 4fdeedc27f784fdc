"""SSH before the keys, without a socket and without a clock: bytes and times go in, an ending comes out."""
