"""The view in Redis: what it holds, how it is filled, and what is read from it."""
