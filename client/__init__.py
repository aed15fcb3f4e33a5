"""The typed Python client and the intelliinspect command."""
