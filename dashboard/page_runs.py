"""Runs: the list, one run with all its predictions, two runs compared."""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from nicegui import app, ui
from starlette.responses import StreamingResponse

from client.errors import ClientError, Gone
from dashboard import charts, figures, texts
from dashboard.comparison import compare, differences
from dashboard.frame import card, explained, frame, guarded, heading, show
from dashboard.gateway import client
from dashboard.markup import Html, cards, link, metric, mono, status, table, time, verdict
from dashboard.run_view import RunView, row_cells, run_facts
from schemas.api_runs import PredictionView, Run

PAGE = 50
HISTORY_ROWS = 50
COMPARED_ROWS = 20_000
SHOWN_FLIPPED = 200
FIGURE_NAMES = {
    "total_predictions": texts.SCORED,
    "fail_count": texts.FAILED,
    "dead_letters": texts.DEAD,
    "average_confidence": texts.CONFIDENCE,
    **texts.METRICS,
}


def register() -> None:
    @ui.page("/runs")
    async def runs_page(status: str = "", cursor: str = "") -> None:
        with frame(texts.RUNS_TITLE, "/runs"):
            heading(texts.RUNS_TITLE, texts.RUNS_LEAD)
            await guarded(lambda: _list(status, cursor))

    @ui.page("/runs/{run_id}")
    async def run_page(run_id: str) -> None:
        with frame(texts.RUNS_TITLE, "/runs"):
            heading(texts.RUN_FACTS)
            await guarded(lambda: _run(run_id))

    @ui.page("/compare/{first}/{second}")
    async def compare_page(first: str, second: str) -> None:
        with frame(texts.COMPARE, "/runs"):
            heading(texts.COMPARE, texts.COMPARE_LEAD)
            await guarded(lambda: _compare(first, second))

    @app.get("/runs/{run_id}/predictions.{kind}")
    async def download(run_id: str, kind: str) -> StreamingResponse:
        name = {"Content-Disposition": f'attachment; filename="predictions.{"csv" if kind == "csv" else "jsonl"}"'}
        lines = as_csv(client.predictions(run_id)) if kind == "csv" else as_json_lines(client.predictions(run_id))
        return StreamingResponse(lines, media_type="text/csv" if kind == "csv" else "application/jsonl", headers=name)


def runs_table(runs: Iterable[Run], caption: str) -> Html:
    """Runs, each a link."""
    rows = [
        [
            link(f"/runs/{run.run_id}", mono(run.run_id.removeprefix("sim-task-")[:8])),
            status(run.status),
            f"{figures.count(run.statistics.total_predictions)} / {figures.count(run.total_rows)}",
            figures.count(run.statistics.fail_count),
            figures.count(run.statistics.dead_letters),
            figures.score(run.statistics.truth.mcc if run.statistics.truth else None),
            link(f"/models/{run.model_version}", mono(run.model_version)) if run.model_version else figures.DASH,
            time(run.created_at),
        ]
        for run in runs
    ]
    return table(texts.COLUMNS_RUNS, rows, caption=caption)


async def _list(wanted: str, cursor: str) -> None:
    page = await client.runs(cursor=cursor or None, limit=PAGE)
    found = [run for run in page.items if not wanted or run.status == wanted]
    with ui.element("div").classes("ii-row"):
        choices = {"": texts.RUNS_ALL} | texts.STATUS
        chooser = ui.select(choices, value=wanted if wanted in choices else "", label=texts.RUNS_FILTER)
        chooser.props("outlined dense").style("min-width:170px").on_value_change(
            lambda change: ui.navigate.to(f"/runs?status={change.value}")
        )
    with card():
        if found:
            show(runs_table(found, texts.RUNS_TITLE))
        else:
            ui.label(texts.RUNS_NONE).classes("ii-muted")
        if page.next_cursor:
            show(link(f"/runs?status={wanted}&cursor={page.next_cursor}", texts.MORE))
    if len(page.items) > 1:
        _choose_two(page.items)


def _name(run: Run) -> str:
    short = run.run_id.removeprefix("sim-task-")[:8]
    return f"{short} · {texts.STATUS[run.status]} · {figures.moment(run.created_at)} · {run.model_version}"


def _choose_two(runs: Sequence[Run]) -> None:
    names = {run.run_id: _name(run) for run in runs}
    with card(texts.COMPARE):
        ui.label(texts.COMPARE_LEAD).classes("ii-muted ii-small")
        with ui.element("div").classes("ii-row"):
            first, second = (
                ui.select(names, value=runs[i].run_id, label=text).props("outlined dense").classes("ii-run-choice")
                for i, text in ((1, texts.RUN_A), (0, texts.RUN_B))
            )
            ui.button(texts.COMPARE_GO, on_click=lambda: ui.navigate.to(f"/compare/{first.value}/{second.value}")).props(
                "outline no-caps color=primary"
            )


