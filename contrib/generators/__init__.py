"""What writes the definitions of contrib/: a module for each kind."""
