"""What records in quarantine look like in a terminal: of their bytes only what can be printed. Pure."""

from rich.console import Group, RenderableType
from rich.text import Text

from client.command.show import facts, listing, when
from schemas.http.quarantine import QuarantineList, QuarantineView

SHOWN_CHARACTERS = 4000


def records(found: QuarantineList) -> RenderableType:
    rows = [
        (Text(one.place), Text(one.reader), when(one.quarantined_at), _printable(one.reason)) for one in found.items
    ]
    table = listing(("place", "passed over by", "at", "why"), rows, empty="Nothing is in quarantine.")
    counts = " · ".join(f"{topic} {count:,}" for topic, count in found.by_topic.items())
    return Group(table, *([_printable(f"{found.total:,} in all: {counts}")] if found.total else []))


def record(found: QuarantineView) -> RenderableType:
    value = (
        found.value_text
        if found.value_text is not None
        else f"(base64) {found.value_base64}"
        if found.value_base64
        else "–"
    )
    cut = " …" if len(value) > SHOWN_CHARACTERS or found.value_bytes > len(value.encode()) else ""
    rows: list[tuple[str, RenderableType]] = [
        ("why", _printable(found.reason)),
        ("passed over by", Text(f"a person, by {found.reader}" if found.by_hand else found.reader)),
        ("at", when(found.quarantined_at)),
        ("key", _printable(found.key_text or found.key_base64 or "–")),
        ("bytes", f"{found.value_bytes:,}"),
        ("value", _printable(value[:SHOWN_CHARACTERS] + cut)),
    ]
    return facts(found.place, rows)


def _printable(text: str) -> Text:
    return Text("".join(letter if letter.isprintable() or letter == "\n" else "·" for letter in text))
