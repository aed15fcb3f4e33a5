"""A small dataset with its split in a storage, as the gateway leaves them: what trainings are tested on."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from schemas.ids import new_id
from schemas.manifests import (
    Choice,
    Column,
    DatasetManifest,
    DateRange,
    LabelCounts,
    SetManifest,
    SplitManifest,
    TimeAxis,
)
from storage.objects.files import Storage

START = datetime(2026, 1, 1, tzinfo=UTC)
USEFUL = ("L0_S0_F0", "L0_S1_F2", "L1_S4_F8")


@dataclass(frozen=True)
class SmallSplit:
    """What was written."""

    dataset: DatasetManifest
    split: SplitManifest


def write_small_split(
    storage: Storage,
    *,
    rows: int = 1500,
    useless: int = 5,
    failure_rate: float = 0.1,
    one_class_test: bool = False,
    seed: int = 0,
) -> SmallSplit:
    """Write it: 60/20/20 by time, three features that decide over FAIL, `useless` ones that do not, one constant and
    one empty column."""
    random = np.random.default_rng(seed)
    names = [*USEFUL, *(f"L2_S9_F{number}" for number in range(useless)), "constant", "empty"]
    values = random.normal(size=(rows, len(names)))
    values[random.random(values.shape) < 0.1] = np.nan
    values[:, -2], values[:, -1] = 7.0, np.nan
    a, b, c = (np.nan_to_num(values[:, column]) for column in range(3))
    risk = a + b * c + 0.3 * random.normal(size=rows)
    fails = risk > np.quantile(risk, 1 - failure_rate)
    borders = [0, rows * 6 // 10, rows * 8 // 10, rows]
    if one_class_test:
        fails[borders[1] : borders[2]] = False
    dataset = _dataset(storage, names, values, fails)
    frame = pl.DataFrame({name: values[:, column] for column, name in enumerate(names)}).with_columns(
        pl.all().fill_nan(None)
    )
    return SmallSplit(dataset, _split(storage, dataset, frame, fails, borders))


def _dataset(storage: Storage, names: list[str], values: np.ndarray, fails: np.ndarray) -> DatasetManifest:
    dataset_id, rows = new_id("ds"), len(fails)
    path = f"files/{dataset_id}/data.parquet"
    frame = pl.DataFrame({name: values[:, column] for column, name in enumerate(names)}).with_columns(
        pl.all().fill_nan(None)
    )
    missing = [int(np.isnan(values[:, column]).sum()) for column in range(len(names))]
    dataset = DatasetManifest(
        dataset_id=dataset_id,
        workspace="default",
        file_name="small.csv",
        file_size=1,
        sha256="0" * 64,
        path=path,
        created_at=START,
        row_count=rows,
        column_count=len(names) + 1,
        columns=[
            *(
                Column(
                    name=name,
                    type="empty" if gaps == rows else "numeric",
                    missing=gaps,
                    constant=name in ("constant", "empty"),
                )
                for name, gaps in zip(names, missing, strict=True)
            ),
            Column(name="Response", type="numeric", missing=0, constant=False),
        ],
        features=names[:-1],
        label=Choice(value="Response", reason="its name", detected=True),
        labels=LabelCounts(pass_value="0", fail_value="1", pass_count=int((~fails).sum()), fail_count=int(fails.sum())),
        id_column=None,
        time=TimeAxis(
            column="synthetic_timestamp", synthetic=True, start=START, step_seconds=1.0, reason="no column holds times"
        ),
        first_timestamp=START,
        last_timestamp=START + timedelta(seconds=rows - 1),
    )
    with storage.scratch() as folder:
        frame.with_columns(pl.Series("Response", fails.astype(float))).write_parquet(folder / "data.parquet")
        storage.put_file(folder / "data.parquet", path)
    storage.write_bytes(f"datasets/{dataset_id}/manifest.json", dataset.model_dump_json().encode())
    return dataset


def _split(
    storage: Storage, dataset: DatasetManifest, frame: pl.DataFrame, fails: np.ndarray, borders: list[int]
) -> SplitManifest:
    split_id = new_id("split")
    rows = pl.int_range(0, frame.height, eager=True, dtype=pl.UInt32)
    whole = frame.drop("empty").select(
        rows.alias("__index__"),
        (rows + 1).cast(pl.String).alias("__id__"),
        pl.datetime_range(START, START + timedelta(seconds=frame.height - 1), "1s", time_unit="us", eager=True).alias(
            "__time__"
        ),
        pl.Series("__label__", np.where(fails, "FAIL", "PASS")),
        pl.all(),
    )
    sets = {}
    for name, first, end in zip(("train", "test", "simulation"), borders, borders[1:], strict=False):
        path = f"splits/{split_id}/{name}.parquet"
        with storage.scratch() as folder:
            whole[first:end].write_parquet(folder / "set.parquet")
            storage.put_file(folder / "set.parquet", path)
        range_ = DateRange(start=START + timedelta(seconds=first), end=START + timedelta(seconds=end - 1))
        sets[name] = SetManifest(path=path, range=range_, rows=end - first, failures=int(fails[first:end].sum()))
    split = SplitManifest(
        split_id=split_id,
        dataset_id=dataset.dataset_id,
        workspace="default",
        created_at=START,
        sample_fraction=1.0,
        seed=0,
        daily_distribution={"2026-01-01": frame.height},
        **sets,
    )
    storage.write_bytes(f"splits/{split_id}/manifest.json", split.model_dump_json().encode())
    return split
