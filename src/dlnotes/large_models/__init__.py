"""Large models."""
