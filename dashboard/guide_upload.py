"""Step 1 of the guide: send a file, or go on with one that is there."""

from collections.abc import Sequence
from pathlib import Path

from nicegui import events, ui

from client.errors import RequestProblem
from client.upload import UploadOptions
from dashboard import figures, texts
from dashboard.frame import card, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, link, mono, table, time
from dashboard.stepper import stepper
from dashboard.uploads import Kept, deliver, mark, setting_inputs, settings_of
from schemas.http.v1 import DatasetSummary

RECENT = 8
DROP_FACE = f"""
<label class="ii-dropface">
  <span class="ii-dropsign" aria-hidden="true">⇪</span>
  <span>{texts.UPLOAD_DROP}</span>
  <q-uploader-add-trigger></q-uploader-add-trigger>
</label>
"""


def register(kept: Kept) -> None:
    @page_at("/")
    async def upload_page() -> None:
        with frame(texts.UPLOAD_TITLE, "/"):
            stepper(0, {})
            heading(texts.UPLOAD_TITLE, texts.UPLOAD_LEAD)
            with card():
                _drop_zone(kept)
            await guarded(_recent)


def _drop_zone(kept: Kept) -> None:
    place = ui.element("div").classes("w-full ii-drop")
    progress = show(Html(""))

    async def send(event: events.UploadEventArguments) -> None:
        path = kept.place()
        await event.file.save(path)
        again.clear()
        found = await deliver(kept, path, event.file.name, progress, UploadOptions())
        uploader.reset()
        if found:  # no file is a dead end: whatever the API can set can be set here
            with again:
                _differently(kept, path, event.file.name, progress, found)

    with place:
        uploader = ui.upload(auto_upload=True, on_upload=send).props('accept=".csv,.tsv,.txt,.tab,.dat,.gz" flat')
        uploader.add_slot("header", DROP_FACE)
        choose = (
            ui.button(texts.UPLOAD_CHOOSE, icon="upload_file")
            .props("unelevated no-caps color=primary size=md")
            .classes("ii-choose")
        )
        choose.on("click", js_handler=f"() => document.querySelector('#{uploader.html_id} input[type=file]').click()")
    again = ui.element("div").classes("w-full")
    ui.label(texts.UPLOAD_RULES).classes("ii-muted ii-small")


def _differently(kept: Kept, path: Path, name: str, progress: ui.html, found: Sequence[RequestProblem]) -> None:
    """What the file means was not found, or it is not written as it seems: ask."""
    with ui.element("div").classes("ii-fields"):
        fields = setting_inputs()
    mark(fields, found)

    async def again() -> None:
        options = settings_of(fields)
        mark(fields, await deliver(kept, path, name, progress, options))

    ui.button(texts.CHANGE_AGAIN, on_click=again).props("unelevated no-caps color=primary").style("margin-top:10px")


async def _recent() -> None:
    found = (await client.datasets(limit=RECENT)).items
    with card(texts.UPLOAD_RECENT):
        if not found:
            ui.label(texts.UPLOAD_NONE).classes("ii-muted")
            return
        show(table(texts.COLUMNS_DATASETS, [_row(item) for item in found], caption=texts.UPLOAD_RECENT))


def _row(item: DatasetSummary) -> list[str]:
    return [
        link(f"/guide/dataset/{item.dataset_id}", mono(item.dataset_id)),
        item.file_name,
        figures.count(item.row_count),
        figures.count(item.feature_count),
        f"{item.pass_rate_percentage:.2f} %",
        figures.size(item.file_size),
        time(item.created_at),
    ]
