"""Files on their way through this process: kept for a while, delivered to the gateway with what is going on shown."""

import tempfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from client.errors import ClientError, Refused, RequestProblem
from client.upload import UploadOptions
from dashboard import texts
from dashboard.frame import explained
from dashboard.gateway import client
from dashboard.markup import bar, html, joined
from dashboard.settings import DashboardSettings


class Kept:
    """The last uploads, so that a file can be read again with other settings."""

    def __init__(self, settings: DashboardSettings) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="intelliinspect-", dir=settings.upload_folder)
        self._most = settings.kept_uploads
        self._paths: OrderedDict[str, tuple[Path, str]] = OrderedDict()

    def place(self) -> Path:
        """Where a new upload may lie."""
        return Path(tempfile.mkdtemp(dir=self._folder.name)) / "upload"

    def keep(self, dataset_id: str, path: Path, name: str) -> None:
        self._paths[dataset_id] = (path, name)
        while len(self._paths) > self._most:
            _, (old, _) = self._paths.popitem(last=False)
            if all(old != path for path, _ in self._paths.values()):
                old.unlink(missing_ok=True)

    def find(self, dataset_id: str) -> tuple[Path, str] | None:
        return self._paths.get(dataset_id)


async def deliver(
    kept: Kept, path: Path, name: str, progress: ui.html, options: UploadOptions
) -> Sequence[RequestProblem]:
    """Send a file to the gateway and open its dataset, or show why it was not accepted; the problems, for the fields
    they are about."""
    sent_percent = -1

    def sending(sent: int, total: int) -> None:
        nonlocal sent_percent
        percent = round(100 * sent / max(total, 1))
        if percent != sent_percent:
            sent_percent = percent
            text = texts.UPLOAD_READING if sent >= total else texts.UPLOAD_SENDING
            progress.set_content(joined([html(text.format(name=name)), bar(sent / max(total, 1), name)]))

    try:
        stored = await client.upload(path, file_name=name, progress=sending, **options)
    except ClientError as error:
        progress.set_content(explained(error, texts.UPLOAD_REFUSED))
        return error.problems if isinstance(error, Refused) else ()
    kept.keep(stored.dataset_id, path, name)
    ui.navigate.to(f"/guide/dataset/{stored.dataset_id}")
    return ()


def mark(fields: Mapping[str, ValidationElement[Any]], found: Sequence[RequestProblem]) -> None:
    """Say each problem beside the field that it is about, named as in the request."""
    for name, field in fields.items():
        said = next((problem.message for problem in found if problem.field.removeprefix("body.") == name), None)
        if said is None:
            field.props(remove="error error-message")
        else:
            field.props["error"], field.props["error-message"] = True, said
            field.update()


def setting_inputs(names: Sequence[str] = tuple(texts.UPLOAD_FIELDS)) -> dict[str, ui.input]:
    """A field for each of these settings of an upload."""
    return {name: ui.input(texts.UPLOAD_FIELDS[name]).props("outlined dense").classes("w-full") for name in names}


def columns_to_leave_out(features: Sequence[str]) -> ui.select:
    """A field in which some of these columns may be chosen, to be no features."""
    field = ui.select(list(features), multiple=True, with_input=True, value=[], label=texts.EXCLUDE)
    return field.props("outlined dense use-chips").classes("w-full")


def settings_of(fields: Mapping[str, ui.input]) -> UploadOptions:
    """What was typed in, blank fields left out."""
    return cast(
        UploadOptions, {name: field.value.strip() for name, field in fields.items() if (field.value or "").strip()}
    )
