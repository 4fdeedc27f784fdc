"""What other schedulers hand over to the exporter, and what they take back."""
