"""`python -m bench`: our figures beside those of what they are compared with, taken in one run."""
