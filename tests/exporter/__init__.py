"""Tests of the exporter: its parts by themselves, and the whole program over HTTP."""
