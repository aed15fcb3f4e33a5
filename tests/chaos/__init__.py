"""Chaos: the whole stack under a seeded schedule of disturbances, then every number compared with an offline
recount."""
