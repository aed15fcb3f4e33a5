"""What attempts and comparisons of runs look like in a terminal. Pure."""

from rich.console import Group, RenderableType
from rich.text import Text

from client.command.show import facts, figure, listing, status_text, when
from client.command.show_runs import BADGES
from schemas.http.runs import Attempts, Difference, RunDiff

COUNTED = ("total_predictions", "pass_count", "fail_count", "labelled", "dead_letters", "passed_over")


def attempts(found: Attempts) -> RenderableType:
    rows = [
        (
            str(item.attempt),
            status_text(item.status),
            f"{item.statistics.total_predictions:,}",
            f"{item.statistics.passed_over:,}",
            f"{item.statistics.fail_count:,}",
            f"{item.statistics.dead_letters:,}",
            figure(item.statistics.truth.mcc if item.statistics.truth else None),
            when(item.started_at),
            when(item.finished_at),
        )
        for item in found.items
    ]
    columns = ("attempt ", "status", "scored ", "passed over ", "FAIL ", "dead ", "MCC ", "started", "ended")
    return listing(columns, rows, empty="No attempts yet.", next_cursor=None)


def diff(found: RunDiff) -> RenderableType:
    counts, scores = found.counts, found.scores
    head: list[tuple[str, RenderableType]] = [
        ("a", f"{found.a.run_id} attempt {found.a.attempt}, {found.a.model_version or '–'}, {found.a.status}"),
        ("b", f"{found.b.run_id} attempt {found.b.attempt}, {found.b.model_version or '–'}, {found.b.status}"),
        ("rows of both", f"{counts.common:,}, joined by {found.joined_by.replace('_', ' ')}"),
        ("judged alike", f"{counts.same:,}"),
        ("flipped", f"PASS → FAIL {counts.pass_to_fail:,} · FAIL → PASS {counts.fail_to_pass:,}"),
        ("only in one", f"a {counts.only_in_a:,} · b {counts.only_in_b:,}"),
        ("P(FAIL) apart", f"mean {figure(scores.mean_absolute, 4)} · largest {figure(scores.largest, 4)}"),
        ("distributions apart", figure(scores.distance)),
    ]
    metrics = [(name, *_cells(name, value)) for name, value in found.metrics.items()]
    parts: list[RenderableType] = [
        facts("comparison", head),
        listing(("figure", "a ", "b ", "b − a "), metrics, empty="", next_cursor=None),
    ]
    if found.items:
        flipped = [
            (
                f"{row.row_index_a}",
                row.sample_id,
                BADGES[row.prediction_a],
                BADGES[row.prediction_b],
                figure(row.probability_fail_a),
                figure(row.probability_fail_b),
                row.label or "–",
            )
            for row in found.items
        ]
        columns = ("row ", "sample", "a", "b", "P(FAIL) a ", "b ", "label")
        parts += [Text(), listing(columns, flipped, empty="", next_cursor=found.next_cursor)]
    return Group(*parts)


def _cells(name: str, value: Difference) -> tuple[str, str, str]:
    digits = 0 if name in COUNTED or name.endswith(("positives", "negatives")) else 4
    change = "–" if value.difference is None else f"{value.difference:+,.{digits}f}"
    return figure(value.a, digits), figure(value.b, digits), change
