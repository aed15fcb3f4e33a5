"""The errors of the trainer, beyond `runtime.errors`.

JobFailed       the task cannot succeed as it was given: it ends FAILED with these words
StorageDown     the storage did not answer in the bounded number of tries: the trainer stops with 75, the next one tries again
"""


class JobFailed(Exception):
    """The words are for a person."""


class StorageDown(Exception):
    """The words are the storage's."""
