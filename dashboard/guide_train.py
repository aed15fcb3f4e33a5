"""Step 3 of the guide: start a training, see it go on, understand its model."""

from typing import Any

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, texts
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, bar, cards, html, joined, link, metric, mono, note, status, table, time
from dashboard.model_view import measured, understood
from dashboard.stepper import stepper
from dashboard.uploads import columns_to_leave_out
from schemas.http.v1 import Split, Training, TrainingCreate
from schemas.manifests import SetManifest
from schemas.messages import TERMINAL
from schemas.training import TrainingParameters

POLL_SECONDS = 0.7
SHOWN_TRAININGS = 20
SHOWN_LINES = 100


def register() -> None:
    @page_at("/guide/train/{split_id}")
    async def train_page(split_id: str) -> None:
        with frame(texts.STEPS[2][0], "/"):
            await guarded(lambda: _start(split_id))

    @page_at("/guide/training/{task_id}")
    async def training_page(task_id: str) -> None:
        with frame(texts.STEPS[2][0], "/"):
            await guarded(lambda: _training(task_id))


async def _start(split_id: str) -> None:
    split = await client.get_split(split_id)
    stepper(2, {0: f"/guide/dataset/{split.dataset_id}", 1: f"/guide/ranges/{split.dataset_id}"})
    heading(texts.TRAIN_TITLE, texts.TRAIN_LEAD)
    show(sets(split))
    if split.notices:
        show(note("warn", texts.SETS_NOTICES, [one.message for one in split.notices]))
    dataset = await client.dataset(split.dataset_id)
    with ui.element("div").classes("ii-two"):
        with card(texts.TRAIN_OBJECTIVE):
            form = TrainingForm(split_id)
            form.objective_fields()
        with card(texts.PARAMETERS):
            form.parameter_fields()
            form.excluded = columns_to_leave_out([name for name in dataset.features if name not in split.excluded])
    form.button()
    await _former(split_id)


def sets(split: Split) -> Html:
    """The three sets of a split."""
    parts = (("train", split.train), ("test", split.test), ("simulation", split.simulation))
    return cards(
        metric(
            texts.SETS[name],
            texts.ROWS.format(count=figures.count(part.rows)),
            _span(part),
        )
        for name, part in parts
    )


def _span(part: SetManifest) -> str:
    return f"{figures.count(part.failures)} {texts.FAILURES} · {figures.span(part.range.start, part.range.end)}"


class TrainingForm:
    """What may be set about a training."""

    def __init__(self, split_id: str) -> None:
        self.split_id = split_id
        self.parameters: dict[str, ui.number] = {}
        self.excluded: ui.select

    def objective_fields(self) -> None:
        self.objective = ui.radio(texts.OBJECTIVES, value="mcc").props("dense")
        self.false_alarm = _number(texts.COST_FP, 1).bind_visibility_from(self.objective, "value", value="cost")
        self.missed = _number(texts.COST_FN, 10).bind_visibility_from(self.objective, "value", value="cost")
        self.threshold = _number(texts.THRESHOLD, 0.5).bind_visibility_from(self.objective, "value", value="fixed")
        self.seed = _number(texts.SEED, 0)

    def parameter_fields(self) -> None:
        defaults = TrainingParameters()
        with ui.element("div").style(
            "display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:12px;width:100%"
        ):
            for name, text in texts.PARAMETER_NAMES.items():
                field = _number(text, getattr(defaults, name))
                hint = TrainingParameters.model_fields[name].description
                if hint:
                    field.tooltip(hint)
                self.parameters[name] = field

    def button(self) -> None:
        self.trouble = show(Html(""))
        with ui.element("div").classes("ii-row"):
            self.start = ui.button(texts.TRAIN_START, on_click=self.send).props(
                "unelevated no-caps color=primary size=md"
            )

    def request(self) -> TrainingCreate:
        """The typed request; only what differs from the defaults is sent as a parameter. Raises ValueError."""
        defaults = TrainingParameters()
        changed: dict[str, Any] = {}
        for name, field in self.parameters.items():
            default = getattr(defaults, name)
            value = (
                field.value
                if field.value is None or not isinstance(default, int) or field.value != int(field.value)
                else int(field.value)
            )
            if value != default:
                changed[name] = value
        objective = self.objective.value
        return TrainingCreate(
            split_id=self.split_id,
            parameters=changed,
            objective=objective,
            threshold=self.threshold.value if objective == "fixed" else None,
            cost_false_positive=self.false_alarm.value if objective == "cost" else None,
            cost_false_negative=self.missed.value if objective == "cost" else None,
            seed=int(self.seed.value or 0),
            exclude=self.excluded.value,
        )

    async def send(self) -> None:
        try:
            started = await client.train(self.request())
        except ClientError as error:
            self.trouble.set_content(explained(error))
        except ValueError as error:
            self.trouble.set_content(note("bad", texts.REFUSED, [str(error)]))
        else:
            ui.navigate.to(f"/guide/training/{started.task_id}")


