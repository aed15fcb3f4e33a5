"""Trainings and model versions."""
