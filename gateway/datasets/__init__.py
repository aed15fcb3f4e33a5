"""Uploads, datasets and splits."""
