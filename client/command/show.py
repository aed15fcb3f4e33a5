"""What answers look like in a terminal. Pure: a model in, something that rich can print out. Texts of users are never
read as markup."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.http.shared import Page, Readiness, TaskStatus, TrainingMetrics
from schemas.http.v1 import Dataset, DatasetSummary, Model, ModelSummary, Split, SuggestedSplit, Training
from schemas.manifests import ConfusionMatrix, Metrics, ReadingReport

MOST_LEFT_OUT = 20

STATUS_STYLES = {
    "COMPLETED": "green",
    "FAILED": "bold red",
    "STOPPED": "yellow",
    "PAUSED": "yellow",
    "IN_PROGRESS": "cyan",
    "PENDING": "dim",
}


def when(moment: datetime | None) -> str:
    """A time for people, UTC."""
    return "–" if moment is None else moment.strftime("%Y-%m-%d %H:%M:%SZ")


def figure(value: float | None, digits: int = 3) -> str:
    """A figure, or a dash where it is undefined."""
    return "–" if value is None else f"{value:,.{digits}f}"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KB", "MB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.2f} {unit}"
        count /= 1024
    return f"{count:,.2f} GB"


def status_text(status: str) -> Text:
    return Text(status, style=STATUS_STYLES.get(status, ""))


def facts(title: str, rows: Sequence[tuple[str, RenderableType]]) -> Panel:
    """A titled card of names and values."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, value if not isinstance(value, str) else Text(value))
    return Panel(grid, title=Text(title, style="bold"), title_align="left", expand=False)


@dataclass(frozen=True, slots=True)
class Listing:
    """A table whose columns stand in the order of their weight: those that do not fit on the right are left out, none
    is broken.

    A column whose name ends in a blank holds numbers.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Text]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = [
            max(cell_len(name.strip()), *(row[i].cell_len for row in self.rows)) for i, name in enumerate(self.columns)
        ]
        fitting = max(
            (i for i in range(1, len(widths) + 1) if sum(widths[:i]) + 2 * (i - 1) <= options.max_width), default=1
        )
        table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
        for i, name in enumerate(self.columns[:fitting]):
            table.add_column(
                name.strip(), justify="right" if name.endswith(" ") else "left", no_wrap=i > 0, overflow="fold"
            )
        for row in self.rows:
            table.add_row(*row[:fitting])
        yield table


def listing(
    columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, empty: str, next_cursor: str | None = None
) -> RenderableType:
    """A list of objects, and how to read on."""
    if not rows:
        return Text(empty, style="dim")
    table = Listing(columns, [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows])
    return table if next_cursor is None else Group(table, Text(f"more: --cursor {next_cursor}", style="dim"))


def reading(report: ReadingReport) -> RenderableType:
    """How a file was read, what was left out, and which columns may give the label away."""
    said = [notice.message for notice in report.notices]
    lines = [Text(f"• {message}") for message in said]
    lines += [
        Text(f"– {one.column!r} is no feature: {one.reason}", style="dim") for one in report.left_out[:MOST_LEFT_OUT]
    ]
    if len(report.left_out) > MOST_LEFT_OUT:
        lines.append(Text(f"– and {len(report.left_out) - MOST_LEFT_OUT} more columns; --json shows all", style="dim"))
    lines += [
        Text(f"! {one.reason} If it was not known yet: --exclude {one.column}", style="yellow")
        for one in report.suspects
    ]
    return Group(*lines)


def dataset(found: Dataset) -> RenderableType:
    """A dataset in facts, and how its file was read."""
    shown = _dataset(found)
    return shown if found.report is None else Group(shown, reading(found.report))


def _dataset(found: Dataset) -> RenderableType:
    labels, time, report = found.labels, found.time, found.report
    total = labels.pass_count + labels.fail_count
    separators = {"\t": "tab", " ": "blank"}
    how = []
    if report is not None:
        separates = separators.get(report.separator, report.separator)
        how.append(
            (
                "read as",
                (
                    f"{report.encoding} ({report.encoding_reason}), {separates} separates, {report.decimal} is the"
                    " decimal sign"
                ),
            )
        )
        failures = " ".join(f"{span.failures:,}/{span.rows:,}" for span in report.failures_over_time)
        how.append(("failures over time", failures))
    without = [("no label", f"{labels.unlabelled_count:,} rows")] if labels.unlabelled_count else []
    return facts(
        f"{found.dataset_id}  {found.file_name}",
        [
            ("size", size(found.file_size)),
            ("records", f"{found.row_count:,}"),
            ("columns", f"{found.column_count:,}, of these {len(found.features):,} features"),
            ("label", f"{found.label.value} ({found.label.reason})"),
            (
                "PASS",
                f"{labels.pass_value} in {labels.pass_count:,} rows ({100 * labels.pass_count / max(total, 1):.2f} %)",
            ),
            ("FAIL", f"{labels.fail_value} in {labels.fail_count:,} rows"),
            *without,
            *how,
            ("id", f"{found.id_column.value} ({found.id_column.reason})" if found.id_column else "the row number"),
            ("time", f"{time.column} ({time.reason})"),
            ("from", when(found.first_timestamp)),
            ("to", when(found.last_timestamp)),
            ("features ranked by", found.feature_selection_task_id),
        ],
    )


def datasets(page: Page[DatasetSummary]) -> RenderableType:
    rows = [
        (
            item.dataset_id,
            item.file_name,
            f"{item.row_count:,}",
            f"{item.feature_count:,}",
            f"{item.pass_rate_percentage:.2f}",
            size(item.file_size),
            when(item.created_at),
        )
        for item in page.items
    ]
    columns = ("dataset", "file", "records ", "features ", "pass % ", "size ", "uploaded")
    return listing(columns, rows, empty="No datasets yet: intelliinspect upload FILE.csv", next_cursor=page.next_cursor)


def ranges(suggested: SuggestedSplit) -> RenderableType:
    rows = [
        (name, part.start or "", part.end or "")
        for name, part in (("train", suggested.train), ("test", suggested.test), ("simulation", suggested.simulation))
    ]
    return listing(("set", "from", "to"), rows, empty="")


def split(made: Split) -> RenderableType:
    sets = (("train", made.train), ("test", made.test), ("simulation", made.simulation))
    rows = [
        (name, when(part.range.start), when(part.range.end), f"{part.rows:,}", f"{part.failures:,}")
        for name, part in sets
    ]
    return Group(
        Text(f"{made.split_id}  of {made.dataset_id}", style="bold"),
        listing(("set", "from", "to", "rows ", "failures "), rows, empty=""),
        *(Text(f"• {notice.message}") for notice in made.notices),
    )


def training(task: Training) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [("status", status_text(task.status)), ("attempt", str(task.attempt))]
    if task.progress is not None and task.result is None:
        rows.append(("progress", f"{task.progress.percent:.0f} %  {task.progress.status}"))
    if task.error:
        rows.append(("reason", task.error))
    if task.result is not None:
        metrics = task.result.metrics
        rows += [
            ("model", task.result.model_version),
            ("accuracy", figure(metrics.accuracy) + always_pass(metrics)),
            ("precision", ranged(metrics, "precision")),
            ("recall", ranged(metrics, "recall")),
            ("F1", figure(metrics.f1_score)),
            ("MCC", ranged(metrics, "mcc")),
            ("ROC AUC", figure(metrics.roc_auc)),
            ("PR AUC", ranged(metrics, "pr_auc")),
            ("threshold", figure(metrics.threshold)),
            ("confusion", confusion(task.result.confusion_matrix)),
            *(("warning", warning) for warning in task.result.warnings),
        ]
    return facts(f"training {task.task_id}", rows)


def ranged(metrics: TrainingMetrics | Metrics, name: str) -> str:
    """A figure with its 95 % interval."""
    found = metrics.intervals.get(name)
    return figure(getattr(metrics, name)) + (f"  ({figure(found.low)} to {figure(found.high)})" if found else "")


def always_pass(metrics: TrainingMetrics | Metrics) -> str:
    """The accuracy of calling every row PASS, beside the model's."""
    return "" if metrics.baseline is None else f"  (all PASS: {figure(metrics.baseline.accuracy)})"


