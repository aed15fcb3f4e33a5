"""One dead letter: what is wrong with it, its body with the bad field marked, and its repair."""

import base64
from html import escape

from nicegui import ui

from client.errors import ClientError
from dashboard import figures, payload, texts
from dashboard.frame import card, explained, show, sure
from dashboard.gateway import client
from dashboard.markup import Html, badge, facts, html, joined, link, mono, muted, note, time
from schemas.http.dead_letters import DeadLetterSummary, DeadLetterView, PurgeMatching

SHOWN_BYTES = 512
STATE_KINDS = {"open": "bad", "redriven": "good", "purged": ""}


def letter_state(letter: DeadLetterSummary) -> Html:
    """Open, redriven or purged, and what came of a redrive."""
    word, kind = texts.LETTER_STATES[letter.state], STATE_KINDS[letter.state]
    if letter.outcome and letter.outcome.outcome != "answered":
        kind = "warn"
    came = f" · {texts.OUTCOMES[letter.outcome.outcome]}" if letter.outcome else ""
    return badge(texts.LETTER_SIGNS[letter.state] + word + came, kind)


def letter_facts(letter: DeadLetterView) -> Html:
    """Why, from where, of which run."""
    dash = html(figures.DASH)
    rows: list[tuple[str, Html]] = [
        (texts.STATE, letter_state(letter)),
        (
            texts.REASON,
            joined([Html(f"<b>{escape(texts.REASONS.get(letter.reason, letter.reason))}</b>: "), letter.message]),
        ),
        (texts.FIELD, mono(letter.path) if letter.path else dash),
        (texts.RUN, link(f"/runs/{letter.run_id}", mono(letter.run_id)) if letter.run_id else dash),
        (
            texts.ROW,
            html(f"{figures.count(letter.row_index)} ({texts.ATTEMPT_NUMBER.format(number=letter.attempt or 1)})"),
        ),
        (texts.PLACE, mono(f"{letter.topic} · {texts.PARTITION} {letter.partition} · {texts.OFFSET} {letter.offset}")),
        (texts.KEY, mono(letter.key_text) if letter.key_text else dash),
        (texts.OCCURRED, time(letter.occurred_at)),
    ]
    if letter.outcome:
        said = [texts.OUTCOMES[letter.outcome.outcome], letter.outcome.message]
        also = letter.outcome.dead_letter_id
        again = link(f"/dead-letters/{also}", mono(also)) if also else Html("")
        rows.append((texts.OUTCOME, joined([html(" · ".join(text for text in said if text)), again], " ")))
    return facts(rows)


def repair(letter: DeadLetterView) -> None:
    """The body and what can be done with it."""
    body, at = payload.read(letter.value_text), payload.place(letter.path)
    desk = RepairDesk(letter, body, at)
    with ui.element("div").classes("ii-two"):
        with card(texts.BODY):
            show(body_view(letter, body, at))
        with card(texts.REPAIR_TITLE):
            if letter.state == "purged":
                show(note("info", texts.LETTER_PURGED))
            elif letter.outcome and letter.outcome.outcome == "answered":
                show(note("good", joined([texts.LETTER_ANSWERED, mono(letter.outcome.prediction_id or "")], " ")))
            else:
                desk.draw()


def body_view(letter: DeadLetterView, body: dict[str, object] | None, at: payload.Place) -> Html:
    """The body: as fields with the bad one marked, as text, or as bytes."""
    cut = "" if letter.whole else note("warn", texts.BODY_CUT)
    if body is not None:
        all_lines = payload.lines(body, at)
        start, shown = payload.around(all_lines)
        inner = "".join(_line(line) for line in shown)
        left = len(all_lines) - start - len(shown)
        above = muted(texts.LINES_ABOVE.format(count=figures.count(start))) if start else Html("")
        below = muted(texts.LINES_BELOW.format(count=figures.count(left))) if left > 0 else Html("")
        return joined([Html(cut), above, Html(_code(inner)), below])
    if letter.value_text is not None:
        return joined([Html(cut), Html(_code(escape(letter.value_text[: 8 * SHOWN_BYTES]) or "&nbsp;"))])
    start_bytes = base64.b64decode(letter.value_base64)[:SHOWN_BYTES]
    dump = "\n".join(f"{i:04x}  {start_bytes[i : i + 16].hex(' ')}" for i in range(0, len(start_bytes), 16))
    return joined([Html(cut), muted(texts.NO_TEXT), Html(_code(escape(dump)))])


