"""What is said of a fitted model: figures, curves, doubts."""
