"""The report of a game: what was done, what was found, and how to do it again."""

import json
from pathlib import Path

from tests.chaos.play import Outcome


def report(outcome: Outcome, folder: Path, took_seconds: float) -> str:
    """The whole of it for a person; its last line is JSON for a table."""
    minutes = outcome.seconds / 60
    lines = [
        f"chaos, seed {outcome.seed}, {minutes:g} min of disturbance, {took_seconds:.0f} s in all",
        "",
        *outcome.done,
        "",
    ]
    for title, counts in (
        ("disturbances", outcome.disturbances),
        ("orders and refusals", outcome.orders),
        ("ended", outcome.exits),
        ("runs", outcome.runs),
        ("figures", outcome.figures),
    ):
        lines.append(f"{title}: {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")
    lines.append("")
    if outcome.findings:
        lines += [f"{len(outcome.findings)} findings:", *(f"  - {finding}" for finding in outcome.findings)]
        lines.append(f"logs and data: {folder}")
    else:
        lines.append("every number is right")
    lines.append(f"again: make chaos SEED={outcome.seed} MINUTES={minutes:g}")
    summary = {
        "seed": outcome.seed,
        "minutes": minutes,
        "findings": len(outcome.findings),
        "disturbances": sum(outcome.disturbances.values()),
    }
    kinds = dict(sorted(outcome.disturbances.items()))
    lines.append(json.dumps({**summary, "by_kind": kinds, "figures": outcome.figures, "runs": dict(outcome.runs)}))
    return "\n".join(lines)
