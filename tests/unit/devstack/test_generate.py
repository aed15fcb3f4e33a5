"""Generated data: the same for the same arguments, with the failures, gaps and rule that it says."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from devstack.generate import generate


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        generate(tmp_path / name, rows=500, seed=3)
    generate(tmp_path / "c.csv", rows=500, seed=4)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes() != (tmp_path / "c.csv").read_bytes()


def test_the_file_holds_what_is_told(tmp_path: Path) -> None:
    made = generate(tmp_path / "a.csv", rows=40_000, features=60, failure_rate=0.05, missing=0.3)
    table = pl.read_csv(made.path)
    assert table.shape == (40_000, 62)
    assert table.columns[0] == "Id"
    assert table.columns[-1] == "Response"
    assert all(name.count("_") == 2 and name[0] == "L" for name in table.columns[1:-1])
    assert table["Id"].to_list() == list(range(1, 40_001))
    assert table["Response"].sum() == made.failures
    assert made.failures / 40_000 == pytest.approx(0.05, abs=0.005)
    missing = sum(table[name].null_count() for name in table.columns[1:-1]) / (40_000 * 60)
    assert missing == pytest.approx(made.missing_share)
    assert missing == pytest.approx(0.3, abs=0.03)


def test_a_station_is_missing_as_a_whole(tmp_path: Path) -> None:
    made = generate(tmp_path / "a.csv", rows=200)
    table = pl.read_csv(made.path)
    station = [name for name in table.columns if "_S3_" in name]
    assert len(station) > 1
    assert all(table[name].is_null().equals(table[station[0]].is_null(), check_names=False) for name in station)


def test_the_rule_reaches_the_mcc_that_is_told(tmp_path: Path) -> None:
    made = generate(tmp_path / "a.csv", rows=40_000)
    table = pl.read_csv(made.path)
    broken = table.select(
        pl.sql_expr(made.rule.replace(" and ", " AND ").replace(" or ", " OR ")).fill_null(False)
    ).to_series()
    failed = table["Response"] == 1
    tp, fp, fn = int((broken & failed).sum()), int((broken & ~failed).sum()), int((~broken & failed).sum())
    tn = 40_000 - tp - fp - fn
    mcc = (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    assert made.reachable_mcc == pytest.approx(mcc)
    assert mcc > 0.9


@pytest.mark.parametrize("drift_at", [0.5, 10_000])
def test_sensors_read_higher_after_the_drift(drift_at: float, tmp_path: Path) -> None:
    made = generate(tmp_path / "a.csv", rows=20_000, drift_at=drift_at)
    assert made.drift_row == 10_000
    table = pl.read_csv(made.path).drop("Id", "Response")
    before, after = table[:10_000], table[10_000:]
    shifts = [float(after[name].mean() - before[name].mean()) / float(before[name].std()) for name in table.columns]  # type: ignore[operator, arg-type]
    drifted = [shift for shift in shifts if shift > 0.9]
    assert 10 < len(drifted) < 30
    assert all(abs(shift) < 0.1 for shift in shifts if shift <= 0.9)


def test_progress_is_told(tmp_path: Path) -> None:
    seen: list[int] = []
    generate(tmp_path / "a.csv", rows=1_000, progress=seen.append)
    assert seen[-1] == 1_000


@pytest.mark.parametrize(
    "wrong", [{"rows": 0}, {"features": 2}, {"failure_rate": 0.0}, {"missing": 1.0}, {"noise": 0.7}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, float], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="need rows"):
        generate(tmp_path / "a.csv", **wrong)  # type: ignore[arg-type]


def test_the_command_line_prints_the_rule_and_what_can_be_reached(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "devstack.generate", "--rows", "300", "--drift-at", "0.7", str(tmp_path / "a.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "300 rows, 60 features" in done.stdout
    assert "drift from row 210" in done.stdout
    assert "rule: FAIL if (L" in done.stdout
    assert "reachable MCC: 0." in done.stdout
