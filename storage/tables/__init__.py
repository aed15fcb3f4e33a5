"""Tables: a CSV taken in, what its columns are, and its splits."""
