"""Rows of other systems, good and bad, and records that imitate our producer: sent twice, out of order, under an epoch
that is over."""

import asyncio
import json
import random
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import polars as pl
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from models.bundle import Bundle, load_bundle, score
from runtime.tasks import stop_client
from schemas.ids import new_run_id
from schemas.messages import PackedRows, Reason
from schemas.topics import CONTENT_TYPE_HEADER, INGRESS, MAX_ROW_BYTES, PACKED, ROWS, TYPE_HEADER
from tests.chaos.hostile_records import DEFAULTS, Forged, forged
from tests.chaos.world import World
from tests.support.brokers import DATA_PARTITIONS

TOKEN_HEADER = "chaos-token"
KEYS = ("line-1", "line-2", "line-3")
POISON_SHARE = 0.12
KEPT = 400
FAR = 10**9
Headers = list[tuple[str, bytes]]
_rows = msgspec.msgpack.Decoder(PackedRows).decode
encode_packed = msgspec.msgpack.Encoder().encode
Body = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """A record that was handed to Kafka and what must become of it: a reason, or P(FAIL) by each model that may
    answer."""

    key: str
    expected: Reason | dict[str, float]
    label: str | None = None
    repaired: dict[str, float] | None = None
    """P(FAIL) once it is mended."""


def _spoilt(chance: random.Random, good: Body) -> tuple[Reason, Body | bytes | None, Headers]:
    """A record that cannot be scored, and why."""
    features = dict(good["features"])
    name = chance.choice([*features])
    without = {other: value for other, value in features.items() if other != name}
    kinds: Sequence[Callable[[], tuple[Reason, Body | bytes | None, Headers]]] = (
        lambda: ("undecodable", b"\x00\xff no JSON", []),
        lambda: ("undecodable", None, []),
        lambda: ("missing_feature", good | {"features": without}, []),
        lambda: ("invalid_field", good | {"features": features | {name: "high"}}, []),
        lambda: ("unknown_feature", good | {"features": features | {"no such sensor": 1.0}}, []),
        lambda: ("unknown_model", good | {"model_version": "model-ffffffffffff"}, []),
        lambda: ("oversized", good | {"padding": "x" * MAX_ROW_BYTES}, []),
        lambda: ("invalid_field", good | {"label": "PERHAPS"}, []),
        lambda: ("unsupported_encoding", good, [(CONTENT_TYPE_HEADER, b"application/xml")]),
        lambda: ("run_owned", good | {"run_id": new_run_id()}, []),
        lambda: ("invalid_field", b"{", [(TYPE_HEADER, b"run-end")]),
        lambda: ("invalid_field", good | {"epoch": 1 << 60, "row_index": 0}, []),
        lambda: ("invalid_field", good, [(TYPE_HEADER, b"run-skip")]),
        lambda: ("invalid_field", good, [(TYPE_HEADER, b"telegram")]),
    )
    return chance.choice(kinds)()


