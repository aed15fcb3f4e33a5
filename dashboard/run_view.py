"""A run as it goes on: orders, figures, charts and the last rows. Drawn from the shared feed a few times a second, whatever the pace is."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, live, texts
from dashboard.frame import card, explained, show
from dashboard.gateway import client
from dashboard.markup import Html, bar, cards, facts, html, joined, link, matrix, metric, mono, note, reasons, status, table, time, verdict
from schemas.api_runs import PredictionView, Run, Truth
from schemas.manifests import ConfusionMatrix
from schemas.messages import TERMINAL

DRAW_SECONDS = 0.4
CHART_ROWS = 120
TABLE_ROWS = 15
FAST_ROWS_PER_SECOND = 20.0


class RunView:
    """One page's picture of a run."""

    def __init__(self, run: Run) -> None:
        self.feed = live.acquire(run)
        self.drawn = -1
        ui.context.client.on_delete(lambda: live.release(self.feed))

    def draw(self) -> None:
        """Put everything on the page and keep it going."""
        self.note = show(Html(""))
        self._orders()
        self.figures = show(Html(""))
        with ui.element("div").classes("ii-two"):
            with card(texts.QUALITY_TITLE):
                self.quality = ui.echart(charts.quality([], [], None)).style("height:240px")
            with ui.element("div").classes("ii-split"):
                with card(texts.SHARE_TITLE):
                    self.donut = ui.echart(charts.donut(0, 0)).style("height:206px")
                with card(texts.TRUTH_TITLE):
                    self.truth = show(Html(""))
        with card(texts.LAST_ROWS):
            self.hint = show(Html(""))
            self.rows = show(Html(""))
        with ui.element("div").classes("ii-two"):
            with card(texts.SCORES_TITLE):
                self.histogram = ui.echart(charts.histogram({texts.SCORED: [0] * 20}, None)).style("height:230px")
            with card(texts.RUN_FACTS):
                self.facts = show(Html(""))
        self._look()
        ui.timer(DRAW_SECONDS, self._look)

    def _orders(self) -> None:
        with ui.element("div").classes("ii-row") as self.orders:
            self.pause = _button(texts.PAUSE, "pause", lambda: self._order(lambda: client.pause_run(self.run_id)))
            self.resume = _button(texts.RESUME, "play_arrow", lambda: self._order(lambda: client.resume_run(self.run_id)))
            self.stop = _button(texts.STOP, "stop", self._ask_stop)
            self.speed = ui.number(texts.SPEED, value=self.feed.run.rows_per_second, min=0.001).props("outlined dense clearable")
            self.speed.props(f'hint="{texts.SPEED_HINT}"').classes("ii-speed").on("keydown.enter", self._set_speed)
            self.set_speed = _button(texts.SET_SPEED, "speed", self._set_speed)
        self.trouble = show(Html(""))

    @property
    def run_id(self) -> str:
        return self.feed.run.run_id

    async def _order(self, order: Callable[[], Awaitable[Run]]) -> None:
        self.trouble.set_content("")
        try:
            self.feed.take(await order())
        except ClientError as error:
            self.trouble.set_content(explained(error))
        self._look()

    async def _set_speed(self) -> None:
        await self._order(lambda: client.set_speed(self.run_id, self.speed.value or None))

    async def _ask_stop(self) -> None:
        with ui.dialog() as question, ui.card():
            ui.label(texts.STOP_SURE)
            with ui.row():
                ui.button(texts.STOP, on_click=lambda: question.submit(True)).props("unelevated no-caps color=negative")
                ui.button(texts.CANCEL, on_click=lambda: question.submit(False)).props("flat no-caps")
        if await question:
            await self._order(lambda: client.stop_run(self.run_id))
        question.delete()

    def _look(self) -> None:
        if self.drawn == self.feed.version:
            return
        self.drawn = self.feed.version
        run, rows = self.feed.run, list(self.feed.rows)
        self._draw_state(run)
        self.figures.set_content(run_cards(run))
        threshold = rows[-1].threshold if rows else None
        shown = rows[-CHART_ROWS:]
        _redraw(self.quality, charts.quality([row.row_index for row in shown], [1 - row.probability_fail for row in shown], threshold))
        _redraw(self.donut, charts.donut(run.statistics.pass_count, run.statistics.fail_count))
        _redraw(self.histogram, charts.histogram({texts.SCORED: run.statistics.histogram}, threshold))
        self.truth.set_content(truth_board(run.statistics.truth))
        fast = not self.feed.over and (run.statistics.rows_per_second or 0) > FAST_ROWS_PER_SECOND
        self.hint.set_content(Html(f'<span class="ii-muted ii-small">{texts.ROWS_SHOWN}</span>') if fast else "")
        self.rows.set_content(last_rows(rows[-TABLE_ROWS:], run))
        self.facts.set_content(run_facts(run))

    def _draw_state(self, run: Run) -> None:
        over = run.status in TERMINAL
        notes = [note("warn", texts.STREAM_LOST)] if self.feed.lost else []
        if run.error or (over and run.message):
            notes.append(note("bad" if run.status == "FAILED" else "info", run.error or run.message or ""))
        self.note.set_content(joined(notes))
        self.orders.set_visibility(not over and run.workspace is not None)
        self.pause.set_visibility(run.status != "PAUSED")
        self.resume.set_visibility(run.status == "PAUSED")


