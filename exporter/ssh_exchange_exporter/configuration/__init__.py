"""The configuration file: what it may say, and every error of it at once with its place."""