def _code(inner: str) -> str:
    return f'<pre class="ii-code" tabindex="0" role="region" aria-label="{escape(texts.BODY)}">{inner}</pre>'


def _line(line: payload.Line) -> str:
    if not line.bad:
        return f"<span>{escape(line.text)}</span>\n"
    word = texts.FIELD_MISSING if line.missing else texts.FIELD_BAD
    return f"<mark>{escape(line.text)} <b>◀ {escape(word)}</b></mark>\n"


class RepairDesk:
    """Repair of one letter: the bad field alone, or the whole body."""

    def __init__(self, letter: DeadLetterView, body: dict[str, object] | None, at: payload.Place) -> None:
        self.letter, self.body, self.at = letter, body, at

    def draw(self) -> None:
        ui.label(texts.REPAIR_LEAD).classes("ii-muted ii-small")
        if self.body is not None and self.at:
            self._field()
        text = payload.write(self.body) if self.body is not None else self.letter.value_text or ""
        with ui.expansion(texts.EDIT_WHOLE).classes("w-full ii-expansion").props("dense"):
            self.whole = (
                ui.textarea(texts.BODY, value=text)
                .props("outlined dense autogrow=false rows=16")
                .classes("w-full ii-mono")
            )
            ui.button(texts.REDRIVE_EDITED, icon="redo", on_click=lambda: self._redrive(self.whole.value)).props(
                "outline no-caps color=primary"
            )
        with ui.element("div").classes("ii-row"):
            ui.button(texts.REDRIVE_SAME, on_click=lambda: self._redrive(None)).props("outline no-caps color=primary")
            ui.button(texts.PURGE, icon="delete_outline", on_click=self._purge).props("outline no-caps color=primary")
        self.answer = show(Html(""))

    def _field(self) -> None:
        assert self.body is not None
        present, value = payload.value(self.body, self.at)
        shown = "" if not present or isinstance(value, dict | list) else str(value)
        self.field = (
            ui.input(".".join(self.at), value=shown)
            .props(f'outlined dense hint="{texts.FIELD_HINT}"')
            .classes("w-full ii-mono")
        )
        with ui.element("div").classes("ii-row").style("margin-top:8px"):
            ui.button(texts.REDRIVE_FIELD, icon="redo", on_click=self._mend).props("unelevated no-caps color=primary")
            if present and self.letter.reason == "unknown_feature":
                ui.button(texts.REDRIVE_WITHOUT, on_click=self._drop).props("outline no-caps color=primary")

    async def _mend(self) -> None:
        assert self.body is not None
        await self._redrive(payload.write(payload.mended(self.body, self.at, payload.typed(self.field.value or ""))))

    async def _drop(self) -> None:
        assert self.body is not None
        await self._redrive(payload.write(payload.mended(self.body, self.at, None, remove=True)))

    async def _redrive(self, value: str | None) -> None:
        self.answer.set_content("")
        try:
            await client.redrive(self.letter.dead_letter_id, value)
        except ClientError as error:
            self.answer.set_content(explained(error))
            return
        ui.navigate.reload()

    async def _purge(self) -> None:
        if not await sure(texts.PURGE_ONE_SURE, texts.PURGE):
            return
        try:
            await client.purge(PurgeMatching(ids=[self.letter.dead_letter_id]))
        except ClientError as error:
            self.answer.set_content(explained(error))
            return
        ui.navigate.to("/dead-letters")
