"""The name of an uploaded file, in whichever way a client wrote it: plain, RFC 5987 (`filename*=`), or RFC 2047, as
.NET does. Pure."""

import binascii
import re
from email.errors import MessageError
from email.header import decode_header, make_header
from urllib.parse import unquote_to_bytes

EXTENDED = re.compile(r";\s*filename\*\s*=\s*\"?([A-Za-z0-9_.:+-]+)'[^']*'([^\";\s]*)\"?", re.IGNORECASE)
ENCODED = re.compile(r"\s*=\?[^?\s]+\?[bBqQ]\?[^?]*\?=(\s*=\?[^?\s]+\?[bBqQ]\?[^?]*\?=)*\s*", re.ASCII)
LONGEST = 255


def file_name(plain: str, disposition: str) -> str:
    """The last part of a path, printable characters only, as the client's disk would call it.

    `plain`: the header's `filename`, empty when it has none; `disposition`: the whole header. `filename*` goes before
    `filename`."""
    name = _extended(disposition) or _decoded(plain)
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(character for character in name if character.isprintable()).strip()[-LONGEST:]


def _extended(disposition: str) -> str:
    found = EXTENDED.search(disposition)
    if found is None:
        return ""
    try:
        return unquote_to_bytes(found[2]).decode(found[1])
    except (LookupError, UnicodeDecodeError):
        return ""


def _decoded(plain: str) -> str:
    if not ENCODED.fullmatch(plain):
        return plain
    try:
        return str(make_header(decode_header(plain))) or plain
    except (LookupError, ValueError, MessageError, binascii.Error):
        return plain
