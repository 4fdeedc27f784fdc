"""Tests on real systems that keep what they know in a database; a target of the Makefile runs each."""
