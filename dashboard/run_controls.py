"""The orders to a run: pause, resume, step, stop, speed, and the row to go to, to try again from, or to replay from."""

from collections.abc import Awaitable, Callable

from nicegui import ui

from client.errors import ClientError
from dashboard import run_replay, texts
from dashboard.frame import explained, show, sure
from dashboard.gateway import client
from dashboard.live import RunFeed
from dashboard.markup import Html
from schemas.http.runs import Retry, Run
from schemas.messages import TERMINAL
from schemas.transitions import may

MOST_STEPS = 1000


class Controls:
    """One page's orders. `redraw` is called behind each of them, so that the page shows at once what was answered."""

    def __init__(self, feed: RunFeed, redraw: Callable[[], None]) -> None:
        self.feed = feed
        self._redraw = redraw

    @property
    def run_id(self) -> str:
        return self.feed.run.run_id

    def draw(self) -> None:
        with ui.element("div").classes("ii-row") as self.going:
            self.pause = _button(texts.PAUSE, "pause", lambda: self._order(lambda: client.pause_run(self.run_id)))
            self.resume = _button(
                texts.RESUME, "play_arrow", lambda: self._order(lambda: client.resume_run(self.run_id)), strong=True
            )
            with ui.element("div").classes("ii-row ii-group") as self.stepping:
                self.steps = _number(texts.STEP_ROWS, 1, least=1, most=MOST_STEPS).classes("ii-narrow")
                _button(texts.STEP, "skip_next", self._step)
            _button(texts.STOP, "stop", self._stop)
            with ui.element("div").classes("ii-row ii-group"):
                self.speed = ui.number(texts.SPEED, value=self.feed.run.rows_per_second, min=0.001).props(
                    "outlined dense clearable"
                )
                self.speed.props(f'placeholder="{texts.FASTEST}" stack-label').classes("ii-speed").on(
                    "keydown.enter", self._set_speed
                )
                _button(texts.SET_SPEED, "speed", self._set_speed)
        last = self._last(self.feed.run)
        with ui.element("div").classes("ii-row ii-seek"):
            with ui.element("div").classes("ii-slider"):
                self.slider = ui.slider(min=0, max=last, step=1, value=0).props(f'aria-label="{texts.ROW}" label')
            self.row = _number(texts.ROW, 0, least=0, most=last).classes("ii-narrow")
            self.row.bind_value(self.slider, "value", forward=lambda value: int(value or 0))
            self.seek = _button(texts.SEEK, "redo", self._seek)
            self.retry = _button(texts.RETRY, "replay", self._retry, strong=True)
            self.replay = _button(texts.REPLAY, "history", self._replay)
        self.hint = ui.label("").classes("ii-muted ii-small")
        self.trouble = show(Html(""))

    def look(self, run: Run) -> None:
        """Offer what the run's state allows."""
        over, ours = run.status in TERMINAL, run.workspace is not None
        if (last := self._last(run)) != self.row.max:  # of a replay it is known only once its rows are read
            self.row.max = last
            self.slider.props(f"max={last}")
        self.going.set_visibility(not over and ours)
        self.pause.set_visibility(may("pause", run.status))
        self.resume.set_visibility(may("resume", run.status))
        self.stepping.set_visibility(may("step", run.status))
        self.seek.set_visibility(may("seek", run.status) and ours)
        self.retry.set_visibility(may("retry", run.status) and ours)
        self.hint.set_text(texts.REPLAY_HINT if not ours else texts.RETRY_HINT if over else texts.SEEK_HINT)

    @staticmethod
    def _last(run: Run) -> int:
        """The last row that there is, or that is known."""
        return max(run.statistics.last_row_index if run.total_rows is None else run.total_rows - 1, 0)

    async def _order(self, order: Callable[[], Awaitable[Run]]) -> None:
        self.trouble.set_content("")
        try:
            self.feed.take(await order())
        except ClientError as error:
            self.trouble.set_content(explained(error))
        self._redraw()

    async def _step(self) -> None:
        await self._order(lambda: client.step_run(self.run_id, int(self.steps.value or 1)))

    async def _seek(self) -> None:
        await self._order(lambda: client.seek_run(self.run_id, self._target()))

    async def _retry(self) -> None:
        await self._order(lambda: client.retry_run(self.run_id, Retry(from_row=self._target())))

    async def _set_speed(self) -> None:
        await self._order(lambda: client.set_speed(self.run_id, self.speed.value or None))

    async def _stop(self) -> None:
        if await sure(texts.STOP_SURE, texts.STOP):
            await self._order(lambda: client.stop_run(self.run_id))

    async def _replay(self) -> None:
        self.trouble.set_content("")
        try:
            await run_replay.ask(self.feed.run, self._target())
        except ClientError as error:
            self.trouble.set_content(explained(error))

    def _target(self) -> int:
        return int(self.row.value or 0)


def _button(text: str, icon: str, act: Callable[[], object], *, strong: bool = False) -> ui.button:
    return ui.button(text, icon=icon, on_click=act).props(
        f"{'unelevated' if strong else 'outline'} no-caps color=primary"
    )


def _number(text: str, value: int, *, least: int, most: int) -> ui.number:
    return ui.number(text, value=value, min=least, max=most, precision=0).props("outlined dense")
