"""What a model version is and how it answers: its bundle, verified, tried out, and scored."""
