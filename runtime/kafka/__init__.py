"""The Kafka edge: every client of ours, how it reads, and what owns a partition."""
