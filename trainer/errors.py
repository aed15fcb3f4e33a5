"""The errors of the trainer, beyond `runtime.errors` and `storage.errors`.

JobFailed       the task cannot succeed as it was given: it ends FAILED with these words
"""


class JobFailed(Exception):
    """The words are for a person."""
