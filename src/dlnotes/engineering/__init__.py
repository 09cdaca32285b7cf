"""Engineering notebook."""
