"""Rows and markers on their way to `rows.v1`."""
