"""The closing summary of the demo: the streamed numbers beside an offline recount of the same rows. They must be
equal."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from devstack.errors import Mismatch
from schemas.http.runs import Run
from schemas.http.v1 import Model
from schemas.manifests import ModelManifest

MEAN_TOLERANCE = 1e-9


def compare(console: Console, storage_url: str, run: Run, simulation_path: str, model: Model | None = None) -> None:
    """Print both columns. Raises `Mismatch` when an integer differs, or a mean by more than `MEAN_TOLERANCE`."""
    rows = streamed_and_recounted(storage_url, run, simulation_path, model)
    table = Table(title="streamed, and counted again offline", title_style="bold", title_justify="left")
    for name in ("", "streamed", "recounted"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_column("")
    for name, streamed, recounted in rows:
        same = equal(streamed, recounted)
        table.add_row(
            name,
            written(streamed),
            written(recounted),
            Text("=", style="green") if same else Text("differs", style="bold red"),
        )
    console.print(table)
    wrong = [name for name, streamed, recounted in rows if not equal(streamed, recounted)]
    if wrong:
        raise Mismatch(f"the streamed numbers differ from the recount: {', '.join(wrong)}")
    console.print("every number is equal", style="bold green")


def streamed_and_recounted(
    storage_url: str, run: Run, simulation_path: str, model: Model | None = None
) -> list[tuple[str, float | None, float | None]]:
    """Name, streamed value, recounted value. The recount takes the rows up to the last one that the stream counted, and
    a bundle that is the one registered as `model`."""
    from devstack.recount import recount
    from models.bundle import digest
    from storage.objects.files import Storage

    stats, truth = run.statistics, run.statistics.truth
    if run.model_version is None or stats.last_row_index < 0:
        return [("rows", stats.total_predictions, 0)]
    registered = digest(ModelManifest.model_validate(model.model_dump(exclude={"aliases"}))) if model else None
    wanted = recount(
        Storage(storage_url), run.model_version, simulation_path, rows=stats.last_row_index + 1, registered=registered
    )
    return [
        ("rows", stats.total_predictions, wanted.total),
        ("PASS", stats.pass_count, wanted.pass_count),
        ("FAIL", stats.fail_count, wanted.fail_count),
        ("average confidence", stats.average_confidence, wanted.average_confidence),
        ("true positives (FAIL)", truth.true_positives if truth else None, wanted.true_positives),
        ("false positives", truth.false_positives if truth else None, wanted.false_positives),
        ("true negatives", truth.true_negatives if truth else None, wanted.true_negatives),
        ("false negatives", truth.false_negatives if truth else None, wanted.false_negatives),
        ("dead letters", stats.dead_letters, 0),
    ]


def equal(streamed: float | None, recounted: float | None) -> bool:
    """Integers exactly, means to 1e-9."""
    if isinstance(streamed, float) and isinstance(recounted, float):
        return abs(streamed - recounted) <= MEAN_TOLERANCE
    return streamed == recounted


def written(value: float | None) -> str:
    """A number for a person."""
    return "–" if value is None else f"{value:.12f}" if isinstance(value, float) else f"{value:,}"
