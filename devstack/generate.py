"""Bosch-like inspection data with a failure rule that is known, so that what a model can reach is known too.

`python -m devstack.generate --rows 100000 --features 300 out.csv`. The same arguments give the same bytes. Streams to
disk in chunks.

A part passes stations on lines; a station it does not visit leaves a block of empty cells. A part FAILs (`Response` 1)
when its values break the rule, apart from some noise: `reachable_mcc` is what the rule itself scores against the noisy
labels."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

LINES = 4
FEATURES_PER_STATION = 6
CELLS_PER_CHUNK = 2_000_000
DECIMALS = 4
DRIFT_SCALES = 1.0
"""How many standard deviations a drifted sensor moves."""
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written. `rule` is readable; `drift_row` is the first row (0-based) after the drift."""

    path: Path
    rows: int
    features: int
    failures: int
    missing_share: float
    rule: str
    reachable_mcc: float
    drift_row: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """A feature's value above or below a limit; a missing value is neither."""

    feature: int
    above: bool
    limit: float

    def holds(self, values: Floats) -> Flags:
        """For each row of the values."""
        column = values[:, self.feature]
        return column > self.limit if self.above else column < self.limit

    def words(self, names: list[str]) -> str:
        """The condition as people write it."""
        return f"{names[self.feature]} {'>' if self.above else '<'} {self.limit}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The plant: each feature's name, station, centre and scale, each station's chance to be left out, and the rule."""

    names: list[str]
    station: npt.NDArray[np.int64]
    centre: Floats
    scale: Floats
    left_out: Floats
    drifting: Flags
    causes: list[list[Condition]]
    """A part breaks the rule when all conditions of any cause hold."""
    noise: float
    base_failures: float

    def rule(self) -> str:
        """The rule in words."""
        return " or ".join(
            "(" + " and ".join(condition.words(self.names) for condition in cause) + ")" for cause in self.causes
        )


def generate(
    path: Path,
    *,
    rows: int = 10_000,
    features: int = 60,
    failure_rate: float = 0.08,
    missing: float = 0.2,
    drift_at: float | None = None,
    seed: int = 0,
    noise: float = 0.05,
    progress: Callable[[int], None] = lambda _: None,
) -> Generated:
    """Write the CSV and tell what is in it. `progress` is called with the rows written so far.

    `missing` is the share of empty cells. From `drift_at` on (a share of the rows below 1, else a row number) a third
    of the stations' sensors read higher. `noise` is the share of rule-breaking parts that pass, and of failures that
    have no cause."""
    _check(rows, features, failure_rate, missing, noise)
    plan = _plan(features, failure_rate, missing, noise, seed)
    drift_row = None if drift_at is None else round(drift_at * rows) if drift_at < 1 else int(drift_at)
    counts = np.zeros((2, 2), np.int64)
    missing_cells = 0
    with path.open("wb") as out:
        for start, values, broken, failed in _chunks(plan, rows, drift_row, seed):
            np.add.at(counts, (broken.astype(int), failed.astype(int)), 1)
            missing_cells += int(np.isnan(values).sum())
            _frame(plan, start, values, failed).write_csv(out, include_header=start == 0)
            progress(start + len(values))
    return Generated(
        path,
        rows,
        features,
        int(counts[:, 1].sum()),
        missing_cells / (rows * features),
        plan.rule(),
        _mcc(counts),
        drift_row,
    )


def _check(rows: int, features: int, failure_rate: float, missing: float, noise: float) -> None:
    if rows < 1 or features < 4 or not 0 < failure_rate <= 0.5 or not 0 <= missing <= 0.9 or not 0 <= noise < 0.5:
        raise ValueError(
            "need rows >= 1, features >= 4, 0 < failure rate <= 0.5, 0 <= missing <= 0.9, 0 <= noise < 0.5"
        )


