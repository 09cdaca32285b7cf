"""Homework: from a master notebook to grades, with strangers' code kept in a box."""
