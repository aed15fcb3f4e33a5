"""Runs: the list with its filters, and one run with its attempts and all its predictions."""

from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlencode

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, run_history, texts
from dashboard.frame import card, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, badge, joined, link, mono, muted, note, status, table, time
from dashboard.page_compare import choose_two
from dashboard.run_view import RunPicture, run_cards, truth_board
from schemas.http.runs import Run

PAGE = 50
MOST_PAGES = 10
LOOK_SECONDS = 3.0


def register() -> None:
    @page_at("/runs")
    async def runs_page(status: str = "", model: str = "", cursor: str = "") -> None:
        with frame(texts.RUNS_TITLE, "/runs"):
            heading(texts.RUNS_TITLE, texts.RUNS_LEAD)
            await guarded(RunTable(status, model, cursor).draw)

    @page_at("/runs/{run_id}")
    async def run_page(run_id: str, attempt: int = 0) -> None:
        with frame(texts.RUNS_TITLE, "/runs"):
            heading(texts.RUN_FACTS)
            await guarded(lambda: _run(run_id, attempt))


def _name(run: Run) -> Html:
    attempt = f" {badge(texts.ATTEMPT_NUMBER.format(number=run.attempt))}" if run.attempt > 1 else ""
    return Html(link(f"/runs/{run.run_id}", mono(run.run_id.removeprefix("sim-task-")[:8])) + attempt)


def runs_table(runs: Iterable[Run], caption: str) -> Html:
    """Runs, each a link."""
    rows = [
        [
            _name(run),
            status(run.status),
            f"{figures.count(run.statistics.total_predictions)} / {figures.count(run.total_rows)}",
            figures.count(run.statistics.fail_count),
            figures.count(run.statistics.dead_letters),
            figures.score(run.statistics.truth.mcc if run.statistics.truth else None),
            link(f"/models/{run.model_version}", mono(run.model_version)) if run.model_version else figures.DASH,
            time(run.created_at),
        ]
        for run in runs
    ]
    return table(texts.COLUMNS_RUNS, rows, caption=caption)


class RunTable:
    """Runs that match the filters, which are the address; looked at anew every few seconds."""

    def __init__(self, status: str, model: str, cursor: str) -> None:
        self.status = status if status in texts.STATUS else ""
        self.model, self.cursor = model, cursor

    async def draw(self) -> None:
        await self._filters()
        with card():
            self.place = show(Html(""))
        found = await self._look()
        if not self.cursor:
            ui.timer(LOOK_SECONDS, self._again)
        if len(found) > 1:
            choose_two(found)

    async def _filters(self) -> None:
        models = {"": texts.RUNS_ALL} | {
            item.model_version: item.model_version for item in (await client.models(limit=PAGE)).items
        }
        if self.model not in models:
            models[self.model] = self.model
        with ui.element("div").classes("ii-row"):
            for label, choices, value, name in (
                (texts.RUNS_FILTER, {"": texts.RUNS_ALL} | texts.STATUS, self.status, "status"),
                (texts.MODEL, models, self.model, "model"),
            ):
                chooser = ui.select(choices, value=value, label=label).props("outlined dense").classes("ii-filter")
                chooser.on_value_change(lambda change, name=name: ui.navigate.to(self._address(**{name: change.value})))

    def _address(self, **changed: str) -> str:
        wanted = {"status": self.status, "model": self.model} | changed
        filled = {name: value for name, value in wanted.items() if value}
        return f"/runs?{urlencode(filled)}" if filled else "/runs"

    async def _again(self) -> None:
        with suppress(ClientError):  # the banner says so
            await self._look()

    async def _look(self) -> list[Run]:
        found, following = await self._matching()
        if not found:
            filtered = self.status or self.model
            self.place.set_content(muted(texts.RUNS_NONE_MATCH if filtered else texts.RUNS_NONE))
            return []
        more = [link(self._address(cursor=following), texts.MORE)] if following else []
        self.place.set_content(joined([runs_table(found, texts.RUNS_TITLE), *more]))
        return found

    async def _matching(self) -> tuple[list[Run], str | None]:
        """A page of runs that match, from as many of the gateway's as that takes, within bounds; and where to go on."""
        found: list[Run] = []
        cursor: str | None = self.cursor or None
        for _ in range(MOST_PAGES):
            page = await client.runs(cursor=cursor, limit=PAGE)
            found += [
                run for run in page.items if self.status in ("", run.status) and self.model in ("", run.model_version)
            ]
            cursor = page.next_cursor
            if len(found) >= PAGE or cursor is None:
                break
        return found, cursor


async def _run(run_id: str, attempt: int) -> None:
    run = await client.run(run_id)
    if attempt and attempt != run.attempt:
        await _former(run, attempt)
        return
    RunPicture(run).draw()
    await run_history.attempts(run, run.attempt)
    await run_history.history(run_id, None)


async def _former(run: Run, attempt: int) -> None:
    """An attempt that is over, as it was."""
    former = await client.run(run.run_id, attempt=attempt)
    show(note("info", texts.FORMER_ATTEMPT.format(number=attempt, newest=run.attempt)))
    show(run_cards(former, None))
    with ui.element("div").classes("ii-two"):
        with card(texts.TRUTH_TITLE):
            show(truth_board(former.statistics.truth))
        with card(texts.SCORES_TITLE):
            ui.echart(charts.histogram({texts.SCORED: former.statistics.histogram}, None)).style("height:230px")
    await run_history.attempts(run, attempt)
    await run_history.history(run.run_id, attempt)
