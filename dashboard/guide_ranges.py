"""Step 2 of the guide: choose three spans of time over the records and failures that lie in them, and split."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import background_tasks, ui

from client.errors import ClientError, Refused, RequestProblem
from dashboard import figures, texts
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, cards, link, metric, mono, problems, table, time
from dashboard.stepper import stepper
from dashboard.timeline import TimelineChart
from dashboard.uploads import columns_to_leave_out, mark
from schemas.http.v1 import Dataset, DatasetTimeline, Range, Ranges, SetCount, SplitCounts, SplitCreate, SuggestedSplit

SETS = ("train", "test", "simulation")
ENDS = ("start", "end")
FEW_DAYS = 5
COUNT_DELAY_SECONDS = 0.15
Texts = dict[str, str]
"""`train.start` and so on, as typed."""


def register() -> None:
    @page_at("/guide/ranges/{dataset_id}")
    async def ranges_page(dataset_id: str) -> None:
        with frame(texts.STEPS[1][0], "/"):
            stepper(1, {0: f"/guide/dataset/{dataset_id}"})
            heading(texts.RANGES_TITLE, texts.RANGES_LEAD)
            await guarded(lambda: _ranges(dataset_id))


def as_texts(suggested: SuggestedSplit) -> Texts:
    return {f"{name}.{end}": str(getattr(getattr(suggested, name), end)) for name in SETS for end in ENDS}


def read_time(text: str, *, end: bool) -> datetime | None:
    """A typed time as the gateway reads it: UTC unless it has an offset, a bare date is the whole day; null when it is
    none."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if end and len(text.strip()) <= len("2021-01-01"):
        moment += timedelta(days=1, microseconds=-1)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@dataclass(frozen=True, slots=True)
class SpanPlaces:
    """The timeline's spans, as places that a range can begin and end at. Place i is the beginning of span i."""

    timeline: DatasetTimeline

    @property
    def count(self) -> int:
        return len(self.timeline.rows)

    def moment(self, place: int) -> datetime:
        return self.timeline.start + timedelta(seconds=place * self.timeline.step_seconds)

    def place(self, moment: datetime) -> int:
        return min(
            max(round((moment - self.timeline.start).total_seconds() / self.timeline.step_seconds), 0), self.count
        )

    def bounds(self, typed: Texts, name: str) -> tuple[datetime, datetime] | None:
        start, end = read_time(typed[f"{name}.start"], end=False), read_time(typed[f"{name}.end"], end=True)
        return None if start is None or end is None else (start, end)

    def places(self, typed: Texts) -> dict[str, tuple[int, int]]:
        """Of each set the spans that it covers, as nearly as whole spans can say; at least one."""
        found = {}
        for name in SETS:
            bounds = self.bounds(typed, name)
            first = min(self.place(bounds[0]), self.count - 1) if bounds else 0
            found[name] = (first, max(self.place(bounds[1]), first + 1) if bounds else 1)
        return found


async def _ranges(dataset_id: str) -> None:
    dataset = await client.dataset(dataset_id)
    spans = SpanPlaces(await client.timeline(dataset_id))
    desk = RangeDesk(dataset, spans, as_texts(await client.suggest_split(dataset_id)))
    desk.draw()
    await desk.count()
    await _former(dataset_id)


