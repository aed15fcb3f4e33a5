"""Predictions of runs: pages, exports, comparisons; from Redis, or from Kafka where they are older."""
