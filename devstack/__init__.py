"""Embedded Kafka and Redis, the supervised process group, the demo, the data generator."""
