"""Two runs compared: what was judged differently, and how the figures differ; exact, over all rows, by the gateway."""

from collections.abc import Mapping, Sequence

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, texts
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, badge, cards, metric, muted, table, verdict
from dashboard.run_view import run_facts
from schemas.http.runs import Difference, DiffSide, FlippedRow, Run, RunDiff

SHOWN_FLIPPED = 100
COUNTS = frozenset(
    {
        "total_predictions", "pass_count", "fail_count", "dead_letters", "passed_over",
        "labelled", "true_positives", "false_positives", "true_negatives", "false_negatives",
    }
)  # fmt: skip


def register() -> None:
    @page_at("/compare/{first}/{second}")
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
            ui.button(
                texts.COMPARE_GO, on_click=lambda: ui.navigate.to(f"/compare/{first.value}/{second.value}")
            ).props("outline no-caps color=primary")


async def _compare(first_id: str, second_id: str) -> None:
    found = await client.diff_runs(first_id, second_id, limit=SHOWN_FLIPPED)
    first, second = await client.run(first_id), await client.run(second_id)
    with ui.element("div").classes("ii-two ii-even"):
        for name, run in ((texts.RUN_A, first), (texts.RUN_B, second)):
            with card(name):
                show(run_facts(run))
    show(count_cards(found))
    ui.label(texts.JOINED_BY[found.joined_by]).classes("ii-muted ii-small")
    with ui.element("div").classes("ii-two ii-even"):
        with card(texts.DIFFERENCES):
            show(difference_table(found.metrics))
        with card(texts.SCORES_TITLE):
            ui.echart(charts.histogram(_histograms(found.a, found.b), None)).style("flex:1;min-height:300px")
            show(muted(_scores(found)))
    if found.counts.only_in_a or found.counts.only_in_b:
        with card(texts.DIFFERENCES_COMMON):
            show(difference_table(found.common_metrics))
    with card(texts.FLIPPED):
        Flipped(first_id, second_id, found).draw()


def count_cards(found: RunDiff) -> Html:
    """How many rows were judged alike, and how many not."""
    counts = found.counts
    flipped = counts.pass_to_fail + counts.fail_to_pass
    return cards(
        [
            metric(texts.COMPARED, figures.count(counts.common)),
            metric(texts.SAME, figures.count(counts.same)),
            metric(texts.FLIPPED, figures.count(flipped), figures.share(flipped / max(counts.common, 1), 2)),
            metric(texts.PASS_TO_FAIL, figures.count(counts.pass_to_fail)),
            metric(texts.FAIL_TO_PASS, figures.count(counts.fail_to_pass)),
            metric(texts.ONLY_IN_A, figures.count(counts.only_in_a)),
            metric(texts.ONLY_IN_B, figures.count(counts.only_in_b)),
        ],
        tight=True,
    )


def _histograms(a: DiffSide, b: DiffSide) -> dict[str, Sequence[int]]:
    return {texts.RUN_A: a.histogram, texts.RUN_B: b.histogram}


def _scores(found: RunDiff) -> str:
    scores = found.scores
    return texts.SCORES_APART.format(
        mean=figures.score(scores.mean_absolute),
        largest=figures.score(scores.largest),
        distance=figures.score(scores.distance),
    )


def difference_table(metrics: Mapping[str, Difference]) -> Html:
    """Each figure of both, and how they differ, with a sign."""
    rows = []
    for name, one in metrics.items():
        shown = figures.count if name in COUNTS else figures.score
        rows.append(
            [texts.DIFF_NAMES.get(name, name), shown(one.a), shown(one.b), _change(one.difference, name in COUNTS)]
        )
    return table(texts.COLUMNS_DIFFERENCE, rows, caption=texts.DIFFERENCES, dense=True)


def _change(by: float | None, counted: bool) -> Html | str:
    if by is None:
        return figures.DASH
    shown = f"{by:+,.0f}" if counted else f"{by:+.3f}"
    return "=" if not by else badge(shown.replace("-", "−"))


class Flipped:
    """The rows that were judged differently, a part at a time."""

    def __init__(self, first: str, second: str, found: RunDiff) -> None:
        self.first, self.second = first, second
        self.rows, self.cursor = list(found.items), found.next_cursor

    def draw(self) -> None:
        if not self.rows:
            show(muted(texts.FLIPPED_NONE))
            return
        self.place = show(flipped_table(self.rows))
        self.button = ui.button(texts.MORE, on_click=self.more).props("flat no-caps color=primary")
        self.button.set_visibility(self.cursor is not None)

    async def more(self) -> None:
        try:
            found = await client.diff_runs(self.first, self.second, cursor=self.cursor, limit=SHOWN_FLIPPED)
        except ClientError as error:
            self.place.set_content(explained(error))
            return
        self.rows, self.cursor = [*self.rows, *found.items], found.next_cursor
        self.place.set_content(flipped_table(self.rows))
        self.button.set_visibility(self.cursor is not None)


def flipped_table(rows: Sequence[FlippedRow]) -> Html:
    """Rows of run A beside those of run B."""
    cells = [
        [
            figures.count(row.row_index_a), row.sample_id, verdict(row.prediction_a), verdict(row.prediction_b),
            figures.score(row.probability_fail_a), figures.score(row.probability_fail_b), row.label or figures.DASH,
        ]
        for row in rows
    ]  # fmt: skip
    return table(texts.COLUMNS_FLIPPED, cells, caption=texts.FLIPPED)
