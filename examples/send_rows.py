"""Send rows to IntelliInspect with nothing but a Kafka client, and read the answers.

    python examples/send_rows.py --bootstrap 127.0.0.1:9092 --key line-7 rows.jsonl

Each line of the file is one JSON object of feature values, such as {"L0_S0_F0": 0.13, "L0_S0_F1": null}. Every line is
answered on `predictions.v1` by the champion model, or explained on `dead-letters.v1`; the answers are printed in the
order of the lines. Read them with `isolation_level=read_committed`, as here: most clients do not by themselves, and see
records of transactions that were aborted."""

import argparse
import asyncio
import json
import logging
import sys
from typing import TextIO

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

EXAMPLE = '{"L0_S0_F0": 0.13, "L0_S0_F1": null}'


async def send(bootstrap: str, key: str, lines: list[str], timeout_seconds: float) -> list[dict[str, object]]:
    """Send one row per line and return one answer per line, in order. Raises `TimeoutError`."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False)
    async with producer, consumer:
        partitions = await producer.partitions_for("ingress.rows.v1")
        answers = [
            TopicPartition(topic, number) for topic in ("predictions.v1", "dead-letters.v1") for number in partitions
        ]
        consumer.assign(answers)
        await consumer.seek_to_end(*answers)
        wanted = {}
        for number, line in enumerate(lines):
            value = json.dumps({"features": json.loads(line)}).encode()
            record = await producer.send_and_wait("ingress.rows.v1", value, key=key.encode())
            wanted[record.topic, record.partition, record.offset] = number
        async with asyncio.timeout(timeout_seconds):
            return await collect(consumer, wanted)


async def collect(consumer: AIOKafkaConsumer, wanted: dict[tuple[str, int, int], int]) -> list[dict[str, object]]:
    """Read until every wanted row is answered; an answer names the topic, partition and offset of its row."""
    found: dict[int, dict[str, object]] = {}
    while len(found) < len(wanted):
        record = await consumer.getone()
        answer = json.loads(record.value)
        source = answer["source"] if record.topic == "predictions.v1" else answer
        number = wanted.get((source["topic"], source["partition"], source["offset"]))
        if number is not None:
            found[number] = answer
    return [found[number] for number in sorted(found)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=argparse.FileType("r"), nargs="?", default=sys.stdin)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument("--key", default="line-1", help="one run per key")
    parser.add_argument("--timeout-seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    try:
        lines = read(arguments.file)
    except UnicodeDecodeError as error:
        sys.exit(f"{arguments.file.name} is no text in UTF-8: {error}")
    logging.disable()  # what goes wrong is said below, in one line
    try:
        for answer in asyncio.run(send(arguments.bootstrap, arguments.key, lines, arguments.timeout_seconds)):
            print(json.dumps(answer))
    except TimeoutError:
        sys.exit(
            f"Not every row was answered within {arguments.timeout_seconds:g} s. Is the stream_processor up? See `make"
            " status`."
        )
    except (KafkaError, OSError) as error:
        sys.exit(
            f"Kafka at {arguments.bootstrap} does not answer: {error}. Start the stack by `make up`; `make status`"
            " names its address."
        )


def no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number; write null for a missing value")


def read(file: TextIO) -> list[str]:
    """The lines that hold a row. Ends the program at the first that holds none, before anything is sent."""
    lines = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=no_constant)
        except ValueError as error:
            sys.exit(f"{file.name}, line {number} is no JSON: {error}. Each line is one object, such as {EXAMPLE}")
        if not isinstance(row, dict):
            sys.exit(f"{file.name}, line {number} is no object of feature values. Each line is one, such as {EXAMPLE}")
        lines.append(line)
    if not lines:
        sys.exit(f"{file.name} holds no rows. Each line is one object, such as {EXAMPLE}")
    return lines


if __name__ == "__main__":
    main()
