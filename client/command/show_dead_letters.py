"""What dead letters look like in a terminal. Pure."""

from rich.console import Group, RenderableType
from rich.text import Text

from client.command.show import facts, listing, when
from schemas.http.dead_letters import DeadLetterPage, DeadLetterSummary, DeadLetterView, LettersSent

SHOWN_CHARACTERS = 4000
STYLES = {"open": "yellow", "redriven": "green", "purged": "dim"}


def letters(page: DeadLetterPage) -> RenderableType:
    rows = [
        (
            item.dead_letter_id,
            Text(item.state, style=STYLES[item.state]),
            item.reason,
            item.path or "–",
            item.run_id or "–",
            "–" if item.row_index is None else f"{item.row_index:,}",
            when(item.occurred_at),
            item.message,
        )
        for item in page.items
    ]
    columns = ("letter", "state", "reason", "field", "run", "row ", "at", "message")
    table = listing(columns, rows, empty="No dead letters.", next_cursor=page.next_cursor)
    counts = " · ".join(f"{reason} {count:,}" for reason, count in page.by_reason.items())
    more = (
        [Text("older ones are on the topic dead-letters.v1: shown, redriven and purged by their id", style="dim")]
        if page.older_on_topic_only
        else []
    )
    return Group(table, *([Text(f"{page.total:,} in all: {counts}")] if page.total else []), *more)


def letter(found: DeadLetterView) -> RenderableType:
    value = found.value_text if found.value_text is not None else f"(base64) {found.value_base64}"
    cut = "" if found.whole and len(value) <= SHOWN_CHARACTERS else " …"
    rows: list[tuple[str, RenderableType]] = [
        ("state", Text(found.state, style=STYLES[found.state])),
        *_outcome(found),
        ("reason", found.reason),
        ("message", found.message),
        ("field", found.path or "–"),
        (
            "run",
            (
                f"{found.run_id or '–'}, attempt {found.attempt or '–'}, row"
                f" {'–' if found.row_index is None else found.row_index}"
            ),
        ),
        ("record", f"{found.topic} partition {found.partition} offset {found.offset}"),
        ("at", when(found.occurred_at)),
        ("key", found.key_text or found.key_base64 or "–"),
        ("headers", _headers(found)),
        ("value", Text(value[:SHOWN_CHARACTERS] + cut)),
    ]
    return facts(found.dead_letter_id, rows)


def sent(what: str, report: LettersSent) -> RenderableType:
    lines = [Text(f"{report.sent:,} of {report.matched:,} {what}")]
    lines += [Text(f"{item.dead_letter_id}: {item.detail}", style="red") for item in report.failed]
    if report.left:
        lines.append(Text(f"{report.left:,} more match: do it again", style="dim"))
    return Group(*lines)


def _outcome(found: DeadLetterSummary) -> list[tuple[str, RenderableType]]:
    if (outcome := found.outcome) is None:
        return []
    said = {
        "answered": f"counted once: prediction {outcome.prediction_id}",
        "dead_letter": f"failed again: {outcome.dead_letter_id}: {outcome.message}",
        "ignored": f"ignored: {outcome.message}",
    }
    return [("redriven", f"{when(outcome.at)}, {said[outcome.outcome]}")]


def _headers(found: DeadLetterView) -> str:
    said = [
        f"{one.name}: {one.text if one.base64 is None or one.text is not None else one.base64}"
        for one in found.all_headers
    ]
    shown = ", ".join(said or [f"{name}: {text}" for name, text in found.headers.items()]) or "–"
    return shown + (f" and {found.headers_cut} more that did not fit" if found.headers_cut else "")
