"""Draw `curves.png`: loss, accuracy, ROC, precision and recall, threshold, and the strongest features. Takes numbers,
returns bytes."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.fit.thresholds import Floats, f1, mcc
from trainer.fit.training import RoundHistory
from trainer.report.evaluation import Scored, average_precision, precision_recall, roc, roc_auc

TRAIN, VALIDATION, TEST, MARK, GRID = "#7a8699", "#1f6feb", "#d1570c", "#b3261e", "#e3e6ea"
LEGEND: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "framealpha": 0.85}
SHOWN_FEATURES = 12
MARGINS = {"left": 0.045, "right": 0.985, "top": 0.915, "bottom": 0.115, "wspace": 0.17, "hspace": 0.3}
"""Of the figure, instead of a layout engine: that draws everything twice."""
LETTER = 0.0052
"""About the width of a letter of an axis label, of the figure's."""
STYLE = {"color": MARK, "linewidth": 1.2, "linestyle": (0, (4, 3))}


def draw_curves(
    title: str,
    history: RoundHistory,
    best_iteration: int,
    threshold: float,
    validation: Scored,
    test: Scored,
    gains: dict[str, float],
) -> bytes:
    """The PNG. Panels whose curves a set with one class does not have say so."""
    figure = Figure(figsize=(16, 9), dpi=100)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=14, fontweight="bold", y=0.985)
    axes = figure.subplots(2, 3, gridspec_kw=MARGINS).ravel()
    _draw_rounds(axes[0], "Loss", "log loss", history.train_loss, history.validation_loss, best_iteration)
    _draw_rounds(
        axes[1],
        "Accuracy at P(FAIL) ≥ 0.5",
        "accuracy",
        history.train_accuracy,
        history.validation_accuracy,
        best_iteration,
    )
    sets = [("validation", VALIDATION, validation), ("test", TEST, test)]
    _draw_roc(axes[2], sets)
    _draw_precision_recall(axes[3], sets)
    _draw_threshold(axes[4], validation if len(validation.fails) else test, threshold)
    _draw_gains(axes[5], gains)
    with io.BytesIO() as image:
        figure.savefig(image, format="png", metadata={"Software": "IntelliInspect"})
        return image.getvalue()


def _frame(axes: Any, title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_rounds(
    axes: Any, title: str, y: str, train: list[float], validation: list[float], best_iteration: int
) -> None:
    _frame(axes, title, "boosting round", y)
    style = {"linewidth": 1.8, "marker": "o" if len(train) == 1 else ""}
    axes.plot(range(1, len(train) + 1), train, color=TRAIN, label="training", **style)
    if validation:
        axes.plot(range(1, len(validation) + 1), validation, color=VALIDATION, label="validation", **style)
    axes.axvline(best_iteration + 1, label=f"best round {best_iteration + 1}", **STYLE)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(**LEGEND)


def _draw_roc(axes: Any, sets: list[tuple[str, str, Scored]]) -> None:
    _frame(axes, "ROC", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=TRAIN, linewidth=1, linestyle=":", label="chance")
    for name, color, scored in sets:
        if scored.both_classes:
            axes.plot(*roc(scored.table), color=color, linewidth=1.8, label=f"{name}, area {roc_auc(scored.table):.3f}")
    _close(axes, sets, "lower right")


def _draw_precision_recall(axes: Any, sets: list[tuple[str, str, Scored]]) -> None:
    _frame(axes, "Precision and recall of FAIL", "recall", "precision")
    for name, color, scored in sets:
        if scored.both_classes:
            recall, precision = precision_recall(scored.table)
            label = f"{name}, average precision {average_precision(scored.table):.3f}"
            axes.step(
                np.append(0, recall),
                np.append(precision[:1], precision),
                where="pre",
                color=color,
                linewidth=1.8,
                label=label,
            )
            axes.axhline(
                float(scored.fails.mean()), color=color, linewidth=1, linestyle=":", label=f"{name}, share of FAIL"
            )
    _close(axes, sets, "upper right")


def _close(axes: Any, sets: list[tuple[str, str, Scored]], legend: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.05))
    if not any(scored.both_classes for _, _, scored in sets):
        axes.text(0.5, 0.5, "one class only", ha="center", va="center", transform=axes.transAxes)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        axes.legend(**LEGEND, loc=legend)


def _draw_threshold(axes: Any, scored: Scored, threshold: float) -> None:
    table = scored.table
    name = "validation" if len(scored.fails) else "no"
    _frame(axes, f"Threshold ({name} rows)", "threshold on P(FAIL)", "score")
    called = table.tp + table.fp
    precision: Floats = np.divide(table.tp, called, out=np.full(len(called), np.nan), where=called > 0)
    recall: Floats = table.tp / max(int(table.tp[-1]), 1)
    curves = [
        ("MCC", mcc(table), VALIDATION, 2.2),
        ("F1", f1(table), "#2e7d32", 1.4),
        ("precision", precision, TEST, 1.0),
        ("recall", recall, TRAIN, 1.0),
    ]
    for label, values, color, width in curves:
        axes.step(table.thresholds, values, where="mid", color=color, linewidth=width, label=label)
    axes.axvline(threshold, label=f"in force {threshold:.4g}", **STYLE)
    upper = min(1.0, max(float(table.thresholds[min(1, len(table.thresholds) - 1)]), threshold) * 1.15)
    axes.set(xlim=(0, upper), ylim=(min(-0.02, float(mcc(table).min())), 1.05))
    axes.legend(**LEGEND, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=5, columnspacing=1.0, handlelength=1.4)


def _draw_gains(axes: Any, gains: dict[str, float]) -> None:
    _frame(axes, "Strongest features", "share of total gain", "")
    total = sum(gains.values()) or 1.0
    best = sorted(gains.items(), key=lambda item: -item[1])[:SHOWN_FEATURES][::-1]
    names = [_short(name) for name, _ in best]
    axes.barh(names, [gain / total for _, gain in best], color=VALIDATION)
    place = axes.get_position()
    room = LETTER * max(0, max(map(len, names)) - 5)  # for names that are longer than other panels' numbers
    axes.set_position([place.x0 + room, place.y0, place.width - room, place.height])
    axes.xaxis.get_major_locator().set_params(nbins=5)
    axes.grid(axis="y", visible=False)


def _short(name: str, length: int = 24) -> str:
    text = name.replace("$", r"\$")
    return text if len(text) <= length else f"{text[: length - 1]}…"
