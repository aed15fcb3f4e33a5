"""Dead letters: the list with its filters, one letter with the bad field marked, repair, redrive, purge."""

from collections.abc import Awaitable, Callable
from typing import cast
from urllib.parse import urlencode

from nicegui import ui

from client.errors import ClientError
from dashboard import figures, texts
from dashboard.dead_letter_view import letter_facts, letter_state, repair
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show, sure
from dashboard.gateway import client
from dashboard.markup import Html, cards, html, link, metric, mono, muted, note, table, time
from schemas.http.dead_letters import DeadLetterPage, DeadLetterSummary, LettersSent, PurgeMatching, RedriveMatching
from schemas.messages import Reason

PAGE = 50
HOME = "/dead-letters"
READ_SECONDS = 2.0


def register() -> None:
    @page_at(HOME)
    async def letters_page(run_id: str = "", reason: str = "", state: str = "", cursor: str = "") -> None:
        with frame(texts.LETTERS_TITLE, HOME):
            heading(texts.LETTERS_TITLE, texts.LETTERS_LEAD)
            await guarded(LetterTable(run_id, reason, state, cursor).draw)

    @page_at(HOME + "/{dead_letter_id}")
    async def letter_page(dead_letter_id: str) -> None:
        with frame(texts.LETTER_TITLE, HOME):
            heading(texts.LETTER_TITLE)
            await guarded(lambda: _letter(dead_letter_id))


class LetterTable:
    """The letters that match the filters, which are the address."""

    def __init__(self, run_id: str, reason: str, state: str, cursor: str) -> None:
        self.run_id, self.cursor = run_id, cursor
        self.reason = reason if reason in texts.REASONS else ""
        self.state = state if state in texts.LETTER_STATES else ""

    async def draw(self) -> None:
        found = await client.dead_letters(
            run_id=self.run_id or None,
            reason=self._reason,
            state=self.state or None,
            cursor=self.cursor or None,
            limit=PAGE,
        )
        self._filters()
        show(by_reason(found, self._address))
        self.answer = show(Html(""))
        with card():
            if not found.items:
                show(
                    note(
                        "good",
                        texts.LETTERS_NONE_MATCH if self.run_id or self.reason or self.state else texts.LETTERS_NONE,
                    )
                )
                return
            show(letters_table(found.items))
            if found.next_cursor:
                show(link(self._address(cursor=found.next_cursor), texts.MORE))
            if found.older_on_topic_only:
                show(muted(texts.LETTERS_OLDER))
        with ui.element("div").classes("ii-row"):
            if self.state in ("", "open"):
                ui.button(texts.REDRIVE_ALL, icon="redo", on_click=self._redrive).props("outline no-caps color=primary")
            if not self.state:  # a purge takes letters of every state
                ui.button(texts.PURGE_ALL, icon="delete_outline", on_click=self._purge).props(
                    "outline no-caps color=primary"
                )

    @property
    def _reason(self) -> Reason | None:
        return cast(Reason, self.reason) if self.reason else None

    def _address(self, **changed: str) -> str:
        wanted = {"run_id": self.run_id, "reason": self.reason, "state": self.state} | changed
        filled = {name: value for name, value in wanted.items() if value}
        return f"{HOME}?{urlencode(filled)}" if filled else HOME

    def _filters(self) -> None:
        reasons = {"": texts.RUNS_ALL} | texts.REASONS
        states = {"": texts.LETTERS_UNPURGED} | texts.LETTER_STATES
        with ui.element("div").classes("ii-row"):
            reason = (
                ui.select(reasons, value=self.reason, label=texts.REASON).props("outlined dense").classes("ii-filter")
            )
            state = ui.select(states, value=self.state, label=texts.STATE).props("outlined dense").classes("ii-filter")
            run = (
                ui.input(texts.LETTER_RUN, value=self.run_id).props("outlined dense clearable").classes("ii-run-choice")
            )
        reason.on_value_change(lambda change: ui.navigate.to(self._address(reason=change.value)))
        state.on_value_change(lambda change: ui.navigate.to(self._address(state=change.value)))
        run.on("keydown.enter", lambda: ui.navigate.to(self._address(run_id=(run.value or "").strip())))
        run.on("clear", lambda: ui.navigate.to(self._address(run_id="")))

    async def _redrive(self) -> None:
        if await sure(texts.REDRIVE_ALL_SURE, texts.REDRIVE):
            await self._order(
                lambda: client.redrive_matching(RedriveMatching(run_id=self.run_id or None, reason=self._reason))
            )

    async def _purge(self) -> None:
        if not await sure(texts.PURGE_SURE, texts.PURGE):
            return
        filtered = bool(self.run_id or self.reason)
        wanted = PurgeMatching(run_id=self.run_id or None, reason=self._reason, all=not filtered)
        await self._order(lambda: client.purge(wanted))

    async def _order(self, order: Callable[[], Awaitable[LettersSent]]) -> None:
        try:
            sent = await order()
        except ClientError as error:
            self.answer.set_content(explained(error))
            return
        failed = [f"{one.dead_letter_id}: {one.detail}" for one in sent.failed]
        said = texts.LETTERS_SENT.format(sent=figures.count(sent.sent), matched=figures.count(sent.matched))
        self.answer.set_content(note("warn" if failed or sent.left else "info", said, failed))
        ui.timer(READ_SECONDS, lambda: ui.navigate.to(self._address()), once=True)


def by_reason(found: DeadLetterPage, address: Callable[..., str]) -> Html:
    """How many there are, and of which reason; each is a filter."""
    shown = [metric(texts.LETTERS_TITLE, figures.count(found.total))]
    for reason, count in sorted(found.by_reason.items(), key=lambda item: -item[1]):
        shown.append(
            metric(texts.REASONS.get(reason, reason), figures.count(count), link(address(reason=reason), texts.SHOW))
        )
    return cards(shown)


def letters_table(items: list[DeadLetterSummary]) -> Html:
    """Letters, each a link."""
    rows = [
        [
            link(f"{HOME}/{item.dead_letter_id}", mono(item.dead_letter_id)),
            letter_state(item),
            texts.REASONS.get(item.reason, item.reason),
            mono(item.path) if item.path else html(figures.DASH),
            link(f"/runs/{item.run_id}", mono(item.run_id.removeprefix("sim-task-")[:12]))
            if item.run_id
            else html(figures.DASH),
            figures.count(item.row_index),
            time(item.occurred_at),
        ]
        for item in items
    ]
    return table(texts.COLUMNS_LETTERS, rows, caption=texts.LETTERS_TITLE)


async def _letter(dead_letter_id: str) -> None:
    letter = await client.dead_letter(dead_letter_id)
    with card():
        show(letter_facts(letter))
    repair(letter)
