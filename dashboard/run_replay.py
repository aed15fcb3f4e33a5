"""Replay: recorded rows of a run are sent again, as a run of its own, by the same model or by another."""

from nicegui import ui

from client.errors import ClientError
from dashboard import figures, texts
from dashboard.frame import explained, show
from dashboard.gateway import client
from dashboard.markup import Html
from schemas.http.runs import ReplayCreate, Run

MODELS_SHOWN = 50


async def ask(run: Run, from_row: int) -> None:
    """Ask how, order it, and go to the new run."""
    models = {"": texts.REPLAY_SAME_MODEL}
    for item in (await client.models(limit=MODELS_SHOWN)).items:
        doubt = f" · {texts.IN_DOUBT}" if item.doubt else ""
        models[item.model_version] = f"{item.model_version} · MCC {figures.score(item.test_metrics.mcc)}{doubt}"
    with ui.dialog() as dialog, ui.card().classes("ii-dialog"):
        ui.label(texts.REPLAY_TITLE).classes("ii-h2")
        ui.label(texts.REPLAY_LEAD).classes("ii-muted ii-small")
        row = ui.number(texts.REPLAY_FROM, value=from_row, min=0, precision=0).props("outlined dense").classes("w-full")
        model = ui.select(models, value="", label=texts.MODEL).props("outlined dense").classes("w-full")
        speed = (
            ui.number(texts.SPEED, value=run.rows_per_second, min=0.001)
            .props("outlined dense clearable")
            .classes("w-full")
        )
        speed.props(f'placeholder="{texts.FASTEST}" stack-label')
        trouble = show(Html(""))

        async def start() -> None:
            wanted = ReplayCreate(
                from_row=int(row.value or 0) or None,
                model_version=model.value or None,
                rows_per_second=speed.value or None,
                attempt=run.attempt or None,
            )
            try:
                made = await client.replay_run(run.run_id, wanted)
            except ClientError as error:
                trouble.set_content(explained(error))
                return
            ui.navigate.to(f"/runs/{made.run_id}")

        with ui.row():
            ui.button(texts.REPLAY_START, icon="history", on_click=start).props("unelevated no-caps color=primary")
            ui.button(texts.CANCEL, on_click=dialog.close).props("flat no-caps color=primary")
    dialog.on("hide", dialog.delete)
    dialog.open()
