"""The three date ranges of a split: read, check, word. Pure.

Both ends are inclusive, at full precision, UTC (a time without a zone is UTC). A bare date means the whole day: as a
start its first instant, as an end its last. The data's bounds are its first and last day in UTC, whatever the times:
from `T00:00:00Z` of the one to `T23:59:59.9999999Z` of the other. But a range that begins after the last row or ends
before the first holds none, and is refused."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal

from schemas.manifests import DateRange
from storage.errors import StorageProblem

Name = Literal["train", "test", "simulation"]
NAMES: tuple[Name, ...] = ("train", "test", "simulation")
FIELDS = tuple(f"{name}_{end}_date" for name in NAMES for end in ("start", "end"))
"""Keys of the six dates, in the order they are checked: `train_start_date`, `train_end_date`, `test_start_date`, …"""
DOTNET_NAMES = {"train": "Training", "test": "Testing", "simulation": "Simulation"}


@dataclass(frozen=True, slots=True)
class DateRanges:
    """The three ranges. They may still overlap or lie outside the data: see `check_ranges`."""

    train: DateRange
    test: DateRange
    simulation: DateRange


@dataclass(frozen=True, slots=True)
class Instant:
    """One end of a range: as given, and what it means. `whole_day` tells that a bare date was given."""

    given: str
    at: datetime
    whole_day: bool


def read_ranges(
    dates: Mapping[str, str | None], *, first: datetime, last: datetime
) -> DateRanges | list[StorageProblem]:
    """Read the six dates, keys as in `FIELDS`, against the data's first and last time; return all problems when there
    are any."""
    instants = {field: read_instant(dates.get(field) or "", end=field.endswith("_end_date")) for field in FIELDS}
    invalid = [_invalid(field, dates.get(field) or "") for field, instant in instants.items() if instant is None]
    valid = {field: instant for field, instant in instants.items() if instant is not None}
    problems = invalid + _check(valid, first, last)
    if problems:
        return problems
    train, test, simulation = (
        DateRange(start=valid[f"{name}_start_date"].at, end=valid[f"{name}_end_date"].at) for name in NAMES
    )
    return DateRanges(train, test, simulation)


def readable(dates: Mapping[str, str | None]) -> dict[Name, DateRange]:
    """The ranges whose two ends can be read and are in order, whatever else is wrong with the six dates."""
    found: dict[Name, DateRange] = {}
    for name in NAMES:
        start = read_instant(dates.get(f"{name}_start_date") or "", end=False)
        end = read_instant(dates.get(f"{name}_end_date") or "", end=True)
        if start and end and start.at <= end.at:
            found[name] = DateRange(start=start.at, end=end.at)
    return found


def check_ranges(ranges: DateRanges, first: datetime, last: datetime) -> list[StorageProblem]:
    """Check order, overlap and bounds of ranges that are already instants; a day's first or last instant counts as the
    whole day."""
    instants = {}
    for name in NAMES:
        range_: DateRange = getattr(ranges, name)
        start, end = range_.start.astimezone(UTC), range_.end.astimezone(UTC)
        instants[f"{name}_start_date"] = Instant(show(start), start, start.time() == time.min)
        instants[f"{name}_end_date"] = Instant(show(end), end, end.time() == time.max)
    return _check(instants, first, last)


def read_instant(text: str, *, end: bool) -> Instant | None:
    """Read an ISO 8601 date or date-time; None when it is neither."""
    text = text.strip()
    try:
        if _is_bare_date(text):
            return Instant(text, datetime.combine(date.fromisoformat(text), time.max if end else time.min, UTC), True)
        at = datetime.fromisoformat(text)
        return Instant(text, at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC), False)
    except (ValueError, OverflowError):  # the latter: a zone that leads out of the years 1 to 9999
        return None


def show(at: datetime) -> str:
    """RFC 3339 in UTC with `Z`, fractions of a second only where there are any."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _is_bare_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _check(ends: Mapping[str, Instant], first: datetime, last: datetime) -> list[StorageProblem]:
    """All problems among the ends that could be read, in the order of docs/design/contract.md."""
    problems = []
    for name in NAMES:
        start, end = ends.get(f"{name}_start_date"), ends.get(f"{name}_end_date")
        if start and end and end.at < start.at:
            problems.append(_order(name, start, end))
    for earlier, later in (("train", "test"), ("test", "simulation")):
        end, start = ends.get(f"{earlier}_end_date"), ends.get(f"{later}_start_date")
        if start and end and start.at <= end.at:
            problems.append(_overlap(earlier, later, end, start))
    for field, instant in ends.items():
        if field == "train_start_date" and _day(instant.at) < _day(first):
            problems.append(_bounds(field, instant, "first", first, last))
        if field == "simulation_end_date" and _day(instant.at) > _day(last):
            problems.append(_bounds(field, instant, "last", first, last))
    for field, instant in ends.items():
        if field.endswith("_end_date") and instant.at < first:
            problems.append(_bounds(field, instant, "first", first, last))
        if field.endswith("_start_date") and instant.at > last:
            problems.append(_bounds(field, instant, "last", first, last))
    return problems


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _invalid(field: str, given: str) -> StorageProblem:
    name, end, _ = field.split("_")
    what = f"is not a date: {given!r}" if given else "is missing"
    return StorageProblem(
        "date_invalid",
        field,
        f"{name.capitalize()} {end} date {what}. Give ISO 8601, such as 2021-01-31 or 2021-01-31T08:00:00Z.",
        {"name": name, "end": end, "given": given},
    )


