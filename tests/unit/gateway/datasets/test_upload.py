"""A multipart body in pieces of any size gives the same file; whatever is wrong with it is said."""

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.datasets.upload import MAX_FIELD_BYTES, Received, receive
from gateway.errors import Invalid, TooLarge
from tests.support.examples import many

TYPE = "multipart/form-data; boundary=XX"


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    named = f'; filename="{file_name}"'.encode() if file_name is not None else b""
    return (
        b'--XX\r\nContent-Disposition: form-data; name="'
        + name.encode()
        + b'"'
        + named
        + b"\r\n\r\n"
        + content
        + b"\r\n"
    )


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--XX--\r\n"


async def in_pieces(data: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def upload(
    data: bytes, folder: Path, *, size: int = 65536, content_type: str = TYPE, limit: int = 1 << 20
) -> Received:
    return await receive(in_pieces(data, size), content_type, None, folder, limit)


async def problems(data: bytes, folder: Path, content_type: str = TYPE) -> list[tuple[list[str | int], str, str]]:
    with pytest.raises(Invalid) as raised:
        await upload(data, folder, content_type=content_type)
    return [(one.loc, one.msg, one.type) for one in raised.value.problems]


@settings(max_examples=many(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), size=st.integers(1, 80), field=st.text(max_size=20))
async def test_any_pieces_give_the_same_file(tmp_path: Path, content: bytes, size: int, field: str) -> None:
    if b"\r\n--XX" in content or "\r\n--XX" in field:
        return
    received = await upload(
        body(part("label", field.encode("utf-8", "replace")), part("file", content, "a.csv")), tmp_path, size=size
    )
    assert received.path.read_bytes() == content
    assert (received.size, received.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert received.fields == ([("label", field.encode("utf-8", "replace").decode())] if field else [])


async def test_a_large_file_is_kept_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000
    received = await upload(body(part("file", content, "a.csv")), tmp_path, limit=1 << 23)
    assert received.path.read_bytes() == content
    assert received.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("size", [1000, 1 << 22])
async def test_a_full_disk_ends_the_upload(tmp_path: Path, size: int) -> None:
    (tmp_path / "upload").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        await upload(body(part("file", b"x" * size, "a.csv")), tmp_path, limit=1 << 23)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("C:\\data\\a.csv", "a.csv"),
        ("../../etc/a.csv", "a.csv"),
        ("a\x00b\x1b.csv", "ab.csv"),
        ("ü.CSV.GZ", "ü.CSV.GZ"),
    ],
)
async def test_file_name_is_the_last_part_in_printable_characters(tmp_path: Path, sent: str, kept: str) -> None:
    assert (await upload(body(part("file", b"x", sent)), tmp_path)).file_name == kept


@pytest.mark.parametrize("data", [body(), body(part("label", b"x")), body(part("file", b"", ""))])
async def test_a_form_without_a_file_is_refused(tmp_path: Path, data: bytes) -> None:
    assert await problems(data, tmp_path) == [(["body", "file"], "Field required", "missing")]


@pytest.mark.parametrize("name", ["fil", "File", "upload", "file[]", ""])
@pytest.mark.parametrize("size", [1, 2 * MAX_FIELD_BYTES])
async def test_a_file_in_a_part_of_another_name_is_told_the_right_name(tmp_path: Path, name: str, size: int) -> None:
    said = f"The file came in the part {name!r}; the part must be named 'file'."
    assert await problems(body(part(name, b"x" * size, "a.csv")), tmp_path) == [(["body", "file"], said, "missing")]


@pytest.mark.parametrize("size", [1, 2 * MAX_FIELD_BYTES])
async def test_a_text_in_place_of_the_file_is_told_that_it_lacks_a_file_name(tmp_path: Path, size: int) -> None:
    said = "The part 'file' holds a text: send it with a file name, as `curl -F file=@rows.csv` does."
    assert await problems(body(part("file", b"x" * size)), tmp_path) == [(["body", "file"], said, "missing")]


@pytest.mark.parametrize("name", ["a.pdf", "csv", "a.csv.zip", "a.xlsx"])
async def test_another_file_type_is_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    ((loc, message, kind),) = await problems(body(part("file", b"x", name)), tmp_path)
    assert (loc, kind) == (["body", "file"], "value_error.filetype")
    assert message.startswith(f"Invalid file type. Please upload a CSV file. The name {name!r} does not end in .csv")


@pytest.mark.parametrize(
    "content_type", ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=" + "x" * 300]
)
async def test_another_content_type_is_refused(tmp_path: Path, content_type: str) -> None:
    ((loc, _, kind),) = await problems(body(), tmp_path, content_type)
    assert (loc, kind) == (["header", "content-type"], "value_error.content_type")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"nonsense",
        part("file", b"x", "a.csv"),
        body(part("file", b"x", "a.csv"))[:-6],
        body(*[part(f"f{i}", b"x") for i in range(65)]),
        body(part("file", b"x", "a.csv"), part("file", b"y", "b.csv")),
        b"--XX\r\nbroken header\r\n\r\nx\r\n--XX--\r\n",
    ],
)
async def test_a_broken_form_is_refused(tmp_path: Path, data: bytes) -> None:
    ((_, _, kind),) = await problems(data, tmp_path)
    assert kind == "value_error.multipart"


async def test_a_field_has_a_limit(tmp_path: Path) -> None:
    ((loc, _, kind),) = await problems(body(part("label", b"x" * (MAX_FIELD_BYTES + 1))), tmp_path)
    assert (loc, kind) == (["body", "label"], "value_error.too_long")


async def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    assert (await upload(body(part("file", b"x" * 100, "a.csv")), tmp_path, limit=100)).size == 100
    with pytest.raises(TooLarge):
        await upload(body(part("file", b"x" * 101, "a.csv")), tmp_path, limit=100)


async def test_an_announced_length_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await receive(in_pieces(body(), 10), TYPE, 1 << 30, tmp_path, 100)
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240
