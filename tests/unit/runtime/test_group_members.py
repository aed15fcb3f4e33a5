"""Members of consumer groups ask for the topics again soon: a broker that has just started may not name all of them, and whoever deals the
partitions out then leaves some to nobody. Seen: five minutes without a projector, aiokafka's default."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.kafka import METADATA_MAX_AGE_MS
from stream_processor.faust_edge import build
from stream_processor.settings import Settings

ROOT = Path(__file__).parents[3]
PROCESSES = ("gateway", "producer", "runtime", "stream_processor", "trainer")


def consumers() -> Iterator[tuple[str, dict[str, str]]]:
    """Where consumers are made, with their named arguments as source text."""
    for path in sorted(path for process in PROCESSES for path in (ROOT / process).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "AIOKafkaConsumer":
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
                yield f"{path.relative_to(ROOT)}:{node.lineno}", given


def test_every_member_of_a_group_asks_for_the_topics_again_within_seconds() -> None:
    members = {place: given for place, given in consumers() if "group_id" in given}
    assert {place.partition(":")[0] for place in members} == {"gateway/projector.py", "runtime/control.py"}
    assert {given.get("metadata_max_age_ms") for given in members.values()} == {"METADATA_MAX_AGE_MS"}
    assert METADATA_MAX_AGE_MS <= 5_000


def test_the_stream_processor_does_so_too() -> None:
    hooks: Any = None
    assert build(Settings(), hooks, lambda stream: None).conf.consumer_metadata_max_age_ms == METADATA_MAX_AGE_MS
