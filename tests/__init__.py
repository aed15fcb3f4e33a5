"""Tests: unit (seconds, no network), contract, integration (real Kafka and Redis), e2e (all processes)."""
