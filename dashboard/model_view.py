"""A model understood: its figures, curves, confusion matrix, and what other thresholds would have meant."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui

from dashboard import charts, figures, texts
from dashboard.frame import card, show
from dashboard.gateway import client
from dashboard.markup import Html, cards, html, matrix, metric, note
from schemas.manifests import ConfusionMatrix, Metrics


def measured(metrics: Metrics, warnings: Sequence[str]) -> None:
    """Metric cards of a model."""
    if warnings:
        show(note("warn", texts.WARNINGS, warnings))
    show(
        cards(
            metric(text, figures.score(getattr(metrics, name)), _beside(metrics, name))
            for name, text in texts.MODEL_METRICS.items()
        )
    )
    ui.label(
        texts.ON_TEST.format(rows=figures.count(metrics.rows), threshold=figures.score(metrics.threshold))
    ).classes("ii-muted ii-small")


def _beside(metrics: Metrics, name: str) -> Html:
    """How sure a figure is, what calling every row PASS would reach, and what it means."""
    found, always = metrics.intervals.get(name), getattr(metrics.baseline, name, None)
    parts = [texts.INTERVAL.format(low=figures.score(found.low), high=figures.score(found.high))] if found else []
    parts += [texts.ALL_PASS.format(value=figures.score(always))] if always is not None else []
    return html(" · ".join([*parts, texts.METRIC_HINTS[name]]))


async def understood(model_version: str, metrics: Metrics, threshold: float) -> None:
    """Curves, confusion matrix and threshold desk of a model."""
    curves = await client.curves(model_version)
    rounds, best = curves["rounds"], curves.get("best_round")
    found = {texts.SERIES_VALIDATION: curves["sets"]["validation"], texts.SERIES_TEST: curves["sets"]["test"]}
    with ui.element("div").classes("ii-two"):
        with card(texts.LOSS):
            ui.echart(charts.by_round(rounds["train_loss"], rounds["validation_loss"], best)).style("height:260px")
        with card(texts.ACCURACY):
            ui.echart(charts.by_round(rounds["train_accuracy"], rounds["validation_accuracy"], best)).style(
                "height:260px"
            )
        with card(texts.ROC):
            roc = _pairs(found, "roc", "false_positive_rate", "true_positive_rate")
            ui.echart(charts.curve(roc, texts.FALSE_POSITIVES, texts.TRUE_POSITIVES, chance=True)).style("height:280px")
        with card(texts.PRECISION_RECALL):
            pairs = _pairs(found, "precision_recall", "recall", "precision")
            ui.echart(charts.curve(pairs, texts.METRICS["recall"], texts.METRICS["precision"], chance=False)).style(
                "height:280px"
            )
        with card(texts.CONFUSION):
            show(matrix(metrics.confusion_matrix))
        with card(texts.DESK_TITLE):
            _desk(curves["sets"]["validation"]["thresholds"], threshold)


def _pairs(sets: Mapping[str, Any], curve: str, x: str, y: str) -> dict[str, tuple[Sequence[float], Sequence[float]]]:
    return {name: (found[curve][x], found[curve][y]) for name, found in sets.items() if found and found.get(curve)}


def at_threshold(points: Mapping[str, Sequence[float]], threshold: float) -> ConfusionMatrix:
    """The counts with every row FAIL whose P(FAIL) is at least the threshold. Points are by falling threshold."""
    at = max((i for i, value in enumerate(points["threshold"]) if value >= threshold), default=0)
    return ConfusionMatrix(
        true_positives=int(points["tp"][at]),
        false_positives=int(points["fp"][at]),
        true_negatives=int(points["tn"][at]),
        false_negatives=int(points["fn"][at]),
    )


def _desk(points: Mapping[str, Sequence[float]], threshold: float) -> None:
    ui.label(texts.DESK_LEAD).classes("ii-muted ii-small")
    with ui.element("div").classes("ii-row").style("padding:0 8px;flex-wrap:nowrap"):
        slider = ui.slider(min=0, max=1, step=0.005, value=threshold).props(f'label aria-label="{texts.THRESHOLD}"')
    ui.label(texts.DESK_OWN.format(value=figures.score(threshold))).classes("ii-muted ii-small")
    counts = show(Html(""))
    with ui.element("div").classes("ii-row"):
        false_alarm, missed = (
            ui.number(text, value=value, min=0).props("outlined dense")
            for text, value in ((texts.COST_FP, 1), (texts.COST_FN, 10))
        )
    cost = show(Html(""))

    def draw() -> None:
        found = at_threshold(points, slider.value)
        price = found.false_positives * (false_alarm.value or 0) + found.false_negatives * (missed.value or 0)
        counts.set_content(matrix(found))
        text = texts.DESK_COST.format(fp=figures.count(false_alarm.value or 0), fn=figures.count(missed.value or 0))
        cost.set_content(metric(text, figures.count(price)))

    for field in (slider, false_alarm, missed):
        field.on_value_change(draw)
    draw()
