"""Replays the rows of a run into rows.v1 at its pace, and finds them again after a crash."""