def _order(name: Name, start: Instant, end: Instant) -> StorageProblem:
    return StorageProblem(
        "date_order",
        f"{name}_end_date",
        f"{name.capitalize()} end date cannot be before {name} start date.",
        {"name": name, "start": start.given, "end": end.given},
    )


def _overlap(earlier: str, later: str, end: Instant, start: Instant) -> StorageProblem:
    return StorageProblem(
        "date_overlap",
        f"{later}_start_date",
        f"{later.capitalize()} start date ({start.given}) must be after the {earlier} end date ({end.given}): ranges"
        " must not overlap.",
        {"earlier": earlier, "later": later, "end": end.given, "start": start.given},
    )


def _bounds(
    field: str, instant: Instant, side: Literal["first", "last"], first: datetime, last: datetime
) -> StorageProblem:
    name, end, _ = field.split("_")
    relation = "before the dataset's first" if side == "first" else "after the dataset's last"
    bound = first if side == "first" else last
    by_day = instant.whole_day or _day(instant.at) != _day(bound)
    return StorageProblem(
        "date_bounds",
        field,
        f"{name.capitalize()} {end} date ({instant.given}) is {relation} {'day' if by_day else 'row'}: "
        f"the data goes from {show(first)} to {show(last)}.",
        {
            "name": name,
            "end": end,
            "side": side,
            "given": instant.given,
            "unit": "day" if by_day else "row",
            "limit": show(bound)[:10] if by_day else show(bound),
        },
    )


def dotnet_message(problem: StorageProblem) -> str:
    """Word a range's problem as the .NET routes do (docs/design/contract.md); any other problem keeps its message."""
    values = problem.values
    match problem.code:
        case "date_invalid":
            return f"{DOTNET_NAMES[values['name']]} {values['end'].capitalize()} Date is invalid."
        case "date_order":
            return (
                f"{DOTNET_NAMES[values['name']]} End Date ({values['end']}) must be on or after its Start Date"
                f" ({values['start']})."
            )
        case "date_overlap":
            earlier, later = DOTNET_NAMES[values["earlier"]], DOTNET_NAMES[values["later"]]
            return f"{later} Start Date ({values['start']}) must be after the {earlier} End Date ({values['end']})."
        case "date_bounds":
            date_name = f"{DOTNET_NAMES[values['name']]} {values['end'].capitalize()} Date ({values['given']})"
            relation = "before the dataset's first" if values["side"] == "first" else "after the dataset's last"
            return f"{date_name} is {relation} {values['unit']} ({values['limit']})."
    return problem.message
