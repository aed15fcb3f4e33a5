"""Ranges of a split: reading, checking, wording."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.manifests import DateRange
from storage.errors import StorageProblem
from storage.tables.ranges import FIELDS, DateRanges, check_ranges, dotnet_message, read_instant, read_ranges

FIRST = datetime(2021, 1, 1, 10, 0, tzinfo=UTC)
LAST = datetime(2021, 1, 10, 22, 0, tzinfo=UTC)
GOOD = ("2021-01-01", "2021-01-05", "2021-01-06", "2021-01-07", "2021-01-08", "2021-01-10")


def read(*dates: str | None) -> DateRanges | list[StorageProblem]:
    return read_ranges(dict(zip(FIELDS, dates, strict=True)), first=FIRST, last=LAST)


def problems(*dates: str | None) -> list[StorageProblem]:
    found = read(*dates)
    assert isinstance(found, list)
    return found


def test_bare_dates_mean_whole_days() -> None:
    found = read(*GOOD)
    assert isinstance(found, DateRanges)
    assert found.train == DateRange(
        start=datetime(2021, 1, 1, tzinfo=UTC), end=datetime(2021, 1, 5, 23, 59, 59, 999999, tzinfo=UTC)
    )
    assert check_ranges(found, FIRST, LAST) == []


def test_date_times_are_taken_to_the_microsecond() -> None:
    found = read(
        "2021-01-01T10:00:00Z",
        "2021-01-02T00:00:00.000001",
        "2021-01-02T00:00:00.000002",
        "2021-01-03",
        "2021-01-04",
        "2021-01-05",
    )
    assert isinstance(found, DateRanges)
    assert found.test.start - found.train.end == timedelta(microseconds=1)


def test_zones_are_converted_to_utc() -> None:
    instant = read_instant("2021-01-01T10:00:00+02:00", end=False)
    assert instant is not None
    assert instant.at == datetime(2021, 1, 1, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "soon", "2021-13-01", "2021-02-30", "01/02/2021", "2021-01-01T25:00", "0001-01-01T00:00:00+05:00", "1e9"],
)
def test_what_is_no_date_is_invalid(text: str) -> None:
    found = problems(text, *GOOD[1:])
    assert [(one.code, one.field) for one in found] == [("date_invalid", "train_start_date")]
    assert dotnet_message(found[0]) == "Training Start Date is invalid."


def test_a_missing_date_is_invalid() -> None:
    assert [one.field for one in problems(*GOOD[:5], None)] == ["simulation_end_date"]


def test_an_end_before_its_start_is_named_with_both_dates() -> None:
    (found, *_) = problems("2021-01-05", "2021-01-04", *GOOD[2:])
    assert found.code == "date_order"
    assert found.message == "Train end date cannot be before train start date."
    assert dotnet_message(found) == "Training End Date (2021-01-04) must be on or after its Start Date (2021-01-05)."


def test_a_range_that_starts_on_the_day_the_former_ends_overlaps() -> None:
    (found,) = problems("2021-01-01", "2021-01-05", "2021-01-05", *GOOD[3:])
    assert found.code == "date_overlap"
    assert dotnet_message(found) == "Testing Start Date (2021-01-05) must be after the Training End Date (2021-01-05)."


def test_equal_instants_overlap_because_both_ends_are_inclusive() -> None:
    found = problems("2021-01-01", "2021-01-05T12:00:00", "2021-01-05T12:00:00", *GOOD[3:])
    assert [one.code for one in found] == ["date_overlap"]


def test_ranges_outside_the_data_name_its_first_and_last_time() -> None:
    start, end = problems("2020-12-31", *GOOD[1:5], "2021-01-11")
    assert [start.code, end.code] == ["date_bounds", "date_bounds"]
    assert "2021-01-01T10:00:00Z to 2021-01-10T22:00:00Z" in start.message
    assert dotnet_message(start) == "Training Start Date (2020-12-31) is before the dataset's first day (2021-01-01)."
    assert dotnet_message(end) == "Simulation End Date (2021-01-11) is after the dataset's last day (2021-01-10)."


def test_any_time_of_the_first_and_last_day_is_within_the_data() -> None:
    found = read("2021-01-01T00:00:00Z", *GOOD[1:5], "2021-01-10T23:59:59.9999999Z")  # as .NET writes whole days
    assert isinstance(found, DateRanges)
    assert (found.train.start, found.simulation.end) == (
        datetime(2021, 1, 1, tzinfo=UTC),
        datetime(2021, 1, 10, 23, 59, 59, 999999, tzinfo=UTC),
    )


def test_days_are_those_of_utc() -> None:
    start, end = problems("2021-01-01T00:30:00+01:00", *GOOD[1:5], "2021-01-10T23:00:00-05:00")
    assert dotnet_message(start) == (
        "Training Start Date (2021-01-01T00:30:00+01:00) is before the dataset's first day (2021-01-01)."
    )
    assert (
        dotnet_message(end)
        == "Simulation End Date (2021-01-10T23:00:00-05:00) is after the dataset's last day (2021-01-10)."
    )


def test_range_that_begins_after_the_last_row_or_ends_before_the_first_is_refused() -> None:
    start, *_ = problems(*GOOD[:4], "2021-01-10T22:00:01Z", "2021-01-10T23:00:00Z")
    assert (
        dotnet_message(start)
        == "Simulation Start Date (2021-01-10T22:00:01Z) is after the dataset's last row (2021-01-10T22:00:00Z)."
    )
    (end,) = problems("2021-01-01T00:00:00Z", "2021-01-01T09:59:59Z", *GOOD[2:])
    assert (
        dotnet_message(end)
        == "Training End Date (2021-01-01T09:59:59Z) is before the dataset's first row (2021-01-01T10:00:00Z)."
    )
    assert isinstance(read(*GOOD[:4], "2021-01-10T22:00:00Z", "2021-01-10"), DateRanges)
    assert [one.code for one in problems(*GOOD[:4], "2021-01-11", "2021-01-12")] == ["date_bounds", "date_bounds"]


def test_all_problems_come_at_once_in_the_order_of_the_contract() -> None:
    found = problems("x", "2021-01-03", "2021-01-03", "2021-01-02", "2021-01-01", "2021-02-01")
    assert [one.code for one in found] == ["date_invalid", "date_order", "date_overlap", "date_overlap", "date_bounds"]


def test_any_other_problem_keeps_its_message() -> None:
    assert dotnet_message(StorageProblem("set_empty", "test_start_date", "No rows.")) == "No rows."


days = st.integers(-3, 14).map(lambda day: datetime(2021, 1, 1, tzinfo=UTC) + timedelta(days=day))
moments = st.one_of(
    days.map(lambda at: at.date().isoformat()),
    st.builds(
        lambda at, seconds: (at + timedelta(seconds=seconds)).isoformat(),
        days,
        st.sampled_from([0, 36_000, 79_200, 79_201]),
    ),
    st.builds(
        lambda at, hours: at.astimezone(timezone(timedelta(hours=hours))).isoformat(), days, st.integers(-12, 12)
    ),
    st.builds(lambda at: at.replace(tzinfo=None).isoformat(), days),
    st.just("never"),
)


def reference(dates: list[str]) -> set[tuple[str, str]]:
    """The rules once more, as plainly as can be."""
    low: list[datetime | None] = []
    high: list[datetime | None] = []
    for text in dates:
        if text == "never":
            low.append(None)
            high.append(None)
        elif len(text) == 10:
            day = date.fromisoformat(text)
            low.append(datetime.combine(day, time.min, UTC))
            high.append(datetime.combine(day, time.max, UTC))
        else:
            at = datetime.fromisoformat(text)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
            low.append(at)
            high.append(at)
    ends = [low[0], high[1], low[2], high[3], low[4], high[5]]
    found = {("date_invalid", field) for field, end in zip(FIELDS, ends, strict=True) if end is None}
    for index, (one, other) in enumerate(pairwise(ends)):
        if one is None or other is None:
            continue
        if index % 2 == 0 and other < one:
            found.add(("date_order", FIELDS[index + 1]))
        if index % 2 == 1 and other <= one:
            found.add(("date_overlap", FIELDS[index + 1]))
    start, end = ends[0], ends[5]
    if start is not None and start.astimezone(UTC).date() < FIRST.date():
        found.add(("date_bounds", FIELDS[0]))
    if end is not None and end.astimezone(UTC).date() > LAST.date():
        found.add(("date_bounds", FIELDS[5]))
    starts = [(field, at) for field, at in zip(FIELDS[::2], ends[::2], strict=True) if at is not None]
    stops = [(field, at) for field, at in zip(FIELDS[1::2], ends[1::2], strict=True) if at is not None]
    found |= {("date_bounds", field) for field, at in starts if at > LAST}
    found |= {("date_bounds", field) for field, at in stops if at < FIRST}
    return found


@given(st.lists(moments, min_size=6, max_size=6), st.booleans())
def test_any_six_dates_are_judged_as_by_the_plain_rules(dates: list[str], ascending: bool) -> None:
    if ascending and "never" not in dates:
        dates = sorted(dates, key=lambda text: datetime.fromisoformat(text).replace(tzinfo=None))
    found = read(*dates)
    expected = reference(dates)
    assert isinstance(found, DateRanges) == (not expected)
    if isinstance(found, list):
        assert {(one.code, one.field) for one in found} == expected
        assert all(dotnet_message(one) for one in found)
    else:
        assert check_ranges(found, FIRST, LAST) == []
