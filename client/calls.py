"""Every call to the gateway, once: path, body and the type of the answer. `Client` and `AsyncClient` send them.

Pure: nothing here opens a connection. Paths are the gateway's `/v1`; ids are put into them escaped.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter

from client.transport import Call
from client.upload import Upload
from schemas.http.dead_letters import DeadLetterPage, DeadLetterView, LettersSent, PurgeMatching, RedriveMatching
from schemas.http.quarantine import QuarantineList, QuarantineView
from schemas.http.runs import Attempts, PredictionPage, ReplayCreate, Run, RunCreate, RunDiff
from schemas.http.shared import Health, Page, Readiness, TaskStatus
from schemas.http.system import System
from schemas.http.v1 import (
    AliasView,
    Dataset,
    DatasetColumns,
    DatasetPreview,
    DatasetSummary,
    DatasetTimeline,
    Model,
    ModelSummary,
    Ranges,
    Split,
    SplitCounts,
    SplitCreate,
    SuggestedSplit,
    TaskLogEntry,
    Training,
    TrainingCreate,
)

T = TypeVar("T")
SPLIT_SECONDS = 300.0
DIFF_SECONDS = 150.0
Only = Literal["flipped", "pass_to_fail", "fail_to_pass"]
"""Which rows of a diff are listed."""
MANY_SECONDS = 120.0


def _read(kind: type[T]) -> Callable[[Any], T]:
    return TypeAdapter(kind).validate_python


def _at(template: str, *ids: str) -> str:
    return template.format(*(quote(part, safe="") for part in ids))


def _listed(path: str, kind: type[Page[T]], cursor: str | None, limit: int | None, **filters: Any) -> Call[Page[T]]:
    return Call("GET", path, _read(kind), {"cursor": cursor, "limit": limit, **filters})


def health() -> Call[Health]:
    return Call("GET", "/health", _read(Health))


def ready() -> Call[Readiness]:
    """503 is an answer here, not a failure: it says which part is down."""
    return Call("GET", "/ready", _read(Readiness), expected=frozenset({200, 503}))


def system() -> Call[System]:
    return Call("GET", "/v1/system", _read(System))


def upload(file: Upload, file_name: str, options: dict[str, str]) -> Call[Dataset]:
    return Call(
        "POST",
        "/v1/datasets",
        _read(Dataset),
        files={"file": (file_name, file, "text/csv")},
        data=options,
        timeout_seconds=None,
    )


def datasets(cursor: str | None, limit: int | None) -> Call[Page[DatasetSummary]]:
    return _listed("/v1/datasets", Page[DatasetSummary], cursor, limit)


def dataset(dataset_id: str) -> Call[Dataset]:
    return Call("GET", _at("/v1/datasets/{}", dataset_id), _read(Dataset))


def columns(dataset_id: str) -> Call[DatasetColumns]:
    return Call("GET", _at("/v1/datasets/{}/columns", dataset_id), _read(DatasetColumns))


def preview(dataset_id: str, offset: int, limit: int) -> Call[DatasetPreview]:
    return Call(
        "GET", _at("/v1/datasets/{}/preview", dataset_id), _read(DatasetPreview), {"offset": offset, "limit": limit}
    )


def timeline(dataset_id: str, spans: int) -> Call[DatasetTimeline]:
    return Call("GET", _at("/v1/datasets/{}/timeline", dataset_id), _read(DatasetTimeline), {"spans": spans})


def suggest_split(dataset_id: str) -> Call[SuggestedSplit]:
    return Call("POST", _at("/v1/datasets/{}/suggest-split", dataset_id), _read(SuggestedSplit))


def count_split(dataset_id: str, request: Ranges) -> Call[SplitCounts]:
    return Call(
        "POST", _at("/v1/datasets/{}/count-split", dataset_id), _read(SplitCounts), json=request.model_dump(mode="json")
    )


def split(request: SplitCreate | SuggestedSplit) -> Call[Split]:
    """The gateway first waits for a feature selection that is still running."""
    body = request.model_dump(mode="json", exclude_none=True)
    return Call("POST", "/v1/splits", _read(Split), json=body, timeout_seconds=SPLIT_SECONDS)


def get_split(split_id: str) -> Call[Split]:
    return Call("GET", _at("/v1/splits/{}", split_id), _read(Split))


def splits(dataset_id: str | None, cursor: str | None, limit: int | None) -> Call[Page[Split]]:
    return _listed("/v1/splits", Page[Split], cursor, limit, dataset_id=dataset_id)


def train(request: TrainingCreate) -> Call[Training]:
    return Call("POST", "/v1/trainings", _read(Training), json=request.model_dump(mode="json", exclude_none=True))


def training(task_id: str) -> Call[Training]:
    return Call("GET", _at("/v1/trainings/{}", task_id), _read(Training))


def trainings(cursor: str | None, limit: int | None) -> Call[Page[Training]]:
    return _listed("/v1/trainings", Page[Training], cursor, limit)


def cancel_training(task_id: str) -> Call[Training]:
    return Call("POST", _at("/v1/trainings/{}/cancel", task_id), _read(Training))


def training_logs(task_id: str, after: str | None) -> Call[Page[TaskLogEntry]]:
    return Call("GET", _at("/v1/trainings/{}/logs", task_id), _read(Page[TaskLogEntry]), {"after": after})


def task(task_id: str) -> Call[TaskStatus]:
    """Any task in the form that all kinds share."""
    return Call("GET", _at("/v1/tasks/{}", task_id), _read(TaskStatus))


def models(cursor: str | None, limit: int | None) -> Call[Page[ModelSummary]]:
    return _listed("/v1/models", Page[ModelSummary], cursor, limit)


def model(model_version: str) -> Call[Model]:
    return Call("GET", _at("/v1/models/{}", model_version), _read(Model))


def curves(model_version: str) -> Call[dict[str, Any]]:
    return Call("GET", _at("/v1/models/{}/curves.json", model_version), _read(dict[str, Any]))


def champion() -> Call[AliasView]:
    return Call("GET", "/v1/models/champion", _read(AliasView))


def set_champion(model_version: str, *, force: bool = False) -> Call[AliasView]:
    body = {"model_version": model_version} | ({"force": True} if force else {})
    return Call("PUT", "/v1/models/champion", _read(AliasView), json=body)


def unset_champion() -> Call[None]:
    return Call("DELETE", "/v1/models/champion", lambda _: None, expected=frozenset({204}))


def start_run(request: RunCreate) -> Call[Run]:
    return Call("POST", "/v1/runs", _read(Run), json=request.model_dump(mode="json", exclude_unset=True))


def runs(cursor: str | None, limit: int | None) -> Call[Page[Run]]:
    return _listed("/v1/runs", Page[Run], cursor, limit)


def run(run_id: str, attempt: int | None = None) -> Call[Run]:
    return Call("GET", _at("/v1/runs/{}", run_id), _read(Run), {"attempt": attempt})


def attempts(run_id: str) -> Call[Attempts]:
    return Call("GET", _at("/v1/runs/{}/attempts", run_id), _read(Attempts))


def order(run_id: str, verb: str, body: Any = None) -> Call[Run]:
    """`stop`, `pause`, `resume`, `speed`, `step`, `seek`, `retry`."""
    return Call("POST", _at("/v1/runs/{}/{}", run_id, verb), _read(Run), json=body)


def replay(run_id: str, request: ReplayCreate) -> Call[Run]:
    return Call(
        "POST", _at("/v1/runs/{}/replay", run_id), _read(Run), json=request.model_dump(mode="json", exclude_unset=True)
    )


def diff(
    run_id: str,
    other_id: str,
    attempt: int | None,
    other_attempt: int | None,
    only: Only,
    cursor: str | None,
    limit: int | None,
) -> Call[RunDiff]:
    """The gateway first reads every answer of both runs."""
    params = {"attempt": attempt, "other_attempt": other_attempt, "only": only, "cursor": cursor, "limit": limit}
    return Call(
        "GET", _at("/v1/runs/{}/diff/{}", run_id, other_id), _read(RunDiff), params, timeout_seconds=DIFF_SECONDS
    )


def export_path(run_id: str, attempt: int | None) -> str:
    return _at("/v1/runs/{}/export", run_id) + ("" if attempt is None else f"?attempt={attempt}")


def predictions(run_id: str, after: int | str, limit: int, attempt: int | None = None) -> Call[PredictionPage]:
    params = {"after": after, "limit": limit, "attempt": attempt}
    return Call("GET", _at("/v1/runs/{}/predictions", run_id), _read(PredictionPage), params)


def dead_letters(cursor: str | None, limit: int | None, **filters: str | None) -> Call[DeadLetterPage]:
    return Call("GET", "/v1/dead-letters", _read(DeadLetterPage), {"cursor": cursor, "limit": limit, **filters})


def dead_letter(dead_letter_id: str) -> Call[DeadLetterView]:
    return Call("GET", _at("/v1/dead-letters/{}", dead_letter_id), _read(DeadLetterView))


def redrive(dead_letter_id: str, value: str | dict[str, Any] | None) -> Call[DeadLetterView]:
    return Call(
        "POST", _at("/v1/dead-letters/{}/redrive", dead_letter_id), _read(DeadLetterView), json={"value": value}
    )


def redrive_matching(request: RedriveMatching) -> Call[LettersSent]:
    body = request.model_dump(mode="json", exclude_none=True)
    return Call("POST", "/v1/dead-letters/redrive", _read(LettersSent), json=body, timeout_seconds=MANY_SECONDS)


def purge_matching(request: PurgeMatching) -> Call[LettersSent]:
    body = request.model_dump(mode="json", exclude_none=True)
    return Call("POST", "/v1/dead-letters/purge", _read(LettersSent), json=body, timeout_seconds=MANY_SECONDS)


def quarantine(topic: str | None, limit: int | None) -> Call[QuarantineList]:
    return Call("GET", "/v1/quarantine", _read(QuarantineList), {"topic": topic, "limit": limit})


def quarantined(place: str) -> Call[QuarantineView]:
    return Call("GET", _at("/v1/quarantine/{}", place), _read(QuarantineView))


def skip(place: str) -> Call[QuarantineView]:
    return Call("POST", _at("/v1/quarantine/{}/skip", place), _read(QuarantineView))


def events_path(run_id: str, after: int | str = -1, attempt: int | None = None) -> str:
    """`Last-Event-ID` goes before `after`."""
    query = [f"after={after}"] * (after != -1) + [f"attempt={attempt}"] * (attempt is not None)
    return _at("/v1/runs/{}/events", run_id) + ("?" + "&".join(query) if query else "")
