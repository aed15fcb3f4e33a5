"""A run as it goes on: orders, figures, charts and the last rows. Drawn from the shared feed a few times a second,
whatever the pace is."""

from collections.abc import Sequence

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, live, texts
from dashboard.frame import card, show
from dashboard.gateway import client
from dashboard.markup import (
    Html,
    badge,
    bar,
    cards,
    facts,
    html,
    joined,
    link,
    matrix,
    metric,
    mono,
    note,
    reasons,
    status,
    table,
    time,
    verdict,
)
from dashboard.run_controls import Controls
from schemas.http.runs import PredictionView, Run, Truth
from schemas.manifests import ConfusionMatrix
from schemas.messages import TERMINAL

DRAW_SECONDS = 0.4
LAG_SECONDS = 2.0
CHART_ROWS = 120
TABLE_ROWS = 15
FAST_ROWS_PER_SECOND = 20.0


class RunPicture:
    """One page's picture of a run."""

    def __init__(self, run: Run) -> None:
        self.feed = live.acquire(run)
        self.controls = Controls(self.feed, self._look)
        self.drawn: object = None
        self.lag: int | None = None
        ui.context.client.on_delete(lambda: live.release(self.feed))

    def draw(self) -> None:
        """Put everything on the page and keep it going."""
        self.note = show(Html(""))
        with card():
            self.controls.draw()
        self.figures = show(Html(""))
        with ui.element("div").classes("ii-two ii-even"):
            with card():
                self.quality_now = show(Html(""))
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
        ui.timer(LAG_SECONDS, self._measure, immediate=True)

    async def _measure(self) -> None:
        """The lag is of the system: rows of all runs that wait in Kafka."""
        if self.feed.over:
            return
        try:
            self.lag = (await client.system()).total_lag
        except ClientError:
            self.lag = None

    def _look(self) -> None:
        if self.drawn == (self.feed.version, self.lag):
            return
        self.drawn = (self.feed.version, self.lag)
        run, rows = self.feed.run, list(self.feed.rows)
        self._draw_state(run)
        self.figures.set_content(run_cards(run, self.lag))
        threshold = rows[-1].threshold if rows else None
        shown = rows[-CHART_ROWS:]
        _redraw(
            self.quality,
            charts.quality([row.row_index for row in shown], [1 - row.probability_fail for row in shown], threshold),
        )
        self.quality_now.set_content(quality_head(rows))
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
        self.controls.look(run)


def _redraw(chart: ui.echart, options: charts.Options) -> None:
    chart.options.clear()
    chart.options.update(options)
    chart.update()


def run_cards(run: Run, lag: int | None) -> Html:
    """The figures of a run; `lag` is that of the system."""
    statistics = run.statistics
    handled = statistics.total_predictions + statistics.dead_letters + statistics.passed_over
    total = run.total_rows
    share = handled / total if total else 0.0
    of_rows = texts.OF_ROWS.format(total=figures.count(total)) if total is not None else ""
    if statistics.passed_over:
        of_rows += texts.PASSED_OVER.format(rows=figures.count(statistics.passed_over))
    scored = (
        joined([html(of_rows), Html('<div style="height:5px"></div>'), bar(share, texts.SCORED)])
        if total
        else html(of_rows)
    )
    base = max(statistics.total_predictions, 1)
    attempt = f"{texts.ATTEMPT_NUMBER.format(number=run.attempt)} · " if run.attempt > 1 else ""
    left = (
        texts.LEFT.format(time=figures.duration(run.eta_seconds))
        if run.eta_seconds is not None and run.status not in TERMINAL
        else ""
    )
    letters = link(f"/dead-letters?run_id={run.run_id}", texts.SHOW) if statistics.dead_letters else ""
    found = [
        metric(texts.STATE, status(run.status), attempt + figures.ordered_pace(run.rows_per_second)),
        metric(texts.SCORED, figures.count(statistics.total_predictions), scored),
        metric(texts.PASSED, figures.count(statistics.pass_count), figures.share(statistics.pass_count / base)),
        metric(texts.FAILED, figures.count(statistics.fail_count), figures.share(statistics.fail_count / base)),
        metric(texts.CONFIDENCE, figures.share(statistics.average_confidence), texts.AVERAGE),
        metric(texts.DEAD, figures.count(statistics.dead_letters), letters),
        metric(texts.PACE, figures.number(statistics.rows_per_second), texts.UNIT_PACE + left),
    ]
    if run.status not in TERMINAL:
        found.append(metric(texts.LAG, figures.count(lag), texts.LAG_RECORDS, hint=texts.LAG_HINT))
    return cards(found, tight=True)


def quality_head(rows: Sequence[PredictionView]) -> Html:
    """Title of the chart, with the newest score."""
    now = f'<b class="ii-now">{figures.score(1 - rows[-1].probability_fail)}</b>' if rows else ""
    return Html(
        f'<div class="ii-between" style="margin:0"><h2 class="ii-h2">{html(texts.QUALITY_TITLE)}</h2>{now}</div>'
    )


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
        f"{texts.METRICS[name]} <b>{figures.score(getattr(truth, name))}</b>"
        for name in ("mcc", "precision", "recall", "f1_score")
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
        Html(f"{html(row.sample_id)} {badge(texts.REDRIVEN_ROW)}") if row.redriven else row.sample_id,
        verdict(row.prediction),
        figures.share(row.confidence),
        reasons(row.top_features, row.top_feature_values),
        truth,
        time(row.row_timestamp),
    ]


def run_facts(run: Run) -> Html:
    """What the run is made of."""
    unknown = Html(figures.DASH)
    source = run.source
    replayed = (
        [(texts.REPLAYED, link(f"/runs/{source.run_id}", mono(source.run_id)))] if source and source.run_id else []
    )
    return facts(
        [
            *replayed,
            (texts.RUN, link(f"/runs/{run.run_id}", mono(run.run_id))),
            (texts.STATE, status(run.status)),
            (
                texts.MODEL,
                link(f"/models/{run.model_version}", mono(run.model_version)) if run.model_version else unknown,
            ),
            (
                texts.DATASET,
                link(f"/guide/dataset/{run.dataset_id}", mono(run.dataset_id)) if run.dataset_id else unknown,
            ),
            (texts.SPLIT, link(f"/guide/train/{run.split_id}", mono(run.split_id)) if run.split_id else unknown),
            (texts.LANES, figures.count(run.lanes)),
            (texts.STARTED, time(run.started_at)),
            (texts.ENDED, time(run.finished_at)),
        ]
    )
