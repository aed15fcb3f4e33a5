"""A batch of records: read, scored, counted, answered. Pure, given its models."""
