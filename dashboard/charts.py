"""Options of the charts. Pure: figures in, an ECharts dictionary out. Colours are readable on light and dark."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboard import texts
from dashboard.theme import ACCENT, AXIS, FAIL, GRID, PASS, TEST, TRAIN

Options = dict[str, Any]
FIRST_ROUNDS = 10
QUALITY_STEPS = 5
FONT = "Inter, ui-sans-serif, system-ui, sans-serif"
STRIPES = {"symbol": "rect", "dashArrayX": [1, 0], "dashArrayY": [3, 4], "rotation": 0.8}


def _base(**more: Any) -> Options:
    return {
        "backgroundColor": "transparent",
        "animation": False,
        "textStyle": {"fontFamily": FONT, "color": AXIS},
        "grid": {"left": 8, "right": 14, "top": 34, "bottom": 8, "containLabel": True},
        "tooltip": {"trigger": "axis", "confine": True},
        "aria": {"enabled": True},
        **more,
    }


def _axis(kind: str = "value", **more: Any) -> Options:
    return {
        "type": kind,
        "axisLabel": {"color": AXIS, "hideOverlap": True},
        "axisLine": {"lineStyle": {"color": GRID}},
        "splitLine": {"show": kind == "value", "lineStyle": {"color": GRID}},
        "nameTextStyle": {"color": AXIS},
        **more,
    }


def _legend() -> Options:
    return {"top": 0, "left": 0, "itemWidth": 14, "itemHeight": 8, "textStyle": {"color": AXIS}}


def _mark(where: Options, text: str) -> Options:
    """A dashed line at a place of an axis."""
    line = {"color": FAIL, "type": "dashed"}
    return {
        "symbol": "none",
        "silent": True,
        "lineStyle": line,
        "label": {"formatter": text, "color": FAIL},
        "data": [where],
    }


def by_round(train: Sequence[float], validation: Sequence[float], best_round: int | None) -> Options:
    """A curve over the boosting rounds."""
    rounds = [str(i) for i in range(1, max(len(train), len(validation)) + 1)]
    mark: Options = {}
    if best_round is not None and rounds:
        where = {"xAxis": min(max(best_round, 1), len(rounds)) - 1}
        mark = {
            "markLine": _mark(where, texts.BEST_ROUND)
            | {"lineStyle": {"color": AXIS}, "label": {"formatter": texts.BEST_ROUND, "color": AXIS}}
        }
    return _base(
        legend=_legend(),
        xAxis=_axis("category", data=rounds, boundaryGap=False),
        yAxis=_axis(scale=True),
        series=[
            _line(texts.SERIES_TRAIN, list(train), TRAIN),
            {**_line(texts.SERIES_VALIDATION, list(validation), ACCENT), **mark},
        ],
    )


def growing(rounds: Sequence[int], train: Sequence[float], validation: Sequence[float]) -> Options:
    """The loss while it falls, over the rounds so far."""
    pairs = ((texts.SERIES_TRAIN, train, TRAIN), (texts.SERIES_VALIDATION, validation, ACCENT))
    return _base(
        legend=_legend(),
        grid={"left": 8, "right": 26, "top": 34, "bottom": 8, "containLabel": True},
        xAxis=_axis(min=1, max=max([*rounds, FIRST_ROUNDS]), minInterval=1, splitLine={"show": False}),
        yAxis=_axis(scale=True),
        series=[
            _line(name, [list(point) for point in zip(rounds, losses, strict=False)], colour)
            for name, losses, colour in pairs
        ],
    )


def _line(name: str, data: list[Any], colour: str, **more: Any) -> Options:
    style = {"color": colour, "width": 2}
    return {
        "name": name,
        "type": "line",
        "showSymbol": False,
        "data": data,
        "lineStyle": style,
        "itemStyle": {"color": colour},
        **more,
    }


def curve(pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str, *, chance: bool) -> Options:
    """ROC or precision-recall: one line for each set."""
    colours = (ACCENT, TEST)
    lines = [
        _line(name, [list(point) for point in zip(*points, strict=True)], colour)
        for (name, points), colour in zip(pairs.items(), colours, strict=False)
    ]
    if chance:
        lines.append(
            {**_line(texts.CHANCE, [[0, 0], [1, 1]], AXIS), "lineStyle": {"color": AXIS, "type": "dashed", "width": 1}}
        )
    axis: Options = {"min": 0, "max": 1, "nameLocation": "middle"}
    return _base(
        legend=_legend(),
        grid={"left": 26, "right": 14, "top": 34, "bottom": 22, "containLabel": True},
        xAxis=_axis(name=x, nameGap=24, **axis),
        yAxis=_axis(name=y, nameGap=32, **axis),
        tooltip={"trigger": "item", "confine": True},
        series=lines,
    )


def quality(indices: Sequence[int], scores: Sequence[float], threshold: float | None) -> Options:
    """P(PASS) of the last rows, and where the verdict tips."""
    line: Options = {}
    if threshold is not None:
        mark = _mark({"yAxis": round(1 - threshold, 4)}, "FAIL")
        line = {"markLine": mark | {"label": {"formatter": "FAIL", "color": FAIL, "position": "insideEndBottom"}}}
    lowest = min([*scores, 1 - threshold if threshold is not None else 1.0], default=0.0)
    low = max(int(lowest * 10 - 1), 0) / 10
    shown = _line(texts.QUALITY, [round(value, 4) for value in scores], ACCENT, areaStyle={"opacity": 0.08})
    return _base(
        grid={"left": 8, "right": 14, "top": 14, "bottom": 8, "containLabel": True},
        xAxis=_axis("category", data=[str(i) for i in indices], boundaryGap=False),
        yAxis=_axis(min=low, max=1, interval=round((1 - low) / QUALITY_STEPS, 3)),
        series=[shown | line],
    )


def donut(passed: int, failed: int) -> Options:
    """PASS and FAIL."""
    return _base(
        tooltip={"trigger": "item", "confine": True},
        legend={"bottom": 0, "textStyle": {"color": AXIS}},
        series=[
            {
                "type": "pie",
                "radius": ["58%", "80%"],
                "center": ["50%", "45%"],
                "label": {"show": False},
                "data": [
                    {"name": "PASS", "value": passed, "itemStyle": {"color": PASS}},
                    {"name": "FAIL", "value": failed, "itemStyle": {"color": FAIL, "decal": STRIPES}},
                ],
            }
        ],
    )  # fmt: skip


def histogram(counts: Mapping[str, Sequence[int]], threshold: float | None) -> Options:
    """P(FAIL) of all rows in equal bins over 0 to 1, on a logarithmic scale: failures are rare."""
    bins = len(next(iter(counts.values())))
    names = [f"{i / bins:.2f}" for i in range(bins)]
    series = [
        {
            "name": name,
            "type": "bar",
            "data": [count or None for count in values],
            "itemStyle": {"color": colour},
            "barCategoryGap": "8%",
        }
        for (name, values), colour in zip(counts.items(), (ACCENT, TEST), strict=False)
    ]
    if threshold is not None:
        series[0]["markLine"] = _mark({"xAxis": min(int(threshold * bins), bins - 1)}, texts.THRESHOLD)
    return _base(
        legend=_legend() if len(counts) > 1 else {"show": False},
        grid={"left": 8, "right": 14, "top": 34, "bottom": 22, "containLabel": True},
        xAxis=_axis("category", data=names, name=texts.SCORES_AXIS, nameLocation="middle", nameGap=26),
        yAxis=_axis(
            "log",
            min=0.5,
            axisLabel={"color": AXIS, "formatter": "{value}"},
            logBase=10,
            splitLine={"lineStyle": {"color": GRID}},
        ),
        series=series,
    )


def ranking(names: Sequence[str], values: Sequence[float], *, percent: bool = False) -> Options:
    """Named values, the largest on top."""
    return _base(
        grid={"left": 8, "right": 30, "top": 6, "bottom": 8, "containLabel": True},
        xAxis=_axis(
            max=100 if percent else None, axisLabel={"color": AXIS, "formatter": "{value} %" if percent else "{value}"}
        ),
        yAxis=_axis(
            "category", data=list(reversed(names)), axisLabel={"color": AXIS, "width": 140, "overflow": "truncate"}
        ),
        series=[
            {
                "type": "bar",
                "data": [round(v, 4) for v in reversed(values)],
                "itemStyle": {"color": ACCENT},
                "barMaxWidth": 14,
            }
        ],
    )


def throughput(points: Sequence[float]) -> Options:
    """Rows a second, the newest on the right."""
    return _base(
        grid={"left": 8, "right": 14, "top": 14, "bottom": 8, "containLabel": True},
        xAxis=_axis("category", data=[""] * len(points), boundaryGap=False),
        yAxis=_axis(min=0, minInterval=1),
        series=[_line(texts.THROUGHPUT, [round(value, 2) for value in points], ACCENT, areaStyle={"opacity": 0.1})],
    )
