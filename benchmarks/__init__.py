"""Measurements against the best public alternatives: `make bench`, results in REPORT.md."""
