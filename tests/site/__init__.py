"""What the pages of the site show: blocks of commands and output, run for real (`python -m tests.site` writes them)."""
