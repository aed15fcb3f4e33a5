"""The documented example: a plain Kafka client sends rows without run or model, and gets answers from the champion."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars
import pytest

from devstack.recount import recount
from models.bundle import load_bundle
from storage.objects.files import Storage
from tests.support.stack import Stack
from tests.support.waiting import eventually_sync

EXAMPLE = Path(__file__).parents[2] / "examples" / "send_rows.py"


def ok(response: httpx.Response) -> Any:
    assert response.is_success, response.text
    return response.json()


def train_default(stack: Stack, csv: Path) -> tuple[str, str]:
    """Train in the workspace `default`, name the result its champion; return model version and simulation path."""
    with httpx.Client(base_url=stack.gateway_url, timeout=150) as http, csv.open("rb") as file:
        ok(http.post("/dataset/store", files={"file": ("secom.csv", file)}))
        names = (
            "train_start_date",
            "train_end_date",
            "test_start_date",
            "test_end_date",
            "simulation_start_date",
            "simulation_end_date",
        )
        dates = ("2008-07-19", "2008-08-31", "2008-09-01", "2008-09-20", "2008-09-21", "2008-10-17")
        split = ok(http.post("/process/split-data", json=dict(zip(names, dates, strict=True))))
        task = ok(http.post("/process/train/start"))["task_id"]

        def done() -> Any:
            status = ok(http.get(f"/process/train/status/{task}"))
            return status if status["status"] in {"COMPLETED", "FAILED"} else None

        result = eventually_sync(done, timeout_seconds=120)["result"]
        return result["model_version"], f"splits/{split['split_id']}/simulation.parquet"


@pytest.mark.timeout(300)
def test_the_example_is_answered_by_the_champion_and_bad_rows_are_explained(
    stack: Stack, secom_csv: Path, tmp_path: Path
) -> None:
    version, simulation = train_default(stack, secom_csv)
    with httpx.Client(base_url=stack.gateway_url) as http:
        ok(
            http.put("/v1/models/champion", json={"model_version": version, "force": True})
        )  # its test set may not show that it is better than all PASS
    storage = Storage(stack.storage_url)
    features = load_bundle(storage, version).manifest.features
    rows = polars.read_parquet(storage.local(simulation), columns=features, n_rows=20).select(features).to_dicts()
    broken = [dict(rows[0], no_such_sensor=1.0), {features[0]: 1.0}]
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows + broken))
    key = f"line-{uuid4().hex[:8]}"
    command = [sys.executable, str(EXAMPLE), "--bootstrap", stack.bootstrap, "--key", key, str(lines)]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    answers = [json.loads(line) for line in printed.splitlines()]
    wanted = recount(storage, version, simulation, rows=20)
    assert [(a["prediction"], a["probability_fail"]) for a in answers[:20]] == [
        (w.prediction, w.probability_fail) for w in wanted.answers
    ]
    assert {(a["run_id"], a["model_version"]) for a in answers[:20]} == {(f"ext-{key}", version)}
    assert (answers[20]["reason"], answers[20]["path"]) == ("unknown_feature", "$.features.no_such_sensor")
    assert answers[21]["reason"] == "missing_feature"
