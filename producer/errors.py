"""What can go wrong with a run.

IntelliInspectError (runtime.errors: Unavailable, Fenced)
├── RunFailed     the run cannot go on whatever we do: its split or model is missing or broken; it ends FAILED with this
reason
└── IllegalMove   an order that does not fit the run as it is; ignored with a log, the gateway has answered 409 where it
could
    └── Forged    one that no process of ours can have sent; kept in quarantine
"""

from runtime.errors import IntelliInspectError


class RunFailed(IntelliInspectError):
    """The reason, in words for the person who started the run."""


class IllegalMove(IntelliInspectError):
    """Why the order is ignored."""


class Forged(IllegalMove):
    """What shows that no process of ours sent it."""
