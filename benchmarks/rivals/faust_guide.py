"""Faust as its own guide shows it: an agent, a table, one row at a time."""

import sys
from datetime import UTC, datetime

import faust
import msgspec

from benchmarks.rivals.work import RivalWork, Stats, configuration, encode

given = configuration()
work = RivalWork(given)
app = faust.App(
    given["group"],
    broker="kafka://" + given["bootstrap"],
    store="memory://",
    topic_partitions=given["partitions"],
    web_enabled=False,
)
rows = app.topic(given["rows"], key_type=bytes, value_type=bytes, value_serializer="raw")
predictions = app.topic(given["predictions"], key_type=bytes, value_type=bytes, value_serializer="raw")
stats = app.Table("stats", key_type=str, value_type=str, partitions=given["partitions"])


@app.agent(rows)
async def score(stream: faust.StreamT[bytes]) -> None:
    async for event in stream.events():
        row = work.decode(event.value)
        (probability,) = work.predict([row])
        message = event.message
        prediction = work.prediction(
            row, probability, message.topic, message.partition, message.offset, datetime.now(UTC)
        )
        known = stats.get(row.run_id)
        run = msgspec.json.decode(known, type=Stats) if known else Stats(row.run_id)
        run.add(prediction)
        stats[row.run_id] = encode(run).decode()
        await predictions.send(key=event.key, value=encode(prediction))


if __name__ == "__main__":
    sys.argv = [sys.argv[0], "worker", "--loglevel=warn"]
    app.main()
