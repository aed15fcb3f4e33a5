"""Failures of the stream processor, beside those that every process has (`runtime.errors`).

IntelliInspectError (runtime.errors)
├── Unavailable   Kafka or the storage does not answer within the bound: exit 75, nothing acknowledged
└── Fenced        another worker owns the partition now: exit 70
What a failure of Kafka means is told by `runtime.kafka.errors`. A row that cannot be scored is no error: it is a
`Rejected`, a value, and ends as a dead letter.
"""
