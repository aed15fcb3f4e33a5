"""From stored rows to a fitted model."""
