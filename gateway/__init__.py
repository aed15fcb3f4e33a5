"""The REST contract, /v1, server-sent events, and the projector that fills the views."""
