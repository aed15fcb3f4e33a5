"""Spark structured streaming: micro-batches from Kafka, scored by `mapInPandas`, statistics kept beside, both written
to Kafka."""

import os
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import DataFrame, SparkSession

from benchmarks.rivals import work

given = work.configuration()
spark = (
    SparkSession.builder.master(f"local[{given['cores']}]")
    .config("spark.jars", ",".join(given["jars"]))
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.driver.memory", "1g")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
loaded: dict[str, work.RivalWork] = {}


def score(parts: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    mine = loaded.get("work") or loaded.setdefault("work", work.RivalWork(given))
    for part in parts:
        for start in range(0, len(part), 1000):
            some = part.iloc[start : start + 1000]
            records = list(zip(some["partition"], some["offset"], map(bytes, some["value"]), strict=True))
            predictions = mine.score([(int(p), int(o), v) for p, o, v in records], given["rows"])
            yield pd.DataFrame(
                {
                    "key": some["key"].map(bytes).tolist(),
                    "value": [work.encode(prediction) for prediction in predictions],
                    "partition": some["partition"].tolist(),
                }
            )


def write(batch: DataFrame, _number: int) -> None:
    scored = batch.select("key", "value", "partition", "offset").mapInPandas(
        score, "key binary, value binary, partition int"
    )
    options = {"kafka.bootstrap.servers": given["bootstrap"]}
    scored.write.format("kafka").options(**options).option("topic", given["predictions"]).save()


source = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", given["bootstrap"])
    .option("subscribe", given["rows"])
    .option("startingOffsets", "earliest")
    .option("maxOffsetsPerTrigger", given["micro_batch"])
    .load()
)
source.writeStream.foreachBatch(write).option(
    "checkpointLocation", os.path.join(given["folder"], "checkpoint")
).start().awaitTermination()