async def _run(run_id: str) -> None:
    RunView(await client.run(run_id)).draw()
    with card(texts.HISTORY):
        with ui.element("div").classes("ii-row"):
            show(link(f"/runs/{run_id}/predictions.csv", texts.DOWNLOAD_CSV)).classes(remove="w-full")
            show(link(f"/runs/{run_id}/predictions.jsonl", texts.DOWNLOAD_JSONL)).classes(remove="w-full")
        await History(run_id).more()


class History:
    """All predictions of a run, a part at a time."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.rows: list[PredictionView] = []
        self.place = show(Html(""))
        self.button = ui.button(texts.MORE, on_click=self.more).props("flat no-caps color=primary")

    async def more(self) -> None:
        after = self.rows[-1].row_index if self.rows else -1
        try:
            found = [row async for row in client.predictions(self.run_id, after=after, limit=HISTORY_ROWS)]
        except Gone as gone:
            first = gone.first_available
            found = [] if first is None else [row async for row in client.predictions(self.run_id, after=first - 1, limit=HISTORY_ROWS)]
        except ClientError as error:
            self.place.set_content(explained(error))
            return
        self.rows += found
        self.button.set_visibility(len(found) == HISTORY_ROWS)
        text = table(texts.COLUMNS_ROWS, [row_cells(row) for row in self.rows], caption=texts.HISTORY) if self.rows else Html(texts.NO_ROWS)
        self.place.set_content(text)


async def _compare(first_id: str, second_id: str) -> None:
    first, second = await client.run(first_id), await client.run(second_id)
    with ui.element("div").classes("ii-two"):
        for name, run in ((texts.RUN_A, first), (texts.RUN_B, second)):
            with card(name):
                show(run_facts(run))
    rows = [[row async for row in client.predictions(run_id, limit=COMPARED_ROWS)] for run_id in (first_id, second_id)]
    found = compare(*rows)
    show(
        cards(
            [
                metric(texts.COMPARED, figures.count(found.rows)),
                metric(texts.FLIPPED, figures.count(len(found.flipped)), figures.share(len(found.flipped) / max(found.rows, 1), 2)),
            ]
        )
    )
    if max(map(len, rows)) == COMPARED_ROWS:
        ui.label(texts.FIRST_ROWS_ONLY.format(rows=figures.count(COMPARED_ROWS))).classes("ii-muted ii-small")
    with ui.element("div").classes("ii-two"):
        with card(texts.DIFFERENCES):
            show(_differences(first, second))
        with card(texts.SCORES_TITLE):
            counts = {texts.RUN_A: first.statistics.histogram, texts.RUN_B: second.statistics.histogram}
            ui.echart(charts.histogram(counts, None)).style("height:300px")
    with card(texts.FLIPPED):
        if not found.flipped:
            ui.label(texts.FLIPPED_NONE).classes("ii-muted")
            return
        cells = [
            [
                figures.count(a.row_index), a.sample_id, verdict(a.prediction), verdict(b.prediction),
                figures.score(a.probability_fail), figures.score(b.probability_fail), a.label or figures.DASH,
            ]
            for a, b in found.flipped[:SHOWN_FLIPPED]
        ]  # fmt: skip
        show(table(texts.COLUMNS_FLIPPED, cells, caption=texts.FLIPPED))


def _differences(first: Run, second: Run) -> Html:
    rows = []
    for name, a, b in differences(first, second):
        shown = figures.count if name in ("total_predictions", "fail_count", "dead_letters") else figures.score
        change = figures.DASH if a is None or b is None else f"{'+' if b > a else ''}{shown(b - a)}"
        rows.append([FIGURE_NAMES[name], shown(a), shown(b), change])
    return table(texts.COLUMNS_DIFFERENCE, rows, caption=texts.COMPARE)


async def as_json_lines(predictions: AsyncIterator[PredictionView]) -> AsyncIterator[str]:
    """Each prediction as the gateway gives it."""
    async for row in predictions:
        yield row.model_dump_json() + "\n"


async def as_csv(predictions: AsyncIterator[PredictionView]) -> AsyncIterator[str]:
    """Each prediction as a line, under a header."""
    names = [name for name in PredictionView.model_fields if name not in ("top_features", "top_feature_values", "source")]
    yield _line([*names, "top_features"])
    async for row in predictions:
        values = row.model_dump(mode="json")
        top = " ".join(f"{name}={amount:.6g}" for name, amount in row.top_features.items())
        yield _line([*("" if values[name] is None else values[name] for name in names), top])


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(cells)
    return out.getvalue()
