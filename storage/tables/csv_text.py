"""An upload's bytes to plain UTF-8 text on disk: its name, gzip, encoding. Memory stays flat; what the file holds is
not looked at here."""

import codecs
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from storage.errors import StorageProblem
from storage.tables.csv_encoding import BLOCK, Encoding, blocks, find_encoding, marked

GZIP_MARK = b"\x1f\x8b"
FORMS = {
    b"PK\x03\x04": "a ZIP or Excel file: save the sheet as CSV and send that",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV and send that",
    b"%PDF": "a PDF",
    b"PAR1": "a Parquet file: write it as CSV and send that",
    b"{\\rt": "a rich text document",
    b"7z\xbc\xaf": "a 7-Zip archive: unpack it and send the CSV in it",
    b"Rar!": "a RAR archive: unpack it and send the CSV in it",
    b"\x28\xb5\x2f\xfd": "packed by zstd: unpack it, or pack it by gzip",
    b"BZh9": "packed by bzip2: unpack it, or pack it by gzip",
    b"\xfd7zX": "packed by xz: unpack it, or pack it by gzip",
}
TEXT_FORMS = {
    "<!doctype html": "a web page: the table itself is wanted",
    "<html": "a web page: the table itself is wanted",
    "<?xml": "XML: write it as CSV and send that",
    "[{": "JSON: write it as CSV and send that",
    '{"': "JSON: write it as CSV and send that",
}
ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat")
NOT_CSV = "Invalid file type. Please upload a CSV file."
LISTED = 10
REPLACED = "\ufffd"


@dataclass(frozen=True, slots=True)
class PlainText:
    """A UTF-8 text and how it was made. `stray_lines` holds the first lines with bytes that have no meaning, `stray`
    counts those bytes."""

    path: Path
    encoding: Encoding
    stray: int = 0
    stray_lines: tuple[int, ...] = ()


def plain_text(
    upload: Path, file_name: str, folder: Path, *, max_bytes: int, encoding: str | None = None
) -> PlainText | list[StorageProblem]:
    """Return a UTF-8 text of the upload: the upload itself when it is one already, else a copy in `folder`."""
    if problems := check_file_name(file_name):
        return problems
    start = _start(upload)
    if not start:
        return [StorageProblem("csv_empty", "file", "CSV is empty.")]
    if start[:2] == GZIP_MARK:
        unpacked = _unpack(upload, folder / "unpacked.csv", max_bytes)
        if isinstance(unpacked, StorageProblem):
            return [unpacked]
        upload, start = unpacked, _start(unpacked)
    if form := next((form for mark, form in FORMS.items() if start.startswith(mark)), None):
        return [_not_csv(f"It is {form}.")]
    opening = "".join(start[:100].decode("ascii", "ignore").lower().split()).replace("doctypehtml", "doctype html")
    if form := next((form for mark, form in TEXT_FORMS.items() if opening.startswith(mark)), None):
        return [_not_csv(f"It is {form}.")]
    found = _given(encoding, start) if encoding is not None else marked(start)
    if isinstance(found, StorageProblem):
        return [found]
    found = found or find_encoding(upload)
    if not found.name.startswith("utf-16") and not found.name.startswith("utf-32") and (line := _null_line(upload)):
        return [_not_csv(f"Line {line} holds a NUL byte, which no text has.")]
    return _as_utf8(upload, folder / "utf8.csv", found)


def check_file_name(file_name: str) -> list[StorageProblem]:
    """Refuse a name that is not that of a CSV file."""
    if file_name.lower().removesuffix(".gz").endswith(ENDINGS):
        return []
    return [
        _not_csv(
            f"The name {file_name!r} does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, each also with .gz."
        )
    ]


def known_encoding(name: str) -> str | None:
    """The codec of a name as people write it (`UTF-8`, `Windows-1252`, `euc-kr`); None when there is none that reads
    text."""
    plain = name.strip().lower().replace("windows-", "cp").replace("win-", "cp").replace("ansi", "cp1252")
    try:
        found = codecs.lookup(
            {"euc-kr": "cp949", "gb2312": "gb18030", "gbk": "gb18030", "shift-jis": "cp932", "shift_jis": "cp932"}.get(
                plain, plain
            )
        )
    except (LookupError, ValueError):
        return None
    return found.name if found._is_text_encoding else None


