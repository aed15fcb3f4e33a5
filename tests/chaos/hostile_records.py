"""Records about runs of ours from somebody who wishes them ill, and transactions that somebody leaves open. None may
change a number."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.errors import KafkaError

from runtime.kafka.reading import partition_for
from runtime.tasks import stop_client
from schemas.ids import row_key
from schemas.messages import PackedRows
from schemas.topics import CONTENT_TYPE_HEADER, JSON, PACKED, REDRIVE_HEADER, ROWS, TYPE_HEADER
from tests.chaos.world import World
from tests.support.brokers import DATA_PARTITIONS

FORGED = 2**60
DEFAULTS = {"attempt": 1, "lane": 0, "lanes": 1}
"""What a row in JSON leaves out when it is so."""
Forged = tuple[bytes | None, Sequence[tuple[str, bytes | None]], int | None]
"""Value, headers, and the partition; null: that of the record that is imitated."""
_rows = msgspec.msgpack.Decoder(PackedRows).decode
encode = msgspec.json.encode
encode_packed = msgspec.msgpack.Encoder().encode


def forged(record: ConsumerRecord, chance: random.Random) -> list[Forged]:
    """Some records that name the run of a record of ours."""
    headers = dict(record.headers)
    packed = headers.get(CONTENT_TYPE_HEADER) == PACKED
    body: dict[str, Any] = {}
    with suppress(msgspec.MsgspecError, ValueError, TypeError, AttributeError, RecursionError):
        if packed:
            rows = _rows(record.value)
            body = {name: getattr(rows, name) for name in ("run_id", "attempt", "epoch", "lane", "lanes", "row_index")}
        else:
            body = DEFAULTS | msgspec.json.decode(record.value or b"{}")
    if body.get("epoch") is None or body.get("run_id") is None:
        return []
    home = partition_for(row_key(str(body["run_id"]), body["lane"], body["lanes"]), DATA_PARTITIONS)
    away = (
        home + chance.randint(1, DATA_PARTITIONS - 1)
    ) % DATA_PARTITIONS  # what is imitated may be forged itself, and not at home
    whose = {name: body[name] for name in ("run_id", "attempt", "epoch", "lane", "lanes")}
    row = whose | {"row_index": body.get("row_index") or 0, "features": {"x": 1.0}}
    end = whose | {"end_index": row["row_index"], "ending": "STOPPED"}
    skip = whose | {"from_index": 0, "to_index": 2**50}
    letter = {
        "dead_letter_id": "9-9",
        "run_id": whose["run_id"],
        "row_index": 0,
        "lane": whose["lane"],
        "attempt": whose["attempt"],
    }
    is_end, is_skip, is_purge = [(TYPE_HEADER, b"run-end")], [(TYPE_HEADER, b"run-skip")], [(TYPE_HEADER, b"purge")]
    kinds: list[Forged] = [
        (record.value, [*record.headers], away),
        (encode(row | {"epoch": FORGED}), [], None),
        (encode(row | {"attempt": whose["attempt"] + 1}), [], None),
        (encode(row | {"epoch": FORGED}), [], away),
        (encode(row | {"lanes": whose["lanes"] + 3}), [], None),
        (encode(row | {"row_index": False}), [], None),
        (encode(end), is_end, None),
        (encode(end), is_end, away),
        (encode(end | {"epoch": FORGED}), is_end, None),
        (encode(end | {"attempt": 2**40}), is_end, None),
        (encode(skip), is_skip, None),
        (encode(skip | {"from_index": row["row_index"], "to_index": row["row_index"] + whose["lanes"]}), is_skip, None),
        (encode(skip), is_skip, away),
        (encode(skip | {"epoch": FORGED}), is_skip, None),
        (encode(skip | {"lanes": 0}), is_skip, None),
        (encode(skip | {"lanes": 2**62}), is_skip, None),
        (encode(letter), is_purge, away),
        (encode(row), [(REDRIVE_HEADER, encode(letter))], away),
        (b'{"run_id":' + b"[" * 5000, [], None),
        (b'{"run_id":"\xff"}', is_end, None),
        (b"\xdd\xff\xff\xff\xff", [(CONTENT_TYPE_HEADER, PACKED)], None),
        (encode(row), [(TYPE_HEADER, None), (CONTENT_TYPE_HEADER, None)], None),
        (encode(row | {"model_version": "../" * 60}), [(CONTENT_TYPE_HEADER, JSON)], away),
    ]
    if packed:
        kinds.append(
            (
                encode_packed(msgspec.structs.replace(_rows(record.value), epoch=FORGED)),
                [(CONTENT_TYPE_HEADER, PACKED)],
                None,
            )
        )
    return chance.sample(kinds, chance.randint(1, 4))


class Blocker:
    """Opens transactions on `rows.v1`, and ends them late or leaves them to the broker."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.opened = 0

    async def block_forever(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self.chance.uniform(2, 8))
            producer = AIOKafkaProducer(
                **self.world.kafka, transactional_id=f"somebody-{self.opened}", transaction_timeout_ms=6_000
            )
            try:
                async with asyncio.timeout(20):
                    await producer.start()
                    await producer.begin_transaction()
                    partition = self.chance.randrange(DATA_PARTITIONS)
                    await producer.send_and_wait(ROWS.name, b"{", key=b"somebody", partition=partition)
                self.opened += 1
                await asyncio.sleep(self.chance.uniform(0, 5))
                if self.chance.random() < 0.6:
                    await (
                        producer.commit_transaction() if self.chance.random() < 0.5 else producer.abort_transaction()
                    )
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(0.5)
            finally:
                with suppress(Exception):  # one that was left open says so when it is stopped
                    async with asyncio.timeout(2):
                        await stop_client(producer)
