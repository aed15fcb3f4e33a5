"""Two runs compared: what was judged differently, and how the figures differ."""

from collections.abc import Sequence

from nicegui import ui

from dashboard import charts, figures, texts
from dashboard.comparison import compare, differences
from dashboard.frame import card, frame, guarded, heading, show
from dashboard.gateway import client
from dashboard.markup import Html, cards, metric, table, verdict
from dashboard.run_view import run_facts
from schemas.api_runs import Run

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
    @ui.page("/compare/{first}/{second}")
    async def compare_page(first: str, second: str) -> None:
        with frame(texts.COMPARE, "/runs"):
            heading(texts.COMPARE, texts.COMPARE_LEAD)
            await guarded(lambda: _compare(first, second))


def _name(run: Run) -> str:
    short = run.run_id.removeprefix("sim-task-")[:8]
    return f"{short} · {texts.STATUS[run.status]} · {figures.moment(run.created_at)} · {run.model_version}"


def choose_two(runs: Sequence[Run]) -> None:
    """The form that leads here."""
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
