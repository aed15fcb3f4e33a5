"""Quix Streams as its documentation shows it: a streaming dataframe, a stateful function, one row at a time."""

from datetime import UTC, datetime

import msgspec
from quixstreams import Application, State

from benchmarks.rivals.work import RivalWork, Stats, configuration, encode

given = configuration()
work = RivalWork(given)
app = Application(
    broker_address=given["bootstrap"],
    consumer_group=given["group"],
    auto_offset_reset="earliest",
    state_dir=given["folder"],
)
rows = app.topic(given["rows"], value_deserializer="bytes", key_deserializer="bytes")
predictions = app.topic(given["predictions"], value_serializer="bytes", key_serializer="bytes")


def score(value: bytes, key: bytes, timestamp: int, headers: object, state: State) -> bytes:
    row = work.decode(value)
    (probability,) = work.predict([row])
    prediction = work.prediction(row, probability, given["rows"], 0, 0, datetime.now(UTC))
    known = state.get("stats")
    run = msgspec.json.decode(known, type=Stats) if known else Stats(row.run_id)
    run.add(prediction)
    state.set("stats", encode(run).decode())
    return encode(prediction)


frame = app.dataframe(rows)
frame = frame.apply(score, stateful=True, metadata=True)
frame.to_topic(predictions)
app.run()
