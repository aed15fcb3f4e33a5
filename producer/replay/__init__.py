"""Rows of a run, taken from the topic again."""
