"""Dead letters: shown, sent again, purged."""
