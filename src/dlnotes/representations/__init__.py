"""Representations: learning what pictures and words have in common."""
