"""Runs: begun, steered, shown, replayed."""
