"""REPORT.md from the figures in `results/`, and from notes beside them that say what limits a figure that misses its
goal."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
RESULTS, REPORT = FOLDER / "results", FOLDER / "REPORT.md"
Found = dict[str, Any]
Section = Callable[[Found], list[str]]


def write() -> None:
    """Write the report anew."""
    REPORT.write_text(text())


def text() -> str:
    """The report of all results that there are."""
    parts = [
        "# Measured",
        "",
        "Written by `make bench`; the figures are in `results/`. Ratios are medians of pairs measured side by side.",
        "",
    ]
    sections: dict[str, Section] = {
        "scoring": scoring,
        "latency": latency,
        "ingest": tables("Data in: a CSV becomes a dataset", "ingest"),
        "split": tables("Data in: a dataset is split", "split"),
        "training": tables("Training", "training"),
        "quality": tables("How good the models are", "quality"),
        "growth": growth,
    }
    for name, section in sections.items():
        path = RESULTS / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text())
            parts += [*section(found), "", *_machine(found.get("machine", {})), ""]
    return "\n".join(parts).rstrip() + "\n"


def _machine(machine: Found) -> list[str]:
    return ["<sub>" + " · ".join(f"{name}: {value}" for name, value in machine.items()) + "</sub>"] if machine else []


def _table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[str]:
    names = list(head)
    return [
        f"| {' | '.join(names)} |",
        "|" + "---|" * len(names),
        *[f"| {' | '.join(map(str, row))} |" for row in rows],
    ]


def _goals(goals: Iterable[tuple[str, float | None, float, bool]]) -> list[str]:
    """(what, measured, goal, higher is better) as a table."""
    rows: list[tuple[Any, ...]] = []
    for what, value, goal, higher in goals:
        if value is None:
            rows.append((what, "not measured", goal, ""))
        else:
            reached = value >= goal if higher else value <= goal
            rows.append(
                (what, f"{value:,.2f}", f"{'≥' if higher else '≤'} {goal:g}", "reached" if reached else "**missed**")
            )
    return _table(("goal", "measured", "wanted", ""), rows)


def scoring(found: Found) -> list[str]:
    """Scoring: every contestant, the goals, what limits."""
    medians, size = found["medians"], found["size"]
    ordered = sorted(medians.items(), key=lambda item: -item[1]["rows_per_second"])
    rows = [
        (
            name,
            f"{m['rows_per_second']:,.0f}",
            f"{m['ratio']:.2f}" if "ratio" in m else "",
            f"{m['cpu_microseconds']:.1f}",
            f"{m['peak_mib']:,.0f}",
        )
        for name, m in ordered
    ]
    rounds = found["rounds"]

    def ratio(one: str, other: str) -> float | None:
        pairs = list(zip(_named(rounds, one), _named(rounds, other), strict=False))
        ratios = sorted(a["rows_per_second"] / b["rows_per_second"] for a, b in pairs)
        return ratios[len(ratios) // 2] if ratios else None

    def by_processor(one: str, other: str) -> str:
        pairs = list(zip(_named(rounds, one), _named(rounds, other), strict=False))
        ratios = sorted(b["cpu_microseconds"] / a["cpu_microseconds"] for a, b in pairs)
        return f"{ratios[len(ratios) // 2]:.2f}" if ratios else "not measured"

    contests = (
        ("ours, JSON", "librdkafka loop"),
        ("ours, JSON", "Bytewax 0.21"),
        ("ours, JSON", "Faust, as its guide shows it"),
        ("ours, packed, 1 row a record", "ours, JSON"),
        ("ours, packed, 128 rows a record", "in memory, packed"),
    )
    goals = [
        ("JSON / librdkafka loop", ratio("ours, JSON", "librdkafka"), 1.0, True),
        ("JSON / Bytewax", ratio("ours, JSON", "Bytewax"), 1.3, True),
        ("JSON / the Faust guide's way", ratio("ours, JSON", "Faust"), 30.0, True),
        ("packed, 1 row a record / JSON", ratio("ours, packed, 1 row", "ours, JSON"), 3.0, True),
        ("packed, several rows / in memory", ratio("ours, packed, 128", "in memory, packed"), 0.65, True),
    ]
    return [
        "## Scoring",
        "",
        (
            f"{size['rows']:,} rows of {size['features']} features in {size['runs']} runs on {size['partitions']}"
            f" partitions, {size['trees']} trees of depth {size['depth']}, one worker process. `rows.v1` is full before"
            " the start; the clock runs from the answer of the first tenth to the last answer. Ours is exactly-once"
            " with every check; each contestant's answers were compared with the expected ones, row by row, before its"
            " time counted. In memory: decode, predict, encode, no Kafka, no counting."
        ),
        "",
        *_table(("contestant", "rows/s", "to ours, JSON", "CPU µs a row", "peak MiB"), rows),
        "",
        *_goals(goals),
        "",
        "The same ratios by processor time a row, which a busy machine disturbs less: "
        + ", ".join(f"{one} / {other} {by_processor(one, other)}" for one, other in contests)
        + ".",
        "",
        *[f"- {name}: {why.splitlines()[-1][:300] if why else why}" for name, why in found["problems"].items()],
        *[f"- {name}: {rate:,.0f} rows/s put on the topic" for name, rate in found["producer"].items()],
        *_notes("scoring"),
    ]


def _named(rounds: Found, beginning: str) -> list[dict[str, float]]:
    return next((figures for name, figures in rounds.items() if name.startswith(beginning)), [])


def latency(found: Found) -> list[str]:
    """Latency at each pace, polls, streams."""
    rows = [
        (
            pace if " " in pace else f"{pace} rows/s",
            name,
            *[f"{q[key]:.1f}" for key in ("p50", "p99", "p99.9", "max")],
            int(q["rows"]),
        )
        for pace, kinds in found["paces"].items()
        for name, q in kinds.items()
    ]
    streams, polls = found["streams"], found["polls"]
    rows.append(
        (
            f"100 rows/s, {streams['clients']} streams",
            "event",
            *[f"{streams[key]:.1f}" for key in ("p50", "p99", "p99.9", "max")],
            int(streams["rows"]),
        )
    )
    slowed = found["full_speed_polled"] / found["full_speed"]
    goals = [
        *[
            (f"{key} at {pace} rows/s (ms)", found["paces"][pace]["readable"][key], goal, False)
            for pace in ("1", "100")
            for key, goal in (("p50", 8.0), ("p99", 25.0))
        ],
        ("p99 of status polls at 500 requests/s (ms)", polls["p99"], 20.0, False),
        ("full speed while polled / alone", slowed, 0.9, True),
    ]
    return [
        "## Latency",
        "",
        (
            "From the row's record on `rows.v1` to the answer, milliseconds, the first row of a run included, in a"
            " whole stack on one machine (Kafka, Redis, every process, and the measuring client). Readable: had by a"
            " request that was made when the row's event came."
        ),
        "",
        *_table(("", "answer", "p50", "p99", "p99.9", "largest", "rows"), rows),
        "",
        "Reading a run, by the rows that it has scored (p50 of 200 reads, milliseconds):",
        "",
        *_table(
            ("rows", *next(iter(found["reads"].values()))),
            [(rows, *[f"{ms:.1f}" for ms in each.values()]) for rows, each in found["reads"].items()],
        ),
        "",
        (
            f"A run at full speed, from sending to the statistics at the gateway: {found['full_speed']:,.0f} rows/s;"
            f" with 500 status requests a second {found['full_speed_polled']:,.0f} rows/s, a status in p50"
            f" {polls['p50']:.1f} ms, p99 {polls['p99']:.1f} ms."
        ),
        "",
        *_goals(goals),
        *_notes("latency"),
    ]


def tables(title: str, name: str) -> Section:
    """A section of tables that the benchmark made itself."""

    def section(found: Found) -> list[str]:
        parts = [line for caption, text in found["tables"].items() for line in (f"**{caption}**", "", text, "")]
        goals = [*_goals(found["goals"]), ""] if "goals" in found else []
        return [f"## {title}", "", *parts, *goals, *_notes(name)]

    return section


def growth(found: Found) -> list[str]:
    """What a row costs as the work grows."""
    lines = [
        "## Growth",
        "",
        "Processor microseconds a row: decoding, scoring, counting, encoding.",
        "",
        "![growth](results/growth.svg)",
        "",
    ]
    for name, table in found["tables"].items():
        encodings = ("JSON", "packed")
        cells = [[f"{table[v][e]:.1f}" if e in table[v] else "" for v in table] for e in encodings]
        lines += [
            *_table((name, *[f"{int(v):,}" for v in table]), [(e, *c) for e, c in zip(encodings, cells, strict=True)]),
            "",
        ]
    return [*lines, *_notes("growth")]


def _notes(name: str) -> list[str]:
    path = RESULTS / f"{name}.notes.md"
    return ["", path.read_text().strip()] if path.exists() else []