def _plan(features: int, failure_rate: float, missing: float, noise: float, seed: int) -> Plan:
    generator = np.random.default_rng([seed, 0])
    stations = max(4, -(-features // FEATURES_PER_STATION))
    station = np.sort(np.arange(features) % stations)
    names = [f"L{int(s) * LINES // stations}_S{int(s)}_F{2 * f}" for f, s in enumerate(station)]
    left_out = missing * generator.uniform(0.5, 1.5, stations)
    left_out = np.clip(left_out * missing / max(float(left_out[station].mean()), 1e-12), 0, 0.95)
    chosen = [int(generator.choice(np.flatnonzero(station == s))) for s in generator.choice(stations, 3, replace=False)]
    present = [1 - left_out[station[feature]] for feature in chosen]
    broken = 1 - sqrt(1 - failure_rate)  # by each of two independent causes
    pair = sqrt(broken / (present[1] * present[2]))
    centre, scale = generator.normal(0, 0.1, features), generator.uniform(0.05, 0.25, features)

    def condition(feature: int, above: bool, share: float) -> Condition:
        limit = NormalDist(centre[feature], scale[feature]).inv_cdf(1 - min(share, 0.5) if above else min(share, 0.5))
        return Condition(feature, above, round(limit, DECIMALS))

    return Plan(
        names=names,
        station=station,
        centre=centre,
        scale=scale,
        left_out=left_out,
        drifting=np.isin(station, generator.choice(stations, -(-stations // 3), replace=False))
        | (np.arange(features) == chosen[0]),
        causes=[
            [condition(chosen[0], True, broken / present[0])],
            [condition(chosen[1], True, pair), condition(chosen[2], False, pair)],
        ],
        noise=noise,
        base_failures=noise * failure_rate / (1 - failure_rate),
    )


def _chunks(plan: Plan, rows: int, drift_row: int | None, seed: int) -> Iterator[tuple[int, Floats, Flags, Flags]]:
    """First row, values (NaN for missing), whether the rule is broken, whether the part failed; chunk by chunk, each
    seeded on its own."""
    features = len(plan.names)
    size = max(1, CELLS_PER_CHUNK // features)
    for number, start in enumerate(range(0, rows, size)):
        generator = np.random.default_rng([seed, 1, number])
        count = min(size, rows - start)
        shared = generator.standard_normal((count, len(plan.left_out)))[:, plan.station]
        scaled = 0.5 * shared + sqrt(0.75) * generator.standard_normal((count, features))
        if drift_row is not None:
            scaled += DRIFT_SCALES * (np.arange(start, start + count) >= drift_row)[:, None] * plan.drifting
        scaled[(generator.random((count, len(plan.left_out))) < plan.left_out)[:, plan.station]] = np.nan
        values = np.round(plan.centre + plan.scale * scaled, DECIMALS)
        causes = [np.logical_and.reduce([condition.holds(values) for condition in cause]) for cause in plan.causes]
        broken = np.logical_or.reduce(causes)
        failed = generator.random(count) < np.where(broken, 1 - plan.noise, plan.base_failures)
        yield start, values, broken, failed


def _frame(plan: Plan, start: int, values: Floats, failed: Flags) -> pl.DataFrame:
    measured = pl.DataFrame(values, schema=plan.names, orient="row", nan_to_null=True)
    ids = pl.Series("Id", np.arange(start + 1, start + len(values) + 1))
    return measured.insert_column(0, ids).with_columns(pl.Series("Response", failed.astype(np.int8)))


def _mcc(counts: npt.NDArray[np.int64]) -> float:
    """Matthews correlation coefficient of a 2 x 2 table; 0 where a margin is empty."""
    (tn, fn), (fp, tp) = counts.astype(float)
    margins = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / sqrt(margins)) if margins else 0.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack.generate", description="Write Bosch-like inspection data as CSV."
    )
    parser.add_argument("path", type=Path, metavar="out.csv")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--features", type=int, default=60)
    parser.add_argument("--failure-rate", type=float, default=0.08)
    parser.add_argument(
        "--missing", type=float, default=0.2, help="share of empty cells, in blocks by station (default 0.2)"
    )
    parser.add_argument(
        "--drift-at", type=float, help="share of the rows (below 1) or row number from which sensors read higher"
    )
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    try:
        made = _with_bar(given)
    except ValueError as error:
        parser.error(str(error))
    drift = f", drift from row {made.drift_row}" if made.drift_row is not None else ""
    print(
        f"{made.path}: {made.rows:,} rows, {made.features} features, {made.failures:,} failures,"
        f" {made.missing_share:.1%} missing{drift}"
    )
    print(f"rule: FAIL if {made.rule}")
    print(f"reachable MCC: {made.reachable_mcc:.3f}")


def _with_bar(given: argparse.Namespace) -> Generated:
    from rich.progress import Progress

    with Progress(transient=True) as bar:
        task = bar.add_task("rows", total=given.rows)
        return generate(
            given.path,
            rows=given.rows,
            features=given.features,
            failure_rate=given.failure_rate,
            missing=given.missing,
            drift_at=given.drift_at,
            seed=given.seed,
            progress=lambda rows: bar.update(task, completed=rows),
        )


if __name__ == "__main__":
    main()
