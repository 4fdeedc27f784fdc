"""The pages for people: plain HTML made on the server, without scripts."""
