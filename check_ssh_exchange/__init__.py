"""Measure a server's SSH exchange and say why it turns connections away."""

__version__ = "0.2.0"
