"""Kafka beside Faust: transactions, questions to the log, what `models.v1` says."""
