"""The whole system in a terminal. Pure."""

from rich.console import Group, RenderableType
from rich.text import Text

from client.command.show import facts, listing, size
from schemas.http.system import System, SystemPart

STYLES = {"up": "green", "down": "bold red", "unknown": "yellow"}


def system(found: System, url: str) -> RenderableType:
    """Parts, figures, topics."""
    parts = [(part.name, Text.assemble((part.state, STYLES[part.state]), _about(part))) for part in found.parts]
    topics = [
        (
            topic.name,
            f"{topic.partitions:,}",
            f"{topic.offsets:,}",
            "–" if topic.size_bytes is None else size(topic.size_bytes),
        )
        for topic in found.topics
    ]
    return Group(
        facts(f"system {url}", [*parts, *_figures(found)]),
        listing(("topic", "partitions ", "offsets ", "size "), topics, empty="Kafka does not answer."),
    )


def _about(part: SystemPart) -> str:
    processes = "" if part.processes is None else f", {part.processes:,} running"
    said = f": {part.detail}" if part.detail else ""
    return f"{processes}{said}" + (f" ({part.meaning})" if part.state == "down" else "")


def _figures(found: System) -> list[tuple[str, str]]:
    lag = "–" if found.total_lag is None else f"{found.total_lag:,} records"
    pace = "–" if found.records_per_second is None else f"{found.records_per_second:,.1f} records/s"
    slow = found.latency
    took = (
        "–"
        if slow is None
        else f"median {1000 * slow.median_seconds:,.0f} ms, 95 % within {1000 * slow.p95_seconds:,.0f} ms"
    )
    redis = "–" if found.redis is None else f"{size(found.redis.used_bytes)}, {found.redis.keys:,} keys"
    return [("lag", lag), ("throughput", pace), ("latency", took), ("redis memory", redis)]
