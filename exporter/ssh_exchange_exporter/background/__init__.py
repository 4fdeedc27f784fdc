"""Probes of background targets: which, when, and what they add up to."""
