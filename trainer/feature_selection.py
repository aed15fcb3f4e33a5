"""The job of a feature selection: a dataset in storage in, `datasets/{id}/features.json` out."""

import msgspec

from schemas.manifests import DatasetManifest, FeatureSelection
from schemas.tasks import FeatureSelectionSpec, TaskState
from storage.objects.files import Storage
from storage.tables.splits import labelled_rows
from trainer.child.reporting import LOADING, RANKING, SAVING, TRAINED_PERCENT, Reporter
from trainer.child.wire import Done, SelectionSettings
from trainer.errors import JobFailed
from trainer.fit import features
from trainer.fit.data import read_manifest, read_rows, some_rows
from trainer.fit.vocabulary import categories_of, fit_inputs, learnable

SHOWN = 10
"""So many of the best features are named in the task's result; all are in storage."""


def select_features(
    storage: Storage, task: TaskState, settings: SelectionSettings, threads: int, reporter: Reporter
) -> Done:
    """Rank the dataset's features and keep the best. Raises `JobFailed`, `StorageUnavailable`."""
    reporter.phase(LOADING, 0)
    dataset_id = msgspec.convert(task.spec, FeatureSelectionSpec).dataset_id
    dataset = read_manifest(
        storage, f"datasets/{dataset_id}/manifest.json", DatasetManifest, f"The dataset {dataset_id}"
    )
    considered = usable_features(dataset)
    labelled, times, fails = labelled_rows(storage, dataset)
    sampled = features.choose_rows(
        times,
        fails,
        time_share=settings.time_share,
        fraction=settings.fraction,
        minimum=settings.minimum_rows,
        seed=settings.seed,
    )
    rows, labels = labelled[sampled], fails[sampled]
    some = some_rows(storage, dataset.path, rows)
    inputs = learnable(fit_inputs(some, considered, categories_of(dataset)), reporter)
    considered, matrix = inputs.names, read_rows(some, len(rows), inputs)
    reporter.log("INFO", f"Ranking {len(considered)} features on {len(rows)} rows", failures=int(labels.sum()))
    ranking = features.rank(
        matrix,
        labels,
        considered,
        seed=settings.seed,
        threads=threads,
        on_round=reporter.rounds(RANKING),
        types=inputs.types,
    )
    if not ranking.features:
        raise JobFailed(
            f"None of the {len(considered)} columns varies in the {len(rows)} sampled rows: there is nothing to select."
        )
    reporter.phase(SAVING, TRAINED_PERCENT)
    selection = FeatureSelection(
        dataset_id=dataset_id,
        features=ranking.features[: settings.features],
        gains=ranking.gains[: settings.features],
        considered=len(considered),
        sampled_rows=len(rows),
        seed=settings.seed,
        parameters=features.PRELIMINARY.model_dump() | {"sample": msgspec.to_builtins(settings)},
    )
    path = features_path(dataset_id)
    storage.write_bytes(path, selection.model_dump_json(indent=2).encode())
    reporter.log("INFO", f"Kept {len(selection.features)} of {len(considered)} features")
    best = [
        {"feature": name, "gain": gain}
        for name, gain in zip(selection.features[:SHOWN], selection.gains[:SHOWN], strict=True)
    ]
    facts = {"dataset_id": dataset_id, "features_path": path, "selected": len(selection.features)}
    return Done(result=facts | {"considered": len(considered), "sampled_rows": len(rows), "best": best})


def features_path(dataset_id: str) -> str:
    """Where a dataset's feature selection is kept."""
    return f"datasets/{dataset_id}/features.json"


def usable_features(dataset: DatasetManifest) -> list[str]:
    """The dataset's features that hold more than one value. Raises `JobFailed` when there is none."""
    varying = {column.name for column in dataset.columns if not column.constant and column.missing < dataset.row_count}
    usable = [name for name in dataset.features if name in varying]
    if not usable:
        raise JobFailed("The dataset has no column that holds more than one value: there is nothing to learn from.")
    return usable
