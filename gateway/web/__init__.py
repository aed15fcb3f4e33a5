"""HTTP itself: what is the same for all routes."""
