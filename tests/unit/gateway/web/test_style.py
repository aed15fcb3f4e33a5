"""Words, scales, sizes and times as clients see them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from gateway.web.style import CONTRACT, OLD, pass_rate, shown_path, size_text, time_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KB"),
        (1_258_291, "1.20 MB"),
        (5_238_389, "5.00 MB"),
        (1 << 30, "1.00 GB"),
        (1 << 41, "2.00 TB"),
    ],
)
def test_file_size_is_for_people(size: int, text: str) -> None:
    assert size_text(size) == text


def test_just_below_a_unit_is_not_shown_as_1024() -> None:
    assert size_text((1 << 20) - 1) == "1.00 MB"


def test_times_are_utc_with_z() -> None:
    assert time_text(datetime(2021, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2021-01-01T00:00:00Z"
    assert time_text(datetime(2021, 1, 1, 0, 0, 0, 250000, UTC)) == "2021-01-01T00:00:00.250000Z"


def test_old_clients_read_the_old_words() -> None:
    words = [OLD.word(status) for status in ("PENDING", "IN_PROGRESS", "PAUSED", "COMPLETED", "FAILED", "STOPPED")]
    assert words == ["PENDING", "PROGRESS", "PROGRESS", "SUCCESS", "FAILURE", "REVOKED"]
    assert CONTRACT.word("COMPLETED") == "COMPLETED"
    assert [OLD.verdict("PASS"), OLD.verdict("FAIL"), CONTRACT.verdict("FAIL")] == ["Pass", "Fail", "FAIL"]


def test_scale_of_100_is_for_old_clients() -> None:
    assert (OLD.score(0.25), CONTRACT.score(0.25)) == (25, 0.25)


def test_what_is_undefined_is_zero_for_old_clients() -> None:
    assert (OLD.figure(None), OLD.figure(0.5), CONTRACT.figure(None)) == (0.0, 0.5, None)


def test_pass_rate_has_two_decimals() -> None:
    assert pass_rate(1463, 104) == 93.36
    assert pass_rate(0, 0) == 0


def test_paths_are_whole() -> None:
    assert shown_path("file:///data", "models/m/curves.png") == "/data/models/m/curves.png"
    assert shown_path("s3://bucket/root/", "models/m/curves.png") == "s3://bucket/root/models/m/curves.png"