def confusion(matrix: ConfusionMatrix) -> str:
    return (
        f"TP {matrix.true_positives:,} · FP {matrix.false_positives:,} · TN {matrix.true_negatives:,} · FN"
        f" {matrix.false_negatives:,}  (FAIL is positive)"
    )


def models(page: Page[ModelSummary]) -> RenderableType:
    rows = [
        (
            item.model_version,
            ", ".join(item.aliases) or "–",
            figure(item.test_metrics.mcc) + (" ?" if item.doubt else ""),
            figure(item.test_metrics.f1_score),
            figure(item.test_metrics.accuracy),
            f"{item.feature_count:,}",
            item.dataset_id,
            when(item.created_at),
        )
        for item in page.items
    ]
    columns = ("model", "alias", "MCC ", "F1 ", "accuracy ", "features ", "dataset", "trained")
    found = listing(columns, rows, empty="No models yet: intelliinspect train", next_cursor=page.next_cursor)
    doubts = [Text(f"? {item.model_version}: {item.doubt}", style="yellow") for item in page.items if item.doubt]
    return Group(found, *doubts) if doubts else found


def model(found: Model) -> RenderableType:
    metrics = found.test_metrics
    best = sorted(found.feature_gains.items(), key=lambda item: -item[1])[:5]
    return facts(
        found.model_version,
        [
            ("aliases", ", ".join(found.aliases) or "–"),
            ("trained", when(found.created_at)),
            ("dataset", f"{found.dataset_id}, split {found.split_id}"),
            ("features", f"{len(found.features)}, best: {', '.join(name for name, _ in best)}"),
            ("threshold", f"{figure(found.threshold)} ({found.threshold_objective})"),
            (
                "test set",
                (
                    f"MCC {ranged(metrics, 'mcc')} · F1 {figure(metrics.f1_score)} · accuracy"
                    f" {figure(metrics.accuracy)}{always_pass(metrics)} · {metrics.rows:,} rows"
                ),
            ),
            ("confusion", confusion(metrics.confusion_matrix)),
            *(("warning", warning) for warning in found.warnings),
        ],
    )


def task(status: TaskStatus) -> RenderableType:
    rows: list[tuple[str, RenderableType]] = [
        ("kind", status.kind.replace("_", " ")),
        ("status", status_text(status.status)),
    ]
    progress = status.progress or {}
    if "percent" in progress:
        rows.append(("progress", f"{progress['percent']:.0f} %  {progress.get('status', '')}"))
    if status.error:
        rows.append(("reason", status.error))
    return facts(status.task_id, rows)


def readiness(state: Readiness, url: str) -> RenderableType:
    rows = [
        (name, Text("ok", style="green") if text == "ok" else Text(text, style="bold red"))
        for name, text in state.dependencies.items()
    ]
    ready = Text("ready", style="green") if state.status == "ready" else Text("not ready", style="bold red")
    return facts(f"gateway {url}", [("gateway", ready), *rows])
