"""Texts of others made fit to be shown: on a terminal, in a log, as the name of a download, in a spreadsheet. Pure."""

import re
from urllib.parse import quote

_CONTROL = dict.fromkeys((*range(32), *range(127, 160), *range(8234, 8239), *range(8294, 8298), 8206, 8207))
"""C0, DEL, C1, and what turns the direction of writing."""
_LINES = {code: None for code in _CONTROL if chr(code) not in "\n\t"}
_USER_AND_PASSWORD = re.compile(r"(?<=://)[^/\s\"'@]*(?:@[^/\s\"'@]*)*@")
_SECRET_FIELD = re.compile(
    r"(?i)((?:^|[?&;,\s\"'])[\w.-]*(?:password|passwd|secret|token|credential|key)[\w.-]*=)[^&;,\s\"'#]+"
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
HIDDEN = "***"


def printable(text: str) -> str:
    """Without what a terminal obeys; lines stay lines."""
    return text.translate(_LINES)


def without_secrets(text: str) -> str:
    """With `***` for users and passwords of URLs, and for the values of fields in them whose names speak of secrets."""
    return _SECRET_FIELD.sub(rf"\g<1>{HIDDEN}", _USER_AND_PASSWORD.sub(f"{HIDDEN}@", text))


def attachment(file_name: str) -> str:
    """The value of a Content-Disposition header that offers a download under this name, whatever characters it has (RFC
    6266, 5987)."""
    name = file_name.translate(_CONTROL).replace("/", "_").replace("\\", "_") or "download"
    plain = "".join(one if one.isascii() and one not in '"%' else "_" for one in name)
    return f'attachment; filename="{plain}"' + (
        "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='replace')}"
    )


def cell(value: object) -> object:
    """A value for a CSV file that a spreadsheet may open: a text that it would take for a formula begins with an
    apostrophe there."""
    if isinstance(value, str) and value.startswith(FORMULA) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