def _given(name: str, start: bytes) -> Encoding | StorageProblem:
    found = known_encoding(name)
    if found is None:
        message = (
            f"There is no encoding {name!r:.60}. Send one such as utf-8, utf-16, cp1252, cp1250, cp1251, cp949, gb18030"
            " or shift_jis."
        )
        return StorageProblem("encoding_unknown", "encoding", message, {"value": name})
    if found in ("utf-16", "utf-32"):  # which byte comes first is for the file to say
        said = marked(start)
        if said is None or not said.name.startswith(found):
            message = (
                f"The file is not {found}, as given: it has no mark of its byte order, nor its pattern of NUL bytes."
            )
            return StorageProblem(
                "encoding_wrong", "encoding", f"{message} Leave encoding out to have it found.", {"line": 1}
            )
        return Encoding(said.name, "given")
    return Encoding("utf-8" if found == "utf-8-sig" else found, "given")


def _start(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(4096)


def _null_line(path: Path) -> int | None:
    return next((_line_at(path, start + block.index(0)) for start, block in blocks(path) if b"\0" in block), None)


def _unpack(packed: Path, target: Path, max_bytes: int) -> Path | StorageProblem:
    size = 0
    try:
        with gzip.open(packed) as source, target.open("wb") as out:
            while block := source.read(BLOCK):
                size += len(block)
                if size > max_bytes:
                    return StorageProblem(
                        "too_large",
                        "file",
                        f"The unpacked file is larger than {max_bytes} bytes.",
                        {"limit": max_bytes},
                    )
                out.write(block)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return StorageProblem("gzip_broken", "file", f"The gzip file is damaged or cut off: {error}", {})
    return target if size else StorageProblem("csv_empty", "file", "CSV is empty.")


def _as_utf8(path: Path, target: Path, encoding: Encoding) -> PlainText | list[StorageProblem]:
    """The text itself where it is valid UTF-8, else a copy; a byte without a meaning becomes U+FFFD, counted, its line
    kept."""
    if encoding.clean or (encoding.name in ("utf-8", "ascii") and _is_utf8(path)):
        return PlainText(path, encoding)
    decoder = codecs.getincrementaldecoder(encoding.name)("replace")
    stray, line, lines = 0, 1, list[int]()
    with target.open("wb") as out:
        for _, block in (*blocks(path), (0, b"")):
            text = decoder.decode(block, final=not block)
            if REPLACED in text:
                stray += text.count(REPLACED)
                at = [number for number, part in enumerate(text.split("\n"), line) if REPLACED in part]
                lines = sorted({*lines, *at})[:LISTED]
            line += text.count("\n")
            out.write(text.encode("utf-8", "replace"))
    if stray and encoding.reason == "given" and stray > 0.01 * max(1, line) + 1:
        message = (
            f"The file is not {encoding.name}, as given: {stray} places cannot be read, the first in line {lines[0]}."
        )
        return [
            StorageProblem(
                "encoding_wrong",
                "encoding",
                f"{message} Leave encoding out to have it found.",
                {"line": lines[0], "count": stray},
            )
        ]
    return PlainText(target, encoding, stray, tuple(lines))


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = False  # a character may go on in the next block
    try:
        for _, block in blocks(path):
            if pending or not block.isascii():
                decoder.decode(block)
                pending = bool(decoder.getstate()[0])
    except UnicodeDecodeError:
        return False
    return not pending


def _line_at(path: Path, position: int) -> int:
    return 1 + sum(block[: max(0, position - start)].count(b"\n") for start, block in blocks(path))


def _not_csv(detail: str) -> StorageProblem:
    return StorageProblem("not_csv", "file", f"{NOT_CSV} {detail}", {"detail": detail})