def _button(text: str, icon: str, act: Callable[[], object]) -> ui.button:
    return ui.button(text, icon=icon, on_click=act).props("outline no-caps color=primary")


def _redraw(chart: ui.echart, options: charts.Options) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def run_cards(run: Run) -> Html:
    """The figures of a run."""
    statistics = run.statistics
    handled = statistics.total_predictions + statistics.dead_letters + statistics.passed_over
    total = run.total_rows
    share = handled / total if total else 0.0
    of_rows = texts.OF_ROWS.format(total=figures.count(total)) if total is not None else ""
    scored = joined([html(of_rows), Html('<div style="height:5px"></div>'), bar(share, texts.SCORED)]) if total else html(of_rows)
    base = max(statistics.total_predictions, 1)
    found = [
        metric(texts.STATE, status(run.status), figures.ordered_pace(run.rows_per_second)),
        metric(texts.SCORED, figures.count(statistics.total_predictions), scored),
        metric(texts.PASSED, figures.count(statistics.pass_count), figures.share(statistics.pass_count / base)),
        metric(texts.FAILED, figures.count(statistics.fail_count), figures.share(statistics.fail_count / base)),
        metric(texts.CONFIDENCE, figures.share(statistics.average_confidence)),
        metric(texts.DEAD, figures.count(statistics.dead_letters)),
        metric(texts.PACE, figures.pace(statistics.rows_per_second)),
    ]
    if run.status not in TERMINAL:
        found.append(metric(texts.LEFT, figures.duration(run.eta_seconds)))
    return cards(found)


def truth_board(truth: Truth | None) -> Html:
    """Predictions against labels."""
    if truth is None:
        return Html(f'<span class="ii-muted">{html(texts.TRUTH_NONE)}</span>')
    counts = ConfusionMatrix(
        true_positives=truth.true_positives,
        false_positives=truth.false_positives,
        true_negatives=truth.true_negatives,
        false_negatives=truth.false_negatives,
    )
    scores = " · ".join(
        f"{texts.METRICS[name]} <b>{figures.score(getattr(truth, name))}</b>" for name in ("mcc", "precision", "recall", "f1_score")
    )
    return joined([matrix(counts), Html(f'<div class="ii-small" style="margin-top:10px">{scores}</div>')])


def last_rows(rows: Sequence[PredictionView], run: Run) -> Html:
    """The newest rows, newest first."""
    if not rows:
        waiting = run.status in ("PENDING", "IN_PROGRESS") and not run.statistics.total_predictions
        return Html(f'<span class="ii-muted">{html(texts.WARMING_UP if waiting else texts.NO_ROWS)}</span>')
    return table(texts.COLUMNS_ROWS, [row_cells(row) for row in reversed(rows)], caption=texts.LAST_ROWS)


def row_cells(row: PredictionView) -> list[str]:
    """A prediction as a row of a table."""
    if row.label is None:
        truth = Html(figures.DASH)
    elif row.label == row.prediction:
        truth = html(texts.RIGHT)
    else:
        truth = Html(f"<b>{html(texts.WRONG.format(label=row.label))}</b>")
    return [
        figures.count(row.row_index),
        row.sample_id,
        verdict(row.prediction),
        figures.share(row.confidence),
        reasons(row.top_features, row.top_feature_values),
        truth,
        time(row.row_timestamp),
    ]


def run_facts(run: Run) -> Html:
    """What the run is made of."""
    unknown = Html(figures.DASH)
    return facts(
        [
            (texts.RUN, link(f"/runs/{run.run_id}", mono(run.run_id))),
            (texts.STATE, status(run.status)),
            (texts.MODEL, link(f"/models/{run.model_version}", mono(run.model_version)) if run.model_version else unknown),
            (texts.DATASET, link(f"/guide/dataset/{run.dataset_id}", mono(run.dataset_id)) if run.dataset_id else unknown),
            (texts.SPLIT, link(f"/guide/train/{run.split_id}", mono(run.split_id)) if run.split_id else unknown),
            (texts.LANES, figures.count(run.lanes)),
            (texts.STARTED, time(run.started_at)),
            (texts.ENDED, time(run.finished_at)),
        ]
    )
