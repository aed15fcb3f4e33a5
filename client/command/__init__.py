"""The command line: `intelliinspect`."""
