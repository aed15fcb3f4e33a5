from datetime import UTC, datetime

import polars as pl
import pytest

from rows.decode import Opened, opened
from rows.times import read_time
from schemas.topics import INGRESS
from storage.tables.times import ISO
from storage.tables.times import read_time as read_column
from tests.unit.stream_processor.toys import Record, partition_of, row

SAME = [
    ("2021-03-04T05:06:07Z", datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),
    ("2021-03-04T05:06Z", datetime(2021, 3, 4, 5, 6, tzinfo=UTC)),
    ("2021-03-04 05:06:07Z", datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),
    ("2021-03-04T05:06:07+01", datetime(2021, 3, 4, 4, 6, 7, tzinfo=UTC)),
    ("2021-03-04T05:06+01:30", datetime(2021, 3, 4, 3, 36, tzinfo=UTC)),
    ("2021-03-04T05:06:07.1234560Z", datetime(2021, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)),
    ("2021-03-04T05:06:07-00:30", datetime(2021, 3, 4, 5, 36, 7, tzinfo=UTC)),
    ("2021-03-04T05:06:07 UTC", datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),
    ("2021-03-04t05:06:07z", datetime(2021, 3, 4, 5, 6, 7, tzinfo=UTC)),
]


@pytest.mark.parametrize(
    ("text", "expected"), [*SAME, ("2021-03-04T05:06:07+0100", datetime(2021, 3, 4, 4, 6, 7, tzinfo=UTC))]
)
def test_a_time_that_is_clear_is_taken_however_it_is_written(text: str, expected: datetime) -> None:
    found = opened(Record(row(timestamp=text), topic=INGRESS.name), partition_of)
    assert isinstance(found, Opened)
    assert found.envelope.timestamp == expected
    assert read_time(text) == expected


@pytest.mark.parametrize(("text", "expected"), SAME)
def test_the_csv_reader_says_the_same(text: str, expected: datetime) -> None:
    assert pl.DataFrame({"t": [text]}).select(read_column("t", ISO))["t"].to_list() == [expected]


@pytest.mark.parametrize("text", ["2016-12-31T23:59:60Z", "2016-12-31T23:59:60+00", "2017-01-01T00:59:60+0100"])
def test_a_leap_second_is_the_next_one(text: str) -> None:
    assert read_time(text) == datetime(2017, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2021-03-04",
        "2021-03-04T05:06:07",
        "2021-13-04T05:06:07Z",
        "2021-03-04T25:06Z",
        "2021-03-04T05:06:61Z",
        "1e9",
        "2021-03-04T05:06:07+24",
        "2021-03-04T05:06:07+01:60",
        "0001-01-01T00:00:00+10",
        "٢٠٢١-03-04T05:06:07Z",
    ],
)
def test_what_is_no_clear_time_is_a_dead_letter(text: str) -> None:
    assert read_time(text) is None
    assert not isinstance(opened(Record(row(timestamp=text), topic=INGRESS.name), partition_of), Opened)
