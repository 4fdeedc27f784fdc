"""What a snapshot says, one module for each item; pure."""
