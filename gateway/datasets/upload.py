"""A multipart upload on its way to a file: streamed, hashed, memory flat, the event loop never held up.

The body is parsed as it arrives; the file's bytes go to the disk in pieces from a thread, which hashes them too, one
piece while the next one comes in. Whatever ends the upload early (client gone, limit, disk full) is raised to the
caller, who removes the folder."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import Invalid, TooLarge, problem
from gateway.metrics import UPLOADED_BYTES
from gateway.web.file_names import file_name as client_name
from gateway.web.problems import ml
from storage.tables.csv_text import check_file_name

PIECE_BYTES = 1 << 20
MOST_CHUNKS = 64
"""Of a piece, to be written as they are; more are joined first."""
MAX_FIELD_BYTES = 4096
MAX_PARTS = 64
DRAIN_BYTES, DRAIN_SECONDS = 64 << 20, 5.0
FILE = ("body", "file")
Stream = AsyncGenerator[bytes, None]


@dataclass(frozen=True, slots=True)
class Received:
    """A whole upload: the file as it was sent, and the form's other fields as text, in their order, empty ones left
    out."""

    path: Path
    file_name: str
    size: int
    sha256: str
    fields: list[tuple[str, str]]


async def receive(stream: Stream, content_type: str, length: int | None, folder: Path, limit: int) -> Received:
    """Read the form to its end; the file lies in `folder`. Raises `Invalid`, `TooLarge`, `OSError` of the disk,
    `ClientDisconnect`."""
    try:
        if length is not None and length > limit + MAX_PARTS * MAX_FIELD_BYTES:
            raise TooLarge(limit)
        return await _receive(stream, _boundary(content_type), folder, limit)
    except (Invalid, TooLarge):
        await drain(stream)
        raise


def check_name(file_name: str) -> None:
    """Raise `Invalid` unless the name is that of a CSV file, plain or gzip."""
    if problems := check_file_name(file_name):
        raise Invalid(ml(problems))


async def _receive(stream: Stream, boundary: bytes, folder: Path, limit: int) -> Received:
    path = folder / "upload"
    form = _Form(limit)
    parser = form.parser(boundary)
    async with _Sink(await asyncio.to_thread(path.open, "wb", 0)) as sink:
        async for chunk in stream:
            try:
                parser.write(chunk)
            except FormParserError as error:
                raise Invalid(
                    [problem(("body",), f"The multipart body is broken: {error}.", "value_error.multipart")]
                ) from error
            if form.waiting_bytes >= PIECE_BYTES:
                await sink.write(form.take())
        await sink.write(form.take())
        await sink.written()
    return form.received(path, sink.sha256.hexdigest())


def _boundary(content_type: str) -> bytes:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 256:
        message = "Send the file as multipart/form-data with a boundary."
        raise Invalid([problem(("header", "content-type"), message, "value_error.content_type")])
    return boundary


async def drain(stream: Stream) -> None:
    """Read on for a while, for nothing: a client that is still sending would not see the answer."""
    seen = 0
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in stream:
                seen += len(chunk)
                if seen > DRAIN_BYTES:
                    return
    except TimeoutError:
        return


class _Sink:
    """A file that is written and hashed in a thread, one piece at a time, closed when no thread works on it any
    more."""

    def __init__(self, file: FileIO) -> None:
        self.sha256 = hashlib.sha256()
        self._file = file
        self._writing: asyncio.Future[None] | None = None

    async def __aenter__(self) -> "_Sink":
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._writing is None:
            self._file.close()
        else:
            self._writing.add_done_callback(self._close)

    def _close(self, writing: "asyncio.Future[None]") -> None:
        self._file.close()
        writing.exception()  # told already, or of an upload that has ended for another reason

    async def write(self, piece: list[bytes]) -> None:
        """Begin to write the piece when the former one is written. Raises `OSError` of either."""
        await self.written()
        self._writing = asyncio.get_running_loop().run_in_executor(None, self._write, piece)

    async def written(self) -> None:
        """Wait for the piece that is being written."""
        if self._writing is not None:
            await asyncio.wait(
                (self._writing,)
            )  # when this is cancelled, the future is not: it tells when the file may be closed
            self._writing.result()

    def _write(self, piece: list[bytes]) -> None:
        for chunk in piece if len(piece) <= MOST_CHUNKS else [b"".join(piece)]:
            self.sha256.update(chunk)
            rest = memoryview(chunk)
            while rest:
                rest = rest[self._file.write(rest) :]
            UPLOADED_BYTES.inc(len(chunk))


@dataclass
class _Form:
    """What has been read so far; its methods are the parser's callbacks."""

    limit: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    file_name: str | None = None
    size: int = 0
    waiting_bytes: int = 0
    _ended: bool = False
    _parts: int = 0
    _waiting: list[bytes] = field(default_factory=list)
    _headers: dict[bytes, bytes] = field(default_factory=dict)
    _header: list[bytearray] = field(default_factory=lambda: [bytearray(), bytearray()])
    _name: str = ""
    _value: bytearray | None = None

    def parser(self, boundary: bytes) -> MultipartParser:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
        )

    def take(self) -> list[bytes]:
        """What of the file waits to be written; it waits no longer."""
        piece, self._waiting, self.waiting_bytes = self._waiting, [], 0
        return piece

    def received(self, path: Path, sha256: str) -> Received:
        """The whole of it; raises `Invalid` when it is not whole."""
        if not self._ended:
            raise Invalid(
                [problem(("body",), "The multipart body ends before its closing boundary.", "value_error.multipart")]
            )
        if self.file_name is None:
            raise Invalid([problem(FILE, "Field required", "missing")])
        return Received(path, self.file_name, self.size, sha256, self.fields)

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Invalid([problem(("body",), f"The form has more than {MAX_PARTS} parts.", "value_error.multipart")])
        self._headers.clear()
        self._header = [bytearray(), bytearray()]

    def _header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = [bytearray(), bytearray()]

    def _headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        self._name = _text(options.get(b"name", b""))
        file_name = client_name(_text(options.get(b"filename", b"")), disposition)
        if self._name != "file" or not file_name:
            self._refuse_misplaced(file_name, has_name=b"filename" in options)
            self._value = bytearray()
            return
        if self.file_name is not None:
            raise Invalid([problem(FILE, "Send one file at a time.", "value_error.multipart")])
        check_name(file_name)
        self.file_name, self._value = file_name, None

    def _refuse_misplaced(self, file_name: str, *, has_name: bool) -> None:
        """A file under another name, or a text under the file's: what is meant is clear, so it is said at once."""
        if file_name:
            message = f"The file came in the part {self._name!r:.80}; the part must be named 'file'."
        elif self._name == "file" and not has_name:
            message = "The part 'file' holds a text: send it with a file name, as `curl -F file=@rows.csv` does."
        else:
            return
        raise Invalid([problem(FILE, message, "missing")])

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._value is not None:
            self._value.extend(data[start:end])
            if len(self._value) > MAX_FIELD_BYTES:
                raise Invalid(
                    [problem(("body", self._name), f"Longer than {MAX_FIELD_BYTES} bytes.", "value_error.too_long")]
                )
            return
        self.size += end - start
        if self.size > self.limit:
            raise TooLarge(self.limit)
        self.waiting_bytes += end - start
        self._waiting.append(data[start:end])

    def _part_end(self) -> None:
        if self._value:
            self.fields.append((self._name, _text(bytes(self._value))))
        self._value = bytearray()

    def _end(self) -> None:
        self._ended = True


def _text(raw: bytes) -> str:
    """UTF-8, else Latin-1, which takes any bytes."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
