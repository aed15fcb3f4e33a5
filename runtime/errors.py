"""The errors of processes, and how each ends.

IntelliInspectError
├── ConfigurationError   the environment is wrong: say all of it, exit 78
├── Unavailable          a part (named) does not answer: bounded retry, then stop without acknowledging, exit 75
└── Fenced               another process owns this work now: stop at once, exit 70, write nothing more
Anything else is a bug: log, exit 70; the supervisor restarts the process.
"""

EXIT_BUG = 70
EXIT_UNAVAILABLE = 75
EXIT_CONFIGURATION = 78


class IntelliInspectError(Exception):
    """Base of all expected failures."""


class ConfigurationError(IntelliInspectError):
    """The settings are wrong."""


class Unavailable(IntelliInspectError):
    """A part that we depend on does not answer. `part` is `kafka`, `redis` or `storage`."""

    def __init__(self, part: str, detail: str) -> None:
        super().__init__(f"{part} is unavailable: {detail}")
        self.part = part


class Fenced(IntelliInspectError):
    """A newer owner has taken over; whatever this process still holds is stale."""
