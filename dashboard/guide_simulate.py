"""Step 4 of the guide: replay the simulation set and watch it being scored."""

from nicegui import ui

from client.errors import ClientError
from dashboard import texts
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.guide_train import sets
from dashboard.markup import Html, note
from dashboard.page_runs import runs_table
from dashboard.run_view import RunPicture
from dashboard.stepper import stepper
from schemas.http.runs import MAX_LANES, Run, RunCreate

RUNS_LOOKED_AT = 100


def register() -> None:
    @page_at("/guide/simulate/{model_version}")
    async def simulate_page(model_version: str) -> None:
        with frame(texts.STEPS[3][0], "/"):
            await guarded(lambda: _start(model_version))

    @page_at("/guide/run/{run_id}")
    async def run_page(run_id: str) -> None:
        with frame(texts.STEPS[3][0], "/"):
            await guarded(lambda: _run(run_id))


async def _start(model_version: str) -> None:
    model = await client.model(model_version)
    links = {
        0: f"/guide/dataset/{model.dataset_id}",
        1: f"/guide/ranges/{model.dataset_id}",
        2: f"/guide/training/{model.task_id}",
    }
    stepper(3, links)
    heading(texts.SIMULATE_TITLE, texts.SIMULATE_LEAD)
    if model.doubt:
        show(note("warn", model.doubt))
    show(sets(await client.get_split(model.split_id)))
    with card():
        with ui.element("div").style(
            "display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px;width:100%"
        ):
            speed = ui.number(texts.SPEED, value=1, min=0.001).props(
                f'outlined dense clearable hint="{texts.SPEED_HINT}"'
            )
            warmup = ui.number(texts.WARMUP, value=10, min=0, max=3600).props("outlined dense")
            lanes = ui.number(texts.LANES, value=1, min=1, max=MAX_LANES, precision=0).props("outlined dense")
        trouble = show(Html(""))

        async def start() -> None:
            request = RunCreate(
                model_version=model_version,
                split_id=model.split_id,
                rows_per_second=speed.value or None,
                warmup_seconds=warmup.value or 0,
                lanes=int(lanes.value or 1),
            )
            try:
                started = await client.start_run(request)
            except ClientError as error:
                trouble.set_content(explained(error))
                return
            ui.navigate.to(f"/guide/run/{started.run_id}")

        with ui.element("div").classes("ii-row"):
            ui.button(texts.SIMULATE_START, on_click=start).props("unelevated no-caps color=primary size=md")
    found = [run for run in (await client.runs(limit=RUNS_LOOKED_AT)).items if run.model_version == model_version]
    if found:
        with card(texts.RUNS_OF_MODEL):
            show(runs_table(found, texts.RUNS_OF_MODEL))


async def _run(run_id: str) -> None:
    run = await client.run(run_id)
    stepper(3, await _links(run))
    heading(texts.SIMULATE_TITLE)
    RunPicture(run).draw()


async def _links(run: Run) -> dict[int, str]:
    if run.dataset_id is None or run.model_version is None:
        return {}
    model = await client.model(run.model_version)
    return {
        0: f"/guide/dataset/{run.dataset_id}",
        1: f"/guide/ranges/{run.dataset_id}",
        2: f"/guide/training/{model.task_id}",
    }
