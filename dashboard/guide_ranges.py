"""Step 2 of the guide: choose three spans of time over the records and failures that lie in them, and split."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import ui

from client.errors import ClientError, Refused
from dashboard import charts, figures, texts
from dashboard.frame import card, explained, frame, guarded, heading, show
from dashboard.gateway import client
from dashboard.markup import Html, cards, link, metric, mono, table, time
from dashboard.stepper import stepper
from schemas.api_v1 import Dataset, DatasetTimeline, Range, SplitCreate, SuggestedSplit

SETS = ("train", "test", "simulation")
ENDS = ("start", "end")
FEW_DAYS = 5
Texts = dict[str, str]
"""`train.start` and so on, as typed."""


def register() -> None:
    @ui.page("/guide/ranges/{dataset_id}")
    async def ranges_page(dataset_id: str) -> None:
        with frame(texts.STEPS[1][0], "/"):
            stepper(1, {0: f"/guide/dataset/{dataset_id}"})
            heading(texts.RANGES_TITLE, texts.RANGES_LEAD)
            await guarded(lambda: _ranges(dataset_id))


def as_texts(suggested: SuggestedSplit) -> Texts:
    return {f"{name}.{end}": str(getattr(getattr(suggested, name), end)) for name in SETS for end in ENDS}


def read_time(text: str, *, end: bool) -> datetime | None:
    """A typed time as the gateway reads it: UTC unless it has an offset, a bare date is the whole day; null when it is none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if end and len(text.strip()) <= len("2021-01-01"):
        moment += timedelta(days=1, microseconds=-1)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Spans:
    """The timeline's spans, as places that sliders can point at. Place i is the beginning of span i."""

    timeline: DatasetTimeline

    @property
    def count(self) -> int:
        return len(self.timeline.rows)

    def moment(self, place: int) -> datetime:
        return self.timeline.start + timedelta(seconds=place * self.timeline.step_seconds)

    def place(self, moment: datetime) -> int:
        return min(max(round((moment - self.timeline.start).total_seconds() / self.timeline.step_seconds), 0), self.count)

    def bounds(self, typed: Texts, name: str) -> tuple[datetime, datetime] | None:
        start, end = read_time(typed[f"{name}.start"], end=False), read_time(typed[f"{name}.end"], end=True)
        return None if start is None or end is None else (start, end)

    def sets(self, typed: Texts) -> list[str | None]:
        """The set that the middle of each span lies in."""
        bounds = {name: self.bounds(typed, name) for name in SETS}
        found: list[str | None] = []
        for i in range(self.count):
            middle = self.moment(i) + timedelta(seconds=self.timeline.step_seconds / 2)
            found.append(next((name for name, pair in bounds.items() if pair and pair[0] <= middle <= pair[1]), None))
        return found

    def about(self, typed: Texts) -> dict[str, tuple[int, int]]:
        """Rows and failures in each set, by whole spans."""
        sums = dict.fromkeys(SETS, (0, 0))
        for name, rows, failures in zip(self.sets(typed), self.timeline.rows, self.timeline.failures, strict=True):
            if name is not None:
                sums[name] = (sums[name][0] + rows, sums[name][1] + failures)
        return sums


async def _ranges(dataset_id: str) -> None:
    dataset = await client.dataset(dataset_id)
    spans = Spans(await client.timeline(dataset_id))
    desk = Desk(dataset, spans, as_texts(await client.suggest_split(dataset_id)))
    desk.draw()
    await _former(dataset_id)