class RangeDesk:
    """The ranges while they are being chosen. The typed times are what counts; the timeline follows them."""

    def __init__(self, dataset: Dataset, spans: SpanPlaces, typed: Texts) -> None:
        self.dataset = dataset
        self.spans = spans
        self.typed = typed
        self.inputs: dict[str, ui.input] = {}
        self.filling = False
        self.asked = 0

    def draw(self) -> None:
        with card(texts.TIMELINE):
            line = self.spans.timeline
            self.timeline = TimelineChart(
                line.rows, line.failures, self._labels(), self.spans.places(self.typed), self._moved
            )
            ui.label(texts.RANGES_SLIDE).classes("ii-muted ii-small")
        self.summary = show(summary(None))
        with ui.element("div").classes("ii-three"):
            for name in SETS:
                with card(texts.SETS[name]) as place:
                    place.style(f"border-top:3px solid var(--{name})")
                    for end, text in zip(ENDS, (texts.START, texts.END), strict=True):
                        self._input(f"{name}.{end}", text)
        self.excluded = columns_to_leave_out(self.dataset.features)
        self.trouble = show(Html(""))
        with ui.element("div").classes("ii-row"):
            self.button = ui.button(texts.RANGES_SPLIT, on_click=self.split).props(
                "unelevated no-caps color=primary size=md"
            )
            ui.button(texts.RANGES_SUGGEST, on_click=self.suggest).props("outline no-caps color=primary")

    def _labels(self) -> list[str]:
        days = (self.dataset.last_timestamp - self.dataset.first_timestamp).days
        length = len("2021-01-01") if days > FEW_DAYS else len("2021-01-01 00:00")
        return [figures.moment(self.spans.moment(i))[:length] for i in range(self.spans.count + 1)]

    def _input(self, key: str, text: str) -> None:
        field = ui.input(text, value=self.typed[key], on_change=lambda: self._typed(key)).props(
            "outlined dense debounce=250"
        )
        field.classes("w-full ii-mono")
        self.inputs[key] = field

    def _moved(self, name: str, first: int, behind: int) -> None:
        """A range was dragged: an end that moved is that of a whole span, or of the data; one that did not stays as it
        was typed."""
        former_first, former_behind = self.spans.places(self.typed)[name]
        changed: Texts = {}
        if first != former_first:
            changed[f"{name}.start"] = figures.exact(
                self.spans.moment(first) if first else self.dataset.first_timestamp
            )
        if behind != former_behind:
            whole = behind >= self.spans.count
            end = self.dataset.last_timestamp if whole else self.spans.moment(behind) - timedelta(seconds=1)
            changed[f"{name}.end"] = figures.exact(end)
        self._fill(changed)

    def _typed(self, key: str) -> None:
        if not self.filling:
            self._fill({key: self.inputs[key].value})
            self.timeline.place(self.spans.places(self.typed))

    def _fill(self, changed: Texts) -> None:
        self.typed |= changed
        self.filling = True
        for key, text in changed.items():
            self.inputs[key].value = text
        self.filling = False
        self.asked += 1
        background_tasks.create(self.count(), name="count the sets")

    def ranges(self) -> Ranges:
        """What is typed, as it is sent."""
        train, test, simulation = (
            Range(start=self.typed[f"{name}.start"], end=self.typed[f"{name}.end"]) for name in SETS
        )
        return Ranges(train=train, test=test, simulation=simulation)

    async def count(self) -> None:
        """Ask the gateway what the sets would hold and all that is wrong with them; an answer that was overtaken is
        dropped."""
        asked = self.asked
        await asyncio.sleep(COUNT_DELAY_SECONDS)
        if asked != self.asked:
            return
        try:
            found = await client.count_split(self.dataset.dataset_id, self.ranges())
        except ClientError as error:
            self.trouble.set_content(explained(error))
            return
        if asked == self.asked:
            self.summary.set_content(summary(found))
            self._tell(
                [RequestProblem(".".join(str(part) for part in one.loc), one.msg, one.type) for one in found.problems]
            )

    async def suggest(self) -> None:
        try:
            suggested = await client.suggest_split(self.dataset.dataset_id)
        except ClientError as error:
            self.trouble.set_content(explained(error))
            return
        self._tell([])
        self._fill(as_texts(suggested))
        self.timeline.place(self.spans.places(self.typed))

    async def split(self) -> None:
        wanted = self.ranges()
        self._tell([])
        self.button.props("loading")
        try:
            made = await client.split(
                SplitCreate(dataset_id=self.dataset.dataset_id, exclude=self.excluded.value, **dict(wanted))
            )
        except Refused as error:
            self._tell(error.problems)
            return
        except ClientError as error:
            self.trouble.set_content(explained(error, texts.RANGES_REFUSED))
            return
        finally:
            self.button.props(remove="loading")
        ui.navigate.to(f"/guide/train/{made.split_id}")

    def _tell(self, found: Sequence[RequestProblem]) -> None:
        """All problems, in one place and each beside its field."""
        self.trouble.set_content(problems(texts.RANGES_REFUSED, found) if found else "")
        mark({**self.inputs, "exclude": self.excluded}, found)


def summary(found: SplitCounts | None) -> Html:
    """What each set holds, exactly; dashes until it is counted."""
    shown = []
    for name in SETS:
        count: SetCount | None = getattr(found, name) if found else None
        failed = (
            count
            and f"{figures.count(count.failures)} {texts.FAILURES}"
            f" · {figures.share(count.failures / max(count.rows, 1))}"
        )
        rows = figures.DASH if count is None else texts.ROWS.format(count=figures.count(count.rows))
        shown.append(metric(texts.SETS[name], rows, failed or figures.DASH))
    outside = figures.DASH if found is None else texts.ROWS.format(count=figures.count(found.outside))
    return cards([*shown, metric(texts.OUTSIDE, outside, texts.OUTSIDE_NOTE)])


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
