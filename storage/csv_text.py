"""An upload's bytes to plain UTF-8 text on disk: its name, gzip, encoding. Memory stays flat; what the file holds is not looked at here.

UTF-8 is tried first, then Latin-1 as browsers and spreadsheets write it (Windows-1252, which has five bytes without a meaning).
"""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from storage.errors import Problem

BLOCK = 1 << 20
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
GZIP_MARK = b"\x1f\x8b"
FORMS = {b"PK\x03\x04": "a ZIP or Excel file", b"\xd0\xcf\x11\xe0": "an old Excel file", b"%PDF": "a PDF", b"PAR1": "a Parquet file"}


def plain_text(upload: Path, file_name: str, folder: Path, *, max_bytes: int) -> Path | list[Problem]:
    """Return a UTF-8 text of the upload: the upload itself when it is one already, else a copy in `folder`."""
    if problems := check_file_name(file_name):
        return problems
    with upload.open("rb") as opened:
        start = opened.read(4)
    if not start:
        return [Problem("csv_empty", "file", "CSV is empty.")]
    if start[:2] == GZIP_MARK:
        unpacked = _unpack(upload, folder / "unpacked.csv", max_bytes)
        if isinstance(unpacked, Problem):
            return [unpacked]
        upload = unpacked
        with upload.open("rb") as opened:
            start = opened.read(4)
    if start[:2] in UTF16_MARKS:
        return [_encoding("it is UTF-16", {})]
    if start in FORMS:
        return [_not_csv(f"it is {FORMS[start]}")]
    return _utf8(upload, folder)


def check_file_name(file_name: str) -> list[Problem]:
    """Refuse a name that is not that of a CSV file."""
    return [] if file_name.lower().endswith((".csv", ".csv.gz")) else [_not_csv(f"its name is {file_name!r}")]


def _unpack(packed: Path, target: Path, max_bytes: int) -> Path | Problem:
    size = 0
    try:
        with gzip.open(packed) as source, target.open("wb") as out:
            while block := source.read(BLOCK):
                size += len(block)
                if size > max_bytes:
                    return Problem("too_large", "file", f"The unpacked file is larger than {max_bytes} bytes.", {"limit": max_bytes})
                out.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return Problem("gzip_broken", "file", f"The gzip file is damaged or cut off: {error}", {})
    return target if size else Problem("csv_empty", "file", "CSV is empty.")


def _utf8(path: Path, folder: Path) -> Path | list[Problem]:
    decoder = codecs.getincrementaldecoder("utf-8")()
    utf8 = True
    pending = False  # a character may go on in the next block
    for start, block in _blocks(path):
        if b"\0" in block:
            return [_not_csv(f"line {_line_at(path, start + block.index(0))} holds a NUL byte")]
        if utf8 and (pending or not block.isascii()):
            try:
                decoder.decode(block)
                pending = bool(decoder.getstate()[0])
            except UnicodeDecodeError:
                utf8 = False
    return path if utf8 and not pending else _from_latin1(path, folder / "utf8.csv")


def _from_latin1(path: Path, target: Path) -> Path | list[Problem]:
    with target.open("wb") as out:
        for start, block in _blocks(path):
            try:
                out.write(block.decode("cp1252").encode())
            except UnicodeDecodeError as error:
                line, byte = _line_at(path, start + error.start), f"0x{block[error.start]:02X}"
                return [_encoding(f"line {line} holds the byte {byte}", {"line": line, "value": byte})]
    return target


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Blocks of the file, each with its position."""
    start = 0
    with path.open("rb") as opened:
        while block := opened.read(BLOCK):
            yield start, block
            start += len(block)


def _line_at(path: Path, position: int) -> int:
    return 1 + sum(block[: max(0, position - start)].count(b"\n") for start, block in _blocks(path))


def _not_csv(detail: str) -> Problem:
    return Problem("not_csv", "file", f"Invalid file type. Please upload a CSV file: {detail}.", {"detail": detail})


def _encoding(detail: str, values: dict[str, object]) -> Problem:
    return Problem("encoding", "file", f"The file is neither UTF-8 nor Latin-1: {detail}. Save it as UTF-8.", values)