class Desk:
    """The ranges while they are being chosen. The typed times are what counts; sliders and chart follow them."""

    def __init__(self, dataset: Dataset, spans: Spans, typed: Texts) -> None:
        self.dataset = dataset
        self.spans = spans
        self.typed = typed
        self.inputs: dict[str, ui.input] = {}
        self.sliders: dict[str, ui.range] = {}
        self.filling = False

    def draw(self) -> None:
        with card(texts.TIMELINE):
            self.chart = ui.echart(self._options()).style("height:240px")
            ui.label(texts.RANGES_SLIDE).classes("ii-muted ii-small")
            for name in SETS:
                self._slider(name)
        self.summary = show(self._summary())
        with ui.element("div").classes("ii-three"):
            for name in SETS:
                with card(texts.SETS[name]) as place:
                    place.style(f"border-top:3px solid var(--{name})")
                    for end, text in zip(ENDS, (texts.START, texts.END), strict=True):
                        self._input(f"{name}.{end}", text)
        self.trouble = show(Html(""))
        with ui.element("div").classes("ii-row"):
            self.button = ui.button(texts.RANGES_SPLIT, on_click=self.split).props("unelevated no-caps color=primary size=md")
            ui.button(texts.RANGES_SUGGEST, on_click=self.suggest).props("outline no-caps color=primary")

    def _slider(self, name: str) -> None:
        with ui.element("div").style("display:grid;grid-template-columns:92px 1fr;gap:14px;align-items:center;padding:0 14px 0 4px"):
            ui.label(texts.SETS[name]).classes("ii-small").style("font-weight:600")
            slider = ui.range(min=0, max=self.spans.count, step=1, value=self._places(name), on_change=lambda: self._slid(name))
            slider.props(f'aria-label="{texts.SETS[name]}"').classes(f"ii-{name}")
            self.sliders[name] = slider
            self._tell(name)

    def _tell(self, name: str) -> None:
        """What a screen reader says of a slider; of itself it has two values, which ARIA has no word for."""
        places = self._places(name)
        self.sliders[name].props["aria-valuenow"] = places["min"]
        self.sliders[name].props["aria-valuetext"] = f"{self.typed[f'{name}.start']} – {self.typed[f'{name}.end']}"
        self.sliders[name].update()

    def _input(self, key: str, text: str) -> None:
        field = ui.input(text, value=self.typed[key], on_change=lambda: self._typed(key)).props("outlined dense debounce=250")
        field.classes("w-full ii-mono")
        self.inputs[key] = field

    def _places(self, name: str) -> dict[str, float]:
        bounds = self.spans.bounds(self.typed, name)
        low, high = (self.spans.place(bounds[0]), self.spans.place(bounds[1])) if bounds else (0, 0)
        return {"min": low, "max": max(low, high)}

    def _slid(self, name: str) -> None:
        if self.filling:
            return
        value = self.sliders[name].value
        start = self.spans.moment(value["min"]) if value["min"] else self.dataset.first_timestamp
        whole = value["max"] >= self.spans.count
        end = self.dataset.last_timestamp if whole else self.spans.moment(value["max"]) - timedelta(seconds=1)
        self._fill({f"{name}.start": figures.exact(start), f"{name}.end": figures.exact(end)}, move_sliders=False)

    def _typed(self, key: str) -> None:
        if not self.filling:
            self._fill({key: self.inputs[key].value}, move_sliders=True)

    def _fill(self, changed: Texts, *, move_sliders: bool) -> None:
        self.typed |= changed
        self.filling = True
        for key, text in changed.items():
            self.inputs[key].value = text
        if move_sliders:
            for name, slider in self.sliders.items():
                slider.value = self._places(name)
        for name in SETS:
            self._tell(name)
        self.filling = False
        self.summary.set_content(self._summary())
        self.chart.options.clear()
        self.chart.options.update(self._options())
        self.chart.update()

    def _options(self) -> charts.Options:
        days = (self.dataset.last_timestamp - self.dataset.first_timestamp).days
        length = len("2021-01-01") if days > FEW_DAYS else len("2021-01-01 00:00")
        starts = [figures.moment(self.spans.moment(i))[:length] for i in range(self.spans.count)]
        return charts.timeline(starts, self.spans.timeline.rows, self.spans.timeline.failures, self.spans.sets(self.typed))

    def _summary(self) -> Html:
        about = self.spans.about(self.typed)
        outside = self.dataset.row_count - sum(rows for rows, _ in about.values())
        found = [
            metric(texts.SETS[name], f"≈ {figures.count(rows)}", f"{figures.count(failures)} {texts.FAILURES}")
            for name, (rows, failures) in about.items()
        ]
        return cards([*found, metric(texts.OUTSIDE, f"≈ {figures.count(max(outside, 0))}")])

    async def suggest(self) -> None:
        try:
            suggested = await client.suggest_split(self.dataset.dataset_id)
        except ClientError as error:
            self.trouble.set_content(explained(error))
            return
        self._clear()
        self._fill(as_texts(suggested), move_sliders=True)

    async def split(self) -> None:
        train, test, simulation = (Range(start=self.typed[f"{name}.start"], end=self.typed[f"{name}.end"]) for name in SETS)
        self._clear()
        self.button.props("loading")
        try:
            made = await client.split(SplitCreate(dataset_id=self.dataset.dataset_id, train=train, test=test, simulation=simulation))
        except ClientError as error:
            self.trouble.set_content(explained(error, texts.RANGES_REFUSED))
            self._mark(error)
            return
        finally:
            self.button.props(remove="loading")
        ui.navigate.to(f"/guide/train/{made.split_id}")

    def _mark(self, error: ClientError) -> None:
        for problem in error.problems if isinstance(error, Refused) else []:
            field = self.inputs.get(problem.field.removeprefix("body."))
            if field is not None:
                field.props["error"] = True
                field.props["error-message"] = problem.message
                field.update()

    def _clear(self) -> None:
        self.trouble.set_content("")
        for field in self.inputs.values():
            field.props(remove="error error-message")


async def _former(dataset_id: str) -> None:
    found = (await client.splits(dataset_id=dataset_id, limit=10)).items
    if not found:
        return
    rows = [
        [
            link(f"/guide/train/{item.split_id}", mono(item.split_id)),
            figures.count(item.train.rows),
            figures.count(item.test.rows),
            figures.count(item.simulation.rows),
            time(item.created_at),
        ]
        for item in found
    ]
    with card(texts.SPLITS_TITLE):
        show(table(texts.COLUMNS_SPLITS, rows, caption=texts.SPLITS_TITLE))
