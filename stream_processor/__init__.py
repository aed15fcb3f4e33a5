"""The Faust app: decodes, scores, counts and dead-letters rows, one transaction a batch."""
