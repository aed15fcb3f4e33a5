"""What runs look like in a terminal, and the picture of a run that is being watched. Pure."""

from collections import deque
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from client.command.show import facts, figure, listing, status_text, when
from client.events import RunEvent
from schemas.http.runs import PredictionView, Run, RunStatistics, StatusEvent
from schemas.http.shared import Page

SHOWN_ROWS = 12
BADGES = {"PASS": Text("✓ PASS", style="green"), "FAIL": Text("✗ FAIL", style="bold red")}


def pace(rows_per_second: float | None) -> str:
    """An ordered pace."""
    return "as fast as possible" if rows_per_second is None else f"{rows_per_second:g} row/s"


def duration(seconds: float | None) -> str:
    """Seconds for people."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def runs(page: Page[Run]) -> RenderableType:
    rows = [
        (
            item.run_id,
            status_text(item.status),
            f"{item.statistics.total_predictions:,}",
            "–" if item.total_rows is None else f"{item.total_rows:,}",
            f"{item.statistics.fail_count:,}",
            f"{item.statistics.dead_letters:,}",
            figure(item.statistics.truth.mcc if item.statistics.truth else None),
            item.model_version or "–",
            when(item.created_at),
        )
        for item in page.items
    ]
    columns = ("run", "status", "scored ", "of ", "FAIL ", "dead ", "MCC ", "model", "started")
    return listing(columns, rows, empty="No runs yet: intelliinspect simulate", next_cursor=page.next_cursor)


def statistics(stats: RunStatistics) -> list[tuple[str, RenderableType]]:
    """The figures of a run as named values."""
    rows: list[tuple[str, RenderableType]] = [
        ("scored", f"{stats.total_predictions:,}  (PASS {stats.pass_count:,} · FAIL {stats.fail_count:,})"),
        ("average confidence", figure(stats.average_confidence)),
        (
            "dead letters",
            f"{stats.dead_letters:,}" + (f", {stats.passed_over:,} rows passed over" if stats.passed_over else ""),
        ),
        ("measured pace", "–" if stats.rows_per_second is None else f"{stats.rows_per_second:,.2f} row/s"),
    ]
    if (truth := stats.truth) is not None:
        rows += [
            (
                "against labels",
                (
                    f"TP {truth.true_positives:,} · FP {truth.false_positives:,} · TN {truth.true_negatives:,} · FN"
                    f" {truth.false_negatives:,}"
                ),
            ),
            ("MCC", f"{figure(truth.mcc)} · precision {figure(truth.precision)} · recall {figure(truth.recall)}"),
        ]
    return rows


def run(found: Run) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [
        (
            "status",
            (
                status_text(found.status)
                if found.attempt == 1
                else Text.assemble(status_text(found.status), f", attempt {found.attempt}")
            ),
        ),
        ("model", found.model_version or "–"),
        (
            "rows",
            (
                "–"
                if found.total_rows is None
                else f"{found.total_rows:,} at {pace(found.rows_per_second)}, {found.lanes} lane(s)"
            ),
        ),
        *statistics(found.statistics),
        ("time left", duration(found.eta_seconds)) if found.finished_at is None else ("ended", when(found.finished_at)),
    ]
    if found.source is not None and found.source.kind == "topic":
        lost = f", {found.source.unreplayable} records hold no row" if found.source.unreplayable else ""
        rows.insert(1, ("replay of", f"{found.source.run_id}, attempt {found.source.attempt}{lost}"))
    if found.message or found.error:
        rows.append(("message", found.message or found.error or ""))
    return facts(found.run_id, rows)


def newest(predictions: "deque[PredictionView]") -> RenderableType:
    """The last rows, newest first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("row ", "sample", "prediction", "confidence ", "reasons", "truth"):
        # only the reasons give way where the terminal is narrow: the number of a sample is what a row is known by
        table.add_column(name.strip(), justify="right" if name.endswith(" ") else "left", no_wrap=name != "reasons")
    for item in reversed(predictions):
        shown = Text(_reasons(item), no_wrap=True, overflow="ellipsis")
        truth = (
            Text("–", style="dim")
            if item.label is None
            else Text("right" if item.label == item.prediction else f"was {item.label}")
        )
        table.add_row(
            str(item.row_index), Text(item.sample_id), BADGES[item.prediction], f"{item.confidence:.3f}", shown, truth
        )
    return table


def _reasons(item: PredictionView) -> str:
    return ", ".join(f"{name} {value:+.2f}" for name, value in item.top_features.items())


def line(item: PredictionView) -> Text:
    """One prediction on one line."""
    return Text.assemble(
        f"{item.row_index:>7}  {item.sample_id:<20}  ", BADGES[item.prediction], f"  {item.confidence:.3f}"
    )


def told(event: RunEvent) -> RenderableType | None:
    """An event on a line of its own, for a pipe; null for what the next one says again."""
    if isinstance(event, PredictionView):
        return Text.assemble(line(event), "  ", _reasons(event))
    if isinstance(event, StatusEvent):
        return Text(f"{event.run_id}: {event.status}, attempt {event.attempt}")
    return None


@dataclass(slots=True)
class Picture:
    """A run as it is being watched: takes the events one after the other, draws itself."""

    run: Run
    predictions: "deque[PredictionView]" = field(init=False)

    def __post_init__(self) -> None:
        self.predictions = deque(maxlen=SHOWN_ROWS)

    def take(self, event: RunEvent) -> None:
        """Learn from an event."""
        if isinstance(event, Run):
            self.run = event
        elif isinstance(event, StatusEvent):
            if event.attempt != self.run.attempt:
                self.predictions.clear()
            self.run = self.run.model_copy(update={"status": event.status, "attempt": event.attempt})
        elif isinstance(event, RunStatistics):
            self.run = self.run.model_copy(update={"statistics": event, "eta_seconds": self._time_left(event)})
        else:
            self.predictions.append(event)

    def _time_left(self, stats: RunStatistics) -> float | None:
        speed = stats.rows_per_second or self.run.rows_per_second
        if not speed or self.run.total_rows is None:
            return None
        return max(self.run.total_rows - stats.total_predictions - stats.dead_letters - stats.passed_over, 0) / speed

    def __rich__(self) -> RenderableType:
        return Group(run(self.run), newest(self.predictions))
