"""Bytewax: batches of 1,000, state in a stateful operator, recovery on. Run by `python -m bytewax.run`."""

import os
import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSourceMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow

sys.argv = [sys.argv[0], os.environ["RIVAL_CONFIGURATION"]]
from benchmarks.rivals.work import RivalPrediction, RivalWork, Stats, configuration, encode  # noqa: E402

given = configuration()
work = RivalWork(given)
Answered = tuple[bytes, RivalPrediction]


def score(messages: list[KafkaSourceMessage[bytes, bytes]]) -> list[tuple[str, Answered]]:
    predictions = work.score(
        [(message.partition, message.offset, message.value) for message in messages], given["rows"]
    )
    return [
        (prediction.run_id, (message.key, prediction))
        for message, prediction in zip(messages, predictions, strict=True)
    ]


class Counting(op.StatefulBatchLogic):
    """Statistics of one run; answers pass through."""

    def __init__(self, state: Stats | None) -> None:
        self.stats = Stats("") if state is None else state

    def on_batch(self, values: list[Answered]) -> tuple[list[tuple[str, bytes, bytes]], bool]:
        answers = []
        self.stats.run_id = values[0][1].run_id
        for key, prediction in values:
            self.stats.add(prediction)
            answers.append((given["predictions"], key, encode(prediction)))
        answers.append((given["state"], self.stats.run_id.encode(), encode(self.stats)))
        return answers, False

    def snapshot(self) -> Stats:
        return self.stats


flow = Dataflow("rows")
source = kop.input("in", flow, brokers=[given["bootstrap"]], topics=[given["rows"]], batch_size=1000, tail=True)
scored = op.flat_map_batch("score", source.oks, score)
counted = op.stateful_batch("count", scored, Counting)
out = op.map("record", counted, lambda item: KafkaSinkMessage(item[1][1], item[1][2], topic=item[1][0]))
config = {
    "linger.ms": "5",
    "batch.size": str(1 << 20),
    "queue.buffering.max.messages": "1000000",
    "partitioner": "murmur2_random",
}
kop.output("out", out, brokers=[given["bootstrap"]], topic=given["predictions"], add_config=config)
