"""Selects features, trains and evaluates models, writes bundles; jobs run in a child process."""
