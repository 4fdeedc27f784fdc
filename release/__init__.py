"""What makes a release: the archives that are published (`dist`), and the checks before it (`python -m release`)."""
