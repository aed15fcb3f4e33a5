"""A plain librdkafka loop: batches of 1,000, statistics in memory, written to a topic, offsets committed by librdkafka
in the background.

Guarantees nothing: after a crash rows are counted twice or not at all, and the statistics begin anew.
"""

from confluent_kafka import Consumer, Producer

from benchmarks.rivals.work import RivalWork, Stats, configuration, encode

given = configuration()
work = RivalWork(given)
consumer = Consumer(
    {
        "bootstrap.servers": given["bootstrap"],
        "group.id": given["group"],
        "auto.offset.reset": "earliest",
        "queued.max.messages.kbytes": 65536,
        "fetch.message.max.bytes": 4 << 20,
    }
)
producer = Producer(
    {
        "bootstrap.servers": given["bootstrap"],
        "linger.ms": 5,
        "batch.size": 1 << 20,
        "queue.buffering.max.messages": 1_000_000,
        "partitioner": "murmur2_random",
    }
)
consumer.subscribe([given["rows"]])
stats: dict[str, Stats] = {}
while True:
    messages = [message for message in consumer.consume(1000, timeout=0.1) if message.error() is None]
    if not messages:
        producer.poll(0)
        continue
    predictions = work.score(
        [(message.partition(), message.offset(), message.value()) for message in messages], given["rows"]
    )
    touched = set()
    for message, prediction in zip(messages, predictions, strict=True):
        run = stats.get(prediction.run_id) or stats.setdefault(prediction.run_id, Stats(prediction.run_id))
        run.add(prediction)
        touched.add(prediction.run_id)
        producer.produce(given["predictions"], encode(prediction), key=message.key(), partition=message.partition())
    for run_id in touched:
        producer.produce(given["state"], encode(stats[run_id]), key=run_id.encode())
    producer.poll(0)