class OtherSystem:
    """Sends rows of the split to `ingress.rows.v1` with a plain client. `sent` says by token what must become of
    each."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.sent: dict[str, Sent] = {}
        self.repaired: dict[str, Body] = {}
        """By token, what a record that cannot be scored should have been."""
        self.failed = 0
        self._bundles: dict[str, Bundle] = {version: load_bundle(world.storage, version) for version in world.models}
        table = pl.read_parquet(world.storage.local(world.split.simulation.path), n_rows=2000)
        self._rows = table.to_dicts()
        self._probabilities = {
            version: score(bundle, table.select(bundle.manifest.features).to_numpy().astype("float32")).tolist()
            for version, bundle in self._bundles.items()
        }

    async def send_forever(self) -> None:
        """Send in bursts until cancelled; with a new client after a failure. What failed may or may not have
        arrived."""
        while True:
            producer = AIOKafkaProducer(**self.world.kafka, enable_idempotence=True, max_request_size=4 << 20)
            try:
                await producer.start()
                while True:
                    sending = [await self._send(producer) for _ in range(self.chance.randint(1, 30))]
                    await asyncio.gather(*sending)
                    await asyncio.sleep(self.chance.uniform(0.05, 0.6))
            except (KafkaError, OSError):
                self.failed += 1
                await asyncio.sleep(0.5)
            finally:
                await stop_client(producer)

    async def _send(self, producer: AIOKafkaProducer) -> Any:
        token = f"token-{len(self.sent)}"
        key = self.chance.choice(KEYS)
        number = self.chance.randrange(len(self._rows))
        versions = [self.chance.choice(self.world.models)] if self.chance.random() < 0.7 else self.world.models
        row = self._rows[number]
        known = self._bundles[self.world.models[0]].manifest
        body: Body = {
            "features": {
                name: _number(row[name]) for name in [*known.features, *known.ignored_features] if name in row
            },
            "sample_id": token,
            "label": row["__label__"],
        } | ({"model_version": versions[0]} if len(versions) == 1 else {})
        value: Body | bytes | None = body
        headers: Headers = []
        right = {version: self._probabilities[version][number] for version in versions}
        if self.chance.random() < POISON_SHARE:
            reason, value, headers = _spoilt(self.chance, body)
            self.sent[token], self.repaired[token] = Sent(key, reason, row["__label__"], right), body
        else:
            self.sent[token] = Sent(key, right, row["__label__"])
        encoded = json.dumps(value).encode() if isinstance(value, dict) else value
        return await producer.send(
            INGRESS.name, encoded, key=key.encode(), headers=[*headers, (TOKEN_HEADER, token.encode())]
        )


def _number(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else value


class Impostor:
    """Copies records of our producer: as they are, in another order, or altered in a way that must make them count for
    nothing, and others that name the same run."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.sent = 0
        self._seen: deque[ConsumerRecord] = deque(maxlen=KEPT)

    async def send_forever(self) -> None:
        """Until cancelled."""
        while True:
            consumer = AIOKafkaConsumer(**self.world.kafka, auto_offset_reset="latest")
            producer = AIOKafkaProducer(**self.world.kafka, max_request_size=4 << 20)
            try:
                await consumer.start()
                await producer.start()
                consumer.assign([TopicPartition(ROWS.name, partition) for partition in range(DATA_PARTITIONS)])
                while True:
                    for records in (await consumer.getmany(timeout_ms=300, max_records=50)).values():
                        self._seen.extend(
                            record for record in records if not any(name == TOKEN_HEADER for name, _ in record.headers)
                        )
                    await consumer.seek_to_end()
                    await self._imitate(producer)
            except (KafkaError, OSError):
                await asyncio.sleep(0.5)
            finally:
                await stop_client(consumer)
                await stop_client(producer)

    async def _imitate(self, producer: AIOKafkaProducer) -> None:
        copies = self.chance.sample([*self._seen], min(len(self._seen), self.chance.randint(0, 12)))
        sending = []
        for record in copies:
            versions: list[Forged] = [(value, headers, None) for value, headers in self._versions(record)]
            for value, headers, partition in [*versions, *forged(record, self.chance)]:
                self.sent += 1
                where = record.partition if partition is None else partition
                sending.append(await producer.send(ROWS.name, value, key=record.key, partition=where, headers=headers))
        await asyncio.gather(*sending)

    def _versions(self, record: ConsumerRecord) -> list[tuple[bytes | None, Headers]]:
        headers = list(record.headers)
        copies: list[tuple[bytes | None, Headers]] = [(record.value, headers)] * self.chance.randint(1, 2)
        with suppress(msgspec.MsgspecError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            packed = dict(headers).get(CONTENT_TYPE_HEADER) == PACKED
            altered = (
                self._packed(record.value)
                if packed
                else self._plain(record.value, dict(headers).get(TYPE_HEADER, b"row"))
            )
            copies += [(value, headers) for value in altered]
        return copies

    def _packed(self, value: bytes) -> list[bytes]:
        """Under the epoch before, and far ahead: all values different, so that it would show if one counted."""
        rows = _rows(value)
        if not rows.epoch or rows.row_index is None:
            return []
        rows.features = np.full(len(rows.features) // 4, 99.0, "<f4").tobytes()
        lanes = rows.lanes or 1
        over = msgspec.structs.replace(
            rows, epoch=rows.epoch - 1, row_index=rows.row_index + lanes * self.chance.randint(0, 3)
        )
        return [
            encode_packed(over),
            encode_packed(msgspec.structs.replace(rows, row_index=rows.row_index + lanes * FAR)),
        ]

    def _plain(self, value: bytes | None, kind: bytes) -> list[bytes]:
        body = DEFAULTS | msgspec.json.decode(value or b"{}")
        if not body.get("epoch"):
            return []
        if kind != b"row":
            return [msgspec.json.encode(body | {"epoch": body["epoch"] - 1, "ending": "FAILED"})]
        body |= {"features": dict.fromkeys(body["features"], 99.0), "label": "FAIL"}
        over = body | {
            "epoch": body["epoch"] - 1,
            "row_index": body["row_index"] + body["lanes"] * self.chance.randint(0, 3),
        }
        return [
            msgspec.json.encode(over),
            msgspec.json.encode(body | {"row_index": body["row_index"] + body["lanes"] * FAR}),
        ]
