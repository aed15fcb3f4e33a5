"""What the service says of itself and of the broker."""
