"""What a run was: its attempts, all its predictions a part at a time, and the files to take away."""

import csv
import io
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from nicegui import app, ui
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from client.errors import ClientError, Gone, NotFound
from dashboard import figures, texts
from dashboard.frame import card, explained, show
from dashboard.gateway import client
from dashboard.markup import Html, badge, link, muted, status, table, time
from dashboard.run_view import row_cells
from schemas.http.runs import AttemptView, PredictionView, Run
from schemas.shown import attachment, cell

HISTORY_ROWS = 50


def register() -> None:
    @app.get("/runs/{run_id}/predictions.{kind}")
    async def download(run_id: str, kind: str, attempt: int | None = None) -> StreamingResponse:
        rows = client.predictions(run_id, attempt=attempt)
        lines = as_csv(rows) if kind == "csv" else as_json_lines(rows)
        return StreamingResponse(
            lines,
            media_type="text/csv" if kind == "csv" else "application/jsonl",
            headers=_named(f"predictions.{kind}"),
        )

    @app.get("/runs/{run_id}/export.zip")
    async def export(run_id: str, attempt: int | None = None) -> Response:
        folder = Path(tempfile.mkdtemp(prefix="intelliinspect-"))
        done = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            path = await client.export_run(run_id, folder / "run.zip", attempt=attempt)
        except ClientError as error:
            return PlainTextResponse(str(error), 404 if isinstance(error, NotFound) else 503, background=done)
        return FileResponse(path, media_type="application/zip", headers=_named(f"{run_id}.zip"), background=done)


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": attachment(name)}


async def attempts(run: Run, shown: int) -> None:
    """The attempts of a run that was tried more than once; each has an address."""
    if run.attempt < 2:
        return
    found = (await client.attempts(run.run_id)).items
    with card(texts.ATTEMPTS):
        show(table(texts.COLUMNS_ATTEMPTS, [_attempt(run, item, shown) for item in found], caption=texts.ATTEMPTS))


def _attempt(run: Run, item: AttemptView, shown: int) -> list[str]:
    address = f"/runs/{run.run_id}" if item.attempt == run.attempt else f"/runs/{run.run_id}?attempt={item.attempt}"
    name = link(address, texts.ATTEMPT_NUMBER.format(number=item.attempt))
    return [
        Html(f"{name} {badge(texts.SHOWN_HERE, 'live')}") if item.attempt == shown else name,
        status(item.status),
        figures.count(item.statistics.total_predictions),
        figures.count(item.statistics.passed_over),
        figures.count(item.statistics.fail_count),
        figures.count(item.statistics.dead_letters),
        figures.score(item.statistics.truth.mcc if item.statistics.truth else None),
        time(item.started_at),
    ]


async def history(run_id: str, attempt: int | None) -> None:
    """All predictions, and the files."""
    with card(texts.HISTORY):
        with ui.element("div").classes("ii-row"):
            asked = f"?attempt={attempt}" if attempt else ""
            files = {
                "predictions.csv": texts.DOWNLOAD_CSV,
                "predictions.jsonl": texts.DOWNLOAD_JSONL,
                "export.zip": texts.DOWNLOAD_ZIP,
            }
            for name, text in files.items():
                show(link(f"/runs/{run_id}/{name}{asked}", text)).classes(remove="w-full")
        await History(run_id, attempt).more()


class History:
    """All predictions of a run, a part at a time."""

    def __init__(self, run_id: str, attempt: int | None) -> None:
        self.run_id, self.attempt = run_id, attempt
        self.rows: list[PredictionView] = []
        self.place = show(Html(""))
        self.button = ui.button(texts.MORE, on_click=self.more).props("flat no-caps color=primary")

    async def more(self) -> None:
        try:
            found = await self._read(self.rows[-1].row_index if self.rows else -1)
        except Gone as gone:
            found = [] if gone.first_available is None else await self._read(gone.first_available - 1)
        except ClientError as error:
            self.place.set_content(explained(error))
            return
        self.rows += found
        self.button.set_visibility(len(found) == HISTORY_ROWS)
        cells = [row_cells(row) for row in self.rows]
        self.place.set_content(
            table(texts.COLUMNS_ROWS, cells, caption=texts.HISTORY) if cells else muted(texts.NO_ROWS)
        )

    async def _read(self, after: int) -> list[PredictionView]:
        return [
            row async for row in client.predictions(self.run_id, after=after, limit=HISTORY_ROWS, attempt=self.attempt)
        ]


async def as_json_lines(predictions: AsyncIterator[PredictionView]) -> AsyncIterator[str]:
    """Each prediction as the gateway gives it."""
    async for row in predictions:
        yield row.model_dump_json() + "\n"


async def as_csv(predictions: AsyncIterator[PredictionView]) -> AsyncIterator[str]:
    """Each prediction as a line, under a header."""
    names = [
        name for name in PredictionView.model_fields if name not in ("top_features", "top_feature_values", "source")
    ]
    yield _line([*names, "top_features"])
    async for row in predictions:
        values = row.model_dump(mode="json")
        top = " ".join(f"{name}={amount:.6g}" for name, amount in row.top_features.items())
        yield _line([*("" if values[name] is None else values[name] for name in names), top])


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([cell(one) for one in cells])
    return out.getvalue()