def _number(text: str, value: float) -> ui.number:
    return ui.number(text, value=value).props("outlined dense step=any").classes("w-full")


async def _former(split_id: str) -> None:
    found = [
        item for item in (await client.trainings(limit=SHOWN_TRAININGS)).items if item.spec.get("split_id") == split_id
    ]
    if not found:
        return
    rows = [
        [
            link(f"/guide/training/{item.task_id}", mono(item.task_id[:8])),
            status(item.status),
            figures.score(item.result.metrics.mcc if item.result else None),
            figures.score(item.result.metrics.f1_score if item.result else None),
            time(item.created_at),
        ]
        for item in found
    ]
    with card(texts.TRAININGS_TITLE):
        show(table(texts.COLUMNS_TRAININGS, rows, caption=texts.TRAININGS_TITLE))


async def _training(task_id: str) -> None:
    training = await client.training(task_id)
    dataset_id, split_id = str(training.spec["dataset_id"]), str(training.spec["split_id"])
    links = {0: f"/guide/dataset/{dataset_id}", 1: f"/guide/ranges/{dataset_id}", 2: f"/guide/train/{split_id}"}
    if training.result is not None:
        links[3] = f"/guide/simulate/{training.result.model_version}"
    stepper(2, links)
    heading(texts.TRAINING_TITLE)
    if training.status in TERMINAL:
        await _ended(training)
    else:
        _going_on(training)
    await _log(task_id)


async def _log(task_id: str) -> None:
    """What the trainer wrote about the training so far."""
    entries = (await client.training_logs(task_id)).items[-SHOWN_LINES:]
    if not entries:
        return
    rows = [[time(entry.timestamp), entry.level, entry.source, entry.message] for entry in entries]
    with card(texts.LOG):
        show(table(texts.COLUMNS_LOG, rows, caption=texts.LOG))


def _going_on(training: Training) -> None:
    with card():
        progress = show(_progress(training))
        with ui.element("div").classes("ii-row"):
            ui.button(texts.TRAINING_CANCEL, on_click=lambda: client.cancel_training(training.task_id)).props(
                "outline no-caps color=primary"
            )
    with card(texts.LOSS):
        chart = ui.echart(_curve(training)).style("height:300px")

    async def look() -> None:
        try:
            now = await client.training(training.task_id)
        except ClientError:
            return
        progress.set_content(_progress(now))
        if now.progress and now.progress.curve:
            chart.options.clear()
            chart.options.update(_curve(now))
            chart.update()
        if now.status in TERMINAL:
            timer.deactivate()
            ui.navigate.reload()

    timer = ui.timer(POLL_SECONDS, look)


def _curve(training: Training) -> charts.Options:
    """The loss so far."""
    found = training.progress
    if found is None or found.curve is None:
        return charts.growing([], [], [])
    curve = found.curve
    return charts.growing(curve.rounds, curve.train_loss, curve.validation_loss)


def _progress(training: Training) -> Html:
    found = training.progress
    if found is None:
        return joined([status(training.status), Html("<div style='height:10px'></div>"), bar(0, texts.TRAINING_TITLE)])
    detail = [found.status]
    if found.iteration is not None and found.of is not None:
        detail.append(texts.ROUND_OF.format(iteration=figures.count(found.iteration), of=figures.count(found.of)))
    if found.eta_seconds is not None:
        detail.append(texts.TIME_LEFT.format(time=figures.duration(found.eta_seconds)))
    head = f'<div class="ii-between"><b>{html(" · ".join(detail))}</b><b>{found.percent:.0f} %</b></div>'
    return joined([Html(head), bar(found.percent / 100, texts.TRAINING_TITLE)])


async def _ended(training: Training) -> None:
    if training.status == "STOPPED":
        show(note("warn", texts.TRAINING_STOPPED))
    if training.status == "FAILED":
        show(note("bad", texts.TRAINING_FAILED, [training.error or ""]))
    if training.result is None:
        return
    model_version = training.result.model_version
    with ui.element("div").classes("ii-row"):
        ui.button(texts.TO_SIMULATE, on_click=lambda: ui.navigate.to(f"/guide/simulate/{model_version}")).props(
            "unelevated no-caps color=primary size=md"
        )
        show(link(f"/models/{model_version}", mono(model_version))).classes("w-auto", remove="w-full")
    model = await client.model(model_version)
    measured(model.test_metrics, model.warnings)
    await understood(model_version, model.test_metrics, model.threshold)
