"""When the next row is due. Pure: the clock's reading comes in, nothing waits here.

Row n is due at `start + n / rate`, so lateness never adds up. After a stall the rows that are overdue go out at once,
but never more than `MAX_DEBT_SECONDS` of them: a machine that slept for an hour does not send an hour's rows in a
burst."""

import math

MAX_DEBT_SECONDS = 5.0
MIN_RATE, MAX_RATE = 1e-6, 1e6
"""What the gateway lets through too; promised are 0.1 to 10,000, beyond which the machine decides."""


class Pacer:
    """The schedule of one run. `rate` is rows per second, None as fast as possible; times are seconds of any monotonic
    clock."""

    def __init__(self, rate: float | None, now: float) -> None:
        self.rate = rate
        self._start = now
        self._sent = 0
        self._last: float | None = None  # when the last row before the latest change was due

    def due(self, now: float) -> float:
        """How many rows may go out now; infinite at full speed."""
        if self.rate is None:
            return math.inf
        self._forgive(now)
        # floor of the elapsed rows, with a nudge for what division loses: at its very due time a row is due
        return max(0, math.floor((now - self._start) * self.rate + 1e-9) + 1 - self._sent)

    def sent(self, rows: int) -> None:
        """Take note of rows that went out."""
        self._sent += rows

    def seconds_to_next(self, now: float) -> float:
        """How long until a row is due; 0 when one is."""
        if self.rate is None:
            return 0.0
        return max(0.0, self._start + self._sent / self.rate - now)

    def change(self, rate: float | None, now: float) -> None:
        """Go on at another rate: the next row is due one new interval after the last one, or at once if that is past or
        there was none."""
        if self.rate is None:
            self._last = now
        elif self._sent:
            self._last = self._start + (self._sent - 1) / self.rate
        self.rate = rate
        self._sent = 0
        self._start = now if rate is None or self._last is None else max(now, self._last + 1 / rate)

    def restart(self, now: float) -> None:
        """Begin anew after a pause: a row is due now, none is overdue."""
        self._start, self._sent, self._last = now, 0, None

    def _forgive(self, now: float) -> None:
        assert self.rate is not None
        debt = now - self._start - self._sent / self.rate
        if debt > MAX_DEBT_SECONDS:
            self._start += debt - MAX_DEBT_SECONDS


class Warmup:
    """The wait before a run's first row. Time that the run stands still does not count."""

    def __init__(self, seconds: float) -> None:
        self._left = max(seconds, 0.0)
        self._since: float | None = None

    def left(self, now: float) -> float:
        """Seconds that are still to be waited."""
        return max(0.0, self._left - (now - self._since if self._since is not None else 0.0))

    def begin(self, now: float) -> None:
        """The run goes on: time counts."""
        self._since = now

    def hold(self, now: float) -> None:
        """The run stands still."""
        self._left, self._since = self.left(now), None


def parse_rate(value: object) -> float | None:
    """A rate from a command: a number of rows per second in range, or None / "max". Raises `ValueError`."""
    if value is None or value == "max":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not MIN_RATE <= value <= MAX_RATE:
        raise ValueError(f"rows_per_second must lie between {MIN_RATE:g} and {MAX_RATE:,.0f}, or be max: {value!r}")
    return float(value)
