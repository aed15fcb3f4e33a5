"""Figures as a person reads them: thousands separated, with units, times in UTC. Pure."""

from datetime import UTC, datetime

DASH = "–"


def count(value: float | None) -> str:
    """A whole number."""
    return DASH if value is None else f"{value:,.0f}"


def share(value: float | None, digits: int = 1) -> str:
    """A share of one as percent."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def score(value: float | None) -> str:
    """A metric or probability, three decimals."""
    return DASH if value is None else f"{value:.3f}".replace("-", "−")


def signed(value: float) -> str:
    """A contribution, with its sign."""
    return f"{value:+.2f}".replace("-", "−")


def size(value: float) -> str:
    """Bytes."""
    for unit in ("B", "KB", "MB"):
        if value < 1024:
            return f"{value:,.0f} B" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} GB"


def number(value: float | None) -> str:
    """A measured figure: decimals only where they say something."""
    return DASH if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def ordered_pace(value: float | None) -> str:
    """Rows per second as asked for."""
    return "as fast as possible" if value is None else f"{value:g} row/s" if value == 1 else f"{value:g} rows/s"


def duration(seconds: float | None) -> str:
    """A span of time."""
    if seconds is None:
        return DASH
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def short(seconds: float | None) -> str:
    """A short span of time: milliseconds where that says more."""
    if seconds is None:
        return DASH
    return f"{1000 * seconds:,.0f} ms" if seconds < 1 else f"{seconds:,.1f} s" if seconds < 60 else duration(seconds)


def days(seconds: float) -> str:
    """How long something is kept."""
    count = seconds / 86_400
    return f"{count:,.0f} days" if count >= 2 else f"{seconds / 3600:,.0f} h"


def moment(value: datetime | None) -> str:
    """A time, UTC, to the second."""
    return DASH if value is None else value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(start: datetime, end: datetime) -> str:
    """From when to when: days, or the times of the one day."""
    first, last = moment(start), moment(end)
    return f"{first[:10]} – {last[:10]}" if first[:10] != last[:10] else f"{first[:16]} – {last[11:16]}"


def exact(value: datetime) -> str:
    """A time as an input field and the gateway take it."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
