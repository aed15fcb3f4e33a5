"""Read predictions with nothing but a Kafka client, each once, also over restarts of this program.

    python examples/consume_predictions.py --bootstrap 127.0.0.1:9092 --group quality-board

`isolation_level=read_committed` is what makes it exact: answers are written in transactions, and most clients show
those of aborted ones unless told otherwise. A group remembers how far it has come, and is told only after the rows are
printed: after a crash some may come again, with the same `prediction_id`. `--from-start` begins a new group at the
oldest answer that is kept, `--limit` ends by itself."""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

PATIENCE_SECONDS = 1.0


async def predictions(consumer: AIOKafkaConsumer) -> AsyncIterator[list[dict[str, object]]]:
    """Batches of answers, for ever; empty ones now and then. What came before is taken as done when the next one is
    asked for."""
    while True:
        fetched = await consumer.getmany(timeout_ms=int(1000 * PATIENCE_SECONDS), max_records=500)
        # a record without a value warms a partition up, and is no answer
        yield [json.loads(record.value) for records in fetched.values() for record in records if record.value]
        if fetched:
            await consumer.commit()


async def follow(bootstrap: str, group: str, run_id: str | None, from_start: bool, limit: int | None) -> None:
    """Print one line of JSON for each answer."""
    consumer = AIOKafkaConsumer(
        "predictions.v1",
        bootstrap_servers=bootstrap,
        group_id=group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest" if from_start else "latest",
    )
    printed = 0
    async with consumer:
        async for batch in predictions(consumer):
            for answer in batch:
                if run_id is None or answer["run_id"] == run_id:
                    print(
                        json.dumps(
                            {name: answer[name] for name in ("prediction_id", "prediction", "probability_fail")}
                        ),
                        flush=True,
                    )
                    printed += 1
                if printed == limit:
                    return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bootstrap", default="127.0.0.1:9092")
    parser.add_argument(
        "--group", default="other-consume-predictions", help="who reads; two programs of one group share the rows"
    )
    parser.add_argument("--run", help="only answers of this run")
    parser.add_argument("--from-start", action="store_true")
    parser.add_argument("--limit", type=int, help="end after so many")
    arguments = parser.parse_args()
    try:
        asyncio.run(follow(arguments.bootstrap, arguments.group, arguments.run, arguments.from_start, arguments.limit))
    except KeyboardInterrupt:
        pass
    except (KafkaError, OSError) as error:
        sys.exit(f"Kafka at {arguments.bootstrap} does not answer: {error}. `make status` names its address.")


if __name__ == "__main__":
    main()
