"""What can go wrong with the development stack. Each message says what to do next.

DevstackError
├── DownloadFailed   a part could not be fetched
├── PortTaken        a port is in use; the message names who holds it
├── PartFailed       a part did not start, or ended; the message ends with the last lines of its log
├── TopicsDiffer     topics exist with other partition counts than wanted
└── Mismatch         the demo's streamed numbers are not those of the recount
"""


class DevstackError(Exception):
    """Base of all expected failures."""


class DownloadFailed(DevstackError):
    """A part could not be fetched from its registry."""


class PortTaken(DevstackError):
    """Another process listens where a part of the stack is to listen."""


class PartFailed(DevstackError):
    """A part did not become ready, or ended by itself."""


class TopicsDiffer(DevstackError):
    """The broker has topics with other partition counts; nobody can change them safely but their owner."""


class Mismatch(DevstackError):
    """The streamed numbers are not those of the recount."""
