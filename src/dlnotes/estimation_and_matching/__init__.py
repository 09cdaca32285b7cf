"""Estimation and matching."""
