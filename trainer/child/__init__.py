"""The child process that does a job, and what is said to it."""
