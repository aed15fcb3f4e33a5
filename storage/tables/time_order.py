"""What the order of a file's times tells: newest first, an hour that repeats or is absent when summer time ends or
begins.

A clock on the wall shows the last hour of summer time twice. With `time_zone` the rows of the second pass are found by
the file's order."""

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from schemas.manifests import Notice, TimeAxis
from storage.tables.time_axis import time_expression
from storage.tables.times import NUMBER_STYLES, instant

HOUR = 3_600_000_000
MOST_BACK = 20
"""Steps back in a file that is otherwise in order; with more, its order says nothing about the clock."""
LIKELY_YEARS = range(1970, 2100)
"""In others nobody made anything that was measured: 2567 is 2024 in Thailand."""
UTC_STYLES = ("%z", "%#z", "Z")


@dataclass(slots=True)
class Order:
    """The axis, with the rows of second passes, and what to say."""

    axis: TimeAxis
    notices: list[Notice] = field(default_factory=list)


def look_at_order(lazy: pl.LazyFrame, axis: TimeAxis) -> Order:
    """Look at the times in file order; reads one column, or two."""
    numbered = lazy.with_row_index("__index__")
    at = (
        numbered.select("__index__", time_expression(axis).cast(pl.Int64).alias("at"))
        .drop_nulls()
        .collect(engine="streaming")
    )
    steps = at["at"].diff()
    back, on = int((steps < 0).sum()), int((steps > 0).sum())
    order = Order(axis)
    if back > 10 * max(1, on):
        message = f"The rows stand newest first by {axis.column!r}; they are used in the order of their times."
        order.notices.append(Notice(code="newest_first", message=message, column=axis.column))
    far = [
        instant(end).year
        for end in (at["at"].min(), at["at"].max())
        if isinstance(end, int) and instant(end).year not in LIKELY_YEARS
    ]
    if far:
        message = (
            f"The times in {axis.column!r} reach into the year {far[-1]}: another calendar, or read in the wrong way?"
            " Send time_format=…, or time_column=… for another column, if so."
        )
        order.notices.append(Notice(code="times_far", message=message, column=axis.column))
    if axis.style in NUMBER_STYLES or axis.style.endswith(UTC_STYLES):
        return order
    if axis.zone is None:
        _warn(order, at, steps, descending=back > on)
    elif axis.zone[0] not in "+-":
        _resolve(order, numbered, descending=back > on)
    return order


def _warn(order: Order, at: pl.DataFrame, steps: pl.Series, *, descending: bool) -> None:
    """Say that a clock without a zone seems to have been set back or forward."""
    sign = -1 if descending else 1
    frame = at.with_columns((steps * sign).alias("step"))
    repeats = frame.filter((pl.col("step") < 0) & (pl.col("step") >= -HOUR))
    if 0 < len(repeats) <= MOST_BACK:
        days = [instant(value).date() for value in repeats["at"].to_list()]
        found = [day for day in days if _ends_summer(day)]
        if found:
            message = (
                f"On {found[0]} an hour comes twice in {order.axis.column!r}: these are local times, read as UTC. Send"
                " time_zone=…, such as Europe/Berlin, to tell the two apart."
            )
            order.notices.append(Notice(code="hour_repeats", message=message, column=order.axis.column))
    usual = frame["step"].filter(frame["step"] > 0).median()
    if usual is None or not isinstance(usual, float) or usual > HOUR / 4:
        return
    gaps = frame.filter((pl.col("step") >= HOUR) & (pl.col("step") < 1.5 * HOUR))
    for value in gaps["at"].to_list()[:MOST_BACK]:
        if _begins_summer(instant(value).date()) and 2 <= instant(value).hour <= 4:
            message = (
                f"On {instant(value).date()} an hour is absent in {order.axis.column!r}: these seem to be local times,"
                " read as UTC. Send time_zone=…, such as Europe/Berlin, if they are."
            )
            order.notices.append(Notice(code="hour_absent", message=message, column=order.axis.column))
            return


def _resolve(order: Order, numbered: pl.LazyFrame, *, descending: bool) -> None:
    """Find the rows that lie in the second pass of an hour that repeats in the axis's zone."""
    first, second = (
        order.axis.model_copy(update={"later": [(0, 2**32 - 2)] if later else []}) for later in (False, True)
    )
    both = numbered.select(
        "__index__",
        time_expression(first).cast(pl.Int64).alias("at"),
        time_expression(second).cast(pl.Int64).alias("later"),
    )
    twice = both.filter(pl.col("at") != pl.col("later")).collect(engine="streaming")
    ranges: list[tuple[int, int]] = []
    unsure = 0
    for _, group in twice.with_columns((pl.col("at") // (24 * HOUR)).alias("day")).group_by("day", maintain_order=True):
        rows, steps = group["__index__"].to_list(), group["at"].diff().to_list()
        turn = next(
            (i for i, step in enumerate(steps) if step is not None and (step > 0 if descending else step < 0)), None
        )
        if turn is None:
            unsure += len(rows)
        else:
            ranges.append((rows[0], rows[turn - 1]) if descending else (rows[turn], rows[-1]))
    order.axis = order.axis.model_copy(update={"later": ranges})
    if ranges:
        count = sum(last - first + 1 for first, last in ranges)
        message = (
            f"{count} rows lie in the second pass of an hour that repeats in {order.axis.zone}, by their order in the"
            " file."
        )
        order.notices.append(Notice(code="hour_resolved", message=message, column=order.axis.column, count=count))
    if unsure:
        message = (
            f"{unsure} rows lie in an hour that repeats in {order.axis.zone}; nothing tells which of the two, the first"
            " is taken."
        )
        order.notices.append(Notice(code="hour_unsure", message=message, column=order.axis.column, count=unsure))


def _ends_summer(day: date) -> bool:
    """The last Sunday of October, or the first of November."""
    return day.weekday() == 6 and ((day.month == 10 and day.day > 24) or (day.month == 11 and day.day <= 7))


def _begins_summer(day: date) -> bool:
    """The last or second Sunday of March."""
    return day.weekday() == 6 and day.month == 3 and (day.day > 24 or 8 <= day.day <= 14)
