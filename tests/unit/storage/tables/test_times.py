"""Columns of times: the style is found, and read as UTC."""

from datetime import UTC, datetime

import polars as pl
import pytest

from storage.tables.times import ISO, TimeFinding, find_number_style, find_times, instant, microseconds, read_time


def texts(*values: str | None) -> pl.LazyFrame:
    return pl.LazyFrame({"t": list(values)}, schema={"t": pl.String})


def read(style: str, *values: str | None) -> list[datetime | None]:
    return texts(*values).select(read_time("t", style)).collect()["t"].to_list()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2021-01-02", datetime(2021, 1, 2, tzinfo=UTC)),
        ("2021-01-02 03:04", datetime(2021, 1, 2, 3, 4, tzinfo=UTC)),
        ("2021-01-02T03:04:05", datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2021-01-02 03:04:05.678", datetime(2021, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
        ("2021-01-02T03:04:05Z", datetime(2021, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2021-01-02T03:04:05+02:00", datetime(2021, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2021-01-02 03:04-0530", datetime(2021, 1, 2, 8, 34, tzinfo=UTC)),
        (" 2021-01-02T03:04:05.123456789Z ", datetime(2021, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("31/12/2021 10:00:00", datetime(2021, 12, 31, 10, tzinfo=UTC)),
        ("12/31/2021 10:00", datetime(2021, 12, 31, 10, tzinfo=UTC)),
        ("12/31/2021 1:05:00 PM", datetime(2021, 12, 31, 13, 5, tzinfo=UTC)),
        ("01.02.2021 10:00", datetime(2021, 2, 1, 10, tzinfo=UTC)),
        ("2021/02/01", datetime(2021, 2, 1, tzinfo=UTC)),
        ("5-Jan-2021 00:00:01", datetime(2021, 1, 5, 0, 0, 1, tzinfo=UTC)),
    ],
)
def test_a_common_way_to_write_a_time_is_found_and_read(text: str, expected: datetime) -> None:
    found = find_times(texts(text), "t")
    assert found is not None
    assert found.bad == 0
    assert found.other is None
    assert read(found.style, text) == [expected]


@pytest.mark.parametrize("values", [("a1", "b2"), ("1.5", "2.5"), ("L1_S2",), ("10:00:00",), ("2021",), (None,)])
def test_other_texts_are_not_taken_for_times(values: tuple[str | None, ...]) -> None:
    assert find_times(texts(*values), "t") is None


def test_iso_forms_may_be_mixed() -> None:
    found = find_times(texts("2021-01-02", "2021-01-02T03:04:05Z", "2021-01-02 03:04:05+01:00"), "t")
    assert found == TimeFinding(ISO)


def test_one_value_that_cannot_be_swapped_decides_between_day_and_month() -> None:
    assert find_times(texts("01/02/2021", "13/02/2021"), "t") == TimeFinding("%d/%m/%Y")
    assert find_times(texts("01/02/2021", "02/13/2021"), "t") == TimeFinding("%m/%d/%Y")


def test_days_and_months_that_could_be_swapped_are_ambiguous() -> None:
    found = find_times(texts("01/02/2021", "05/05/2021"), "t")
    assert found is not None
    assert {found.style, found.other} == {"%d/%m/%Y", "%m/%d/%Y"}


def test_swapping_that_changes_nothing_is_not_ambiguous() -> None:
    found = find_times(texts("05/05/2021"), "t")
    assert found is not None
    assert found.other is None


def test_a_few_values_of_no_time_are_counted() -> None:
    assert find_times(texts(*["2021-01-02"] * 99, "x"), "t") == TimeFinding("%Y-%m-%d", bad=1)


@pytest.mark.parametrize(
    ("factor", "style"), [(1, "epoch-s"), (10**3, "epoch-ms"), (10**6, "epoch-us"), (10**9, "epoch-ns")]
)
def test_numbers_since_1970_are_found_by_their_size(factor: int, style: str) -> None:
    numbers = [str(1_600_000_000 * factor), str(1_600_000_060 * factor)]
    assert find_number_style(numbers, hinted=False) == style
    assert read(style, *numbers)[1] == instant(1_600_000_060 * 10**6)


def test_numbers_of_another_century_are_not_times() -> None:
    assert find_number_style(["1.0", "2.0"], hinted=True) is None
    assert find_number_style([], hinted=True) is None


def test_an_instant_comes_back_from_its_microseconds() -> None:
    at = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert microseconds(at) == -1
    assert instant(-1) == at
