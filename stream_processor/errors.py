"""Failures of the stream processor, beside those that every process has (`runtime.errors`).

IntelliInspectError (runtime.errors)
├── Unavailable   Kafka or the storage does not answer within the bound: exit 75, nothing acknowledged
└── Fenced        another worker owns the partition now: exit 70
A row that cannot be scored is no error: it is a `decode.Rejected`, a value, and ends as a dead letter.
"""

from aiokafka.errors import InvalidProducerEpoch, KafkaError, ProducerFenced

from runtime.errors import Fenced, Unavailable

FENCED = (ProducerFenced, InvalidProducerEpoch)


def classify(error: BaseException, doing: str) -> BaseException:
    """Return what a failure of Kafka means: `Fenced`, `Unavailable`, or the error itself when it is a bug."""
    if isinstance(error, FENCED):
        return Fenced(f"{doing}: {error!r}")
    if isinstance(error, KafkaError | OSError | TimeoutError):
        return Unavailable("kafka", f"{doing}: {error!r}")
    return error
