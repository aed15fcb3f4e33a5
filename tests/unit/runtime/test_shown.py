"""Texts of others on a terminal, in a download's name, in a spreadsheet; and passwords nowhere."""

import csv
import io
import unicodedata
from email.message import Message
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.shown import attachment, cell, printable, without_secrets


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    found = printable(text)
    assert not [one for one in found if unicodedata.category(one) == "Cc" and one not in "\n\t"]
    assert found == text or len(found) < len(text)


@given(st.text(min_size=1))
def test_a_name_of_any_characters_is_one_header_that_gives_it_back(name: str) -> None:
    header = attachment(name)
    assert header.isascii()
    assert header.isprintable()
    parsed = Message()
    parsed["Content-Disposition"] = header
    assert parsed.get_content_disposition() == "attachment"
    assert [key for key, _ in parsed.get_params([], header="content-disposition")][1:] in (
        ["filename"],
        ["filename", "filename"],
    )
    if name.isalnum():
        _, _, encoded = header.partition("filename*=UTF-8''")
        assert (unquote(encoded) or parsed.get_filename()) == name


def test_a_name_cannot_add_a_header_or_another_name() -> None:
    header = attachment('a"; filename="b.exe"\r\nSet-Cookie: x=1')
    assert "\r" not in header
    assert "\n" not in header
    assert header.count('"') == 2


@pytest.mark.parametrize("value", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])
def test_a_text_that_is_a_formula_is_text(value: str) -> None:
    assert cell(value) == "'" + value


@pytest.mark.parametrize("value", [-1.5, 3, "-12.5", "+7", "-1e-9", "SAMPLE_1", "", None, True, "a=b"])
def test_numbers_and_other_texts_stay_as_they_are(value: object) -> None:
    assert cell(value) is value


@given(st.text())
def test_no_cell_of_a_sheet_begins_as_a_formula(text: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([cell(text), "end"])
    found = next(csv.reader(io.StringIO(out.getvalue(), newline="")))[0]
    assert not found.startswith(("=", "@", "\t", "\r")), found
    assert found in (text, "'" + text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:pass@redis:6379/0", "redis://***@redis:6379/0"),
        ("rediss://:p@ss@redis/0", "rediss://***@redis/0"),
        ("redis://redis:6379/0?password=secret&db=1", "redis://redis:6379/0?password=***&db=1"),
        ("s3://AKIA:abc@bucket/a", "s3://***@bucket/a"),
        ("s3://bucket/a?aws_secret_access_key=abc&region=x", "s3://bucket/a?aws_secret_access_key=***&region=x"),
        (
            "cannot connect to redis://:x@h:1/0, and amqp://a:b@c",
            "cannot connect to redis://***@h:1/0, and amqp://***@c",
        ),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("file:///data/a@b", "file:///data/a@b"),
        ("champion@default", "champion@default"),
    ],
)
def test_passwords_of_addresses_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
