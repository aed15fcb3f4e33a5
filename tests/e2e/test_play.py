"""Playing a run of SECOM on real parts: whatever is done to it, the numbers of every attempt and replay equal an
offline recount."""

import csv
import io
import json
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import polars
import pytest
from aiokafka import AIOKafkaProducer

from devstack.recount import Recount, recount
from schemas.topics import INGRESS
from storage.objects.files import Storage
from tests.support.stack import Stack
from tests.support.waiting import eventually_sync

DATES = ("2008-07-25T06:00:00Z", "2008-08-20", "2008-08-21", "2008-08-25", "2008-08-26", "2008-10-17")
NAMES = ("train_start", "train_end", "test_start", "test_end", "simulation_start", "simulation_end")
DONE = {"COMPLETED", "FAILED", "STOPPED"}
EXTERNAL_ROWS = 20


class Game:
    """A workspace with a split and two models."""

    def __init__(self, stack: Stack, http: httpx.Client, secom: Path) -> None:
        self.stack, self.http = stack, http
        with secom.open("rb") as file:
            dataset = self.ok(http.post("/v1/datasets", files={"file": ("secom.csv", file, "text/csv")}), 201)
        body = dict(zip((f"{name}_date" for name in NAMES), DATES, strict=True))
        self.split = self.ok(http.post("/process/split-data", json=body | {"dataset_id": dataset["dataset_id"]}))
        self.simulation = f"splits/{self.split['split_id']}/simulation.parquet"
        self.total = self.split["simulation_set_rows"]
        self.model = self.trained({"n_estimators": 40})
        self.other = self.trained({"max_depth": 2, "n_estimators": 20, "subsample": 0.5})

    def trained(self, parameters: dict[str, Any]) -> str:
        task = self.ok(
            self.http.post("/v1/trainings", json={"split_id": self.split["split_id"], "parameters": parameters})
        )

        def done() -> Any:
            found = self.ok(self.http.get(f"/v1/trainings/{task['task_id']}"))
            return found if found["status"] in DONE else None

        return str(eventually_sync(done, timeout_seconds=120)["result"]["model_version"])

    @staticmethod
    def ok(response: httpx.Response, status: int | None = None) -> Any:
        assert response.is_success, response.text
        assert status in (None, response.status_code)
        return response.json()

    def start(self, **body: Any) -> str:
        options = {"split_id": self.split["split_id"], "model_version": self.model, "warmup_seconds": 0} | body
        return str(self.ok(self.http.post("/v1/runs", json=options), 201)["run_id"])

    def run(self, run_id: str, attempt: int | None = None) -> Any:
        return self.ok(self.http.get(f"/v1/runs/{run_id}", params={} if attempt is None else {"attempt": attempt}))

    def order(self, run_id: str, verb: str, **body: Any) -> Any:
        return self.ok(self.http.post(f"/v1/runs/{run_id}/{verb}", json=body))

    def paused_in_the_middle(self, **body: Any) -> tuple[str, int]:
        """A run that was paused after some rows and well before its end, and how many the pause's answer counts: its
        first ones, on all lanes alike. A busy machine may take several tries: the rows last a second, and a pause may
        come between what goes to two lanes."""
        for _ in range(20):
            run_id = self.start(**body)
            self.counted(run_id, 1)
            answer = self.http.post(f"/v1/runs/{run_id}/pause")
            if answer.is_success and answer.json()["status"] == "PAUSED":
                rows = int(answer.json()["statistics"]["total_predictions"])
                shown = self.first_rows(run_id)  # up to where the slowest lane is
                if 0 < rows < self.total - 200 and rows - len(shown) < body.get("lanes", 1):
                    assert shown == list(range(len(shown)))
                    return run_id, rows
            self.http.post(f"/v1/runs/{run_id}/stop")
        raise AssertionError("no run was paused in its middle")

    def first_rows(self, run_id: str) -> list[int]:
        """The indices of the run's first thousand answers that no lane holds back."""
        return [
            row["row_index"]
            for row in self.ok(self.http.get(f"/v1/runs/{run_id}/predictions", params={"limit": 1000}))["items"]
        ]

    def counted(self, run_id: str, rows: int) -> Any:
        return eventually_sync(lambda: self.run(run_id)["statistics"]["total_predictions"] >= rows, timeout_seconds=30)

    def ended(self, run_id: str) -> Any:
        return eventually_sync(
            lambda: found if (found := self.run(run_id))["status"] in DONE else None, timeout_seconds=60
        )

    def expected(self, model: str, *, rows: int | None = None, without: Collection[int] = ()) -> Recount:
        return recount(Storage(self.stack.storage_url), model, self.simulation, rows=rows, without=without)

    def predictions(self, run_id: str, attempt: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after, complete = -1, False
        while not complete:
            page = self.ok(
                self.http.get(
                    f"/v1/runs/{run_id}/predictions", params={"after": after, "limit": 1000, "attempt": attempt}
                )
            )
            found += page["items"]
            after, complete = page["next_after"], page["complete"]
        return found


@pytest.fixture(scope="module")
def game(stack: Stack, secom_csv: Path) -> Iterator[Game]:
    with httpx.Client(
        base_url=stack.gateway_url, headers={"X-Workspace": f"play-{uuid4().hex[:8]}"}, timeout=150
    ) as http:
        yield Game(stack, http, secom_csv)


def assert_equal(run: Any, found: list[dict[str, Any]], wanted: Recount) -> None:
    """The statistics and the answers of a run are those of the recount."""
    stats, truth = run["statistics"], run["statistics"]["truth"]
    assert (stats["total_predictions"], stats["pass_count"], stats["fail_count"]) == (
        wanted.total,
        wanted.pass_count,
        wanted.fail_count,
    )
    assert stats["average_confidence"] == pytest.approx(wanted.average_confidence, abs=1e-9, rel=0)
    matrix = [truth[name] for name in ("true_positives", "false_positives", "true_negatives", "false_negatives")]
    assert matrix == [wanted.true_positives, wanted.false_positives, wanted.true_negatives, wanted.false_negatives]
    assert [(row["sample_id"], row["prediction"], row["probability_fail"], row["label"]) for row in found] == [
        (row.sample_id, row.prediction, row.probability_fail, row.label) for row in wanted.answers
    ]


@pytest.mark.timeout(300)
def test_run_pause_step_seek_resume_retry_and_every_attempt_stays_right(game: Game) -> None:
    run_id, rows = game.paused_in_the_middle(rows_per_second=1000, lanes=2)
    assert game.order(run_id, "step", rows=3)["statistics"]["total_predictions"] == rows + 3  # nothing came in between
    rows += 3
    ahead = game.order(run_id, "seek", row_index=rows + 50)
    assert (ahead["status"], ahead["attempt"], ahead["statistics"]["passed_over"]) == ("PAUSED", 1, 50)
    assert game.order(run_id, "step")["statistics"]["total_predictions"] == rows + 1
    last = game.total - 1
    refused = game.http.post(f"/v1/runs/{run_id}/seek", json={"row_index": game.total})
    assert (refused.status_code, refused.json()["code"]) == (409, "past_the_end")
    assert f"PAUSED and has {game.total} rows: the last one is {last}" in refused.json()["detail"]
    back = game.order(run_id, "seek", row_index=10)
    assert (back["status"], back["attempt"]) == ("PAUSED", 2)
    game.order(run_id, "speed", rows_per_second=None)
    assert game.order(run_id, "resume")["status"] != "PAUSED"
    second = game.ended(run_id)
    assert (second["status"], second["attempt"], second["statistics"]["passed_over"]) == ("COMPLETED", 2, 10)
    for verb in ("pause", "resume", "seek", "step"):
        refused = game.http.post(f"/v1/runs/{run_id}/{verb}", json={"row_index": 1} if verb == "seek" else None)
        assert (refused.status_code, refused.json()["code"]) == (409, "wrong_state")
        assert "The run is COMPLETED" in refused.json()["detail"]
    assert game.order(run_id, "retry")["rows_per_second"] is None  # as `speed` left it
    third = game.ended(run_id)
    assert (third["status"], third["attempt"]) == ("COMPLETED", 3)
    listed = game.ok(game.http.get(f"/v1/runs/{run_id}/attempts"))["items"]
    assert [(one["attempt"], one["status"]) for one in listed] == [(3, "COMPLETED"), (2, "COMPLETED"), (1, "STOPPED")]
    skipped = range(rows, rows + 50)
    wanted = game.expected(game.model, rows=rows + 51, without=skipped)
    assert_equal(game.run(run_id, 1), game.predictions(run_id, 1), wanted)
    assert_equal(second, game.predictions(run_id, 2), game.expected(game.model, without=range(10)))
    assert_equal(third, game.predictions(run_id, 3), game.expected(game.model))
    assert [one["statistics"] for one in listed] == [game.run(run_id, attempt)["statistics"] for attempt in (3, 2, 1)]


@pytest.mark.timeout(300)
def test_replays_with_another_model_beside_a_live_run_and_over_a_killed_producer_are_exact_and_compared(
    stack: Stack, game: Game
) -> None:
    original = game.start(rows_per_second=None, lanes=3)
    live = game.start(rows_per_second=50)
    game.ended(original)
    made = game.ok(
        game.http.post(f"/v1/runs/{original}/replay", json={"model_version": game.other, "rows_per_second": 400}), 201
    )
    replayed = made["run_id"]
    assert (made["source"]["kind"], made["source"]["run_id"], made["total_rows"]) == ("topic", original, None)
    game.counted(replayed, 50)
    stack.process("producer").kill()
    stack.process("producer").wait_until_ready()
    first, second = game.run(original), game.ended(replayed)
    assert (second["status"], second["total_rows"], second["source"]["unreplayable"]) == ("COMPLETED", game.total, 0)
    before, after = game.expected(game.model), game.expected(game.other)
    assert_equal(first, game.predictions(original, 1), before)
    assert_equal(second, game.predictions(replayed, 1), after)
    stopped = game.order(live, "stop")
    game.ended(live)
    live_rows = game.run(live)["statistics"]["total_predictions"]
    assert (stopped["status"], stopped["attempt"]) == ("STOPPED", 1)
    assert_equal(game.run(live), game.predictions(live, 1), game.expected(game.model, rows=live_rows))

    flips = [(a, b) for a, b in zip(before.answers, after.answers, strict=True) if a.prediction != b.prediction]
    found, cursor = [], None
    while True:
        params = {"limit": 7} | ({"cursor": cursor} if cursor else {})
        diff = game.ok(game.http.get(f"/v1/runs/{original}/diff/{replayed}", params=params))
        found += [
            (row["row_index_a"], row["prediction_a"], row["prediction_b"], row["probability_fail_b"])
            for row in diff["items"]
        ]
        cursor = diff["next_cursor"]
        if cursor is None:
            break
    assert found == [(a.row_index, a.prediction, b.prediction, b.probability_fail) for a, b in flips]
    assert (diff["counts"]["common"], diff["counts"]["same"]) == (game.total, game.total - len(flips))
    assert diff["metrics"]["false_positives"] == {
        "a": before.false_positives,
        "b": after.false_positives,
        "difference": after.false_positives - before.false_positives,
    }
    same_split = game.ok(game.http.get(f"/v1/runs/{original}/diff/{live}"))
    assert (same_split["joined_by"], same_split["counts"]["same"], same_split["counts"]["only_in_a"]) == (
        "row_index",
        live_rows,
        game.total - live_rows,
    )

    answer = game.http.get(f"/v1/runs/{replayed}/export")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        lines = [json.loads(line) for line in archive.read("predictions.jsonl").splitlines()]
        assert_equal(second, lines, after)
        table = [*csv.DictReader(io.StringIO(archive.read("predictions.csv").decode(), newline=""))]
        assert [float(row["probability_fail"]) for row in table] == [row.probability_fail for row in after.answers]
        manifest = json.loads(archive.read("manifest.json"))
    assert (manifest["rows"], manifest["model"]["model_version"]) == (game.total, game.other)
    assert manifest["run"] == second


@pytest.mark.timeout(300)
async def test_rows_of_another_system_are_replayed_and_what_is_no_row_is_told(stack: Stack, game: Game) -> None:
    key = f"line-{uuid4().hex[:8]}"
    features = recorded_features(game)
    async with AIOKafkaProducer(bootstrap_servers=stack.bootstrap) as producer:
        for number in range(EXTERNAL_ROWS):
            value = {"features": features[number], "model_version": game.model} | (
                {"sample_id": f"own-{number}"} if number % 2 else {}
            )
            await producer.send_and_wait(INGRESS.name, json.dumps(value).encode(), key=key.encode())
        await producer.send_and_wait(INGRESS.name, b"{no row", key=key.encode())
    run_id = f"ext-{key}"
    eventually_sync(lambda: handled(game, run_id) == EXTERNAL_ROWS + 1, timeout_seconds=30)
    made = game.ok(game.http.post(f"/v1/runs/{run_id}/replay", json={"rows_per_second": None, "lanes": 3}), 201)
    done = game.ended(made["run_id"])
    assert (done["status"], done["total_rows"], done["source"]["unreplayable"]) == ("COMPLETED", EXTERNAL_ROWS, 1)
    diff = game.ok(game.http.get(f"/v1/runs/{run_id}/diff/{made['run_id']}"))
    assert (diff["joined_by"], diff["counts"]["same"], diff["scores"]["largest"]) == ("sample_id", EXTERNAL_ROWS, 0.0)
    refused = game.http.post(f"/v1/runs/{run_id}/pause")
    assert (refused.status_code, refused.json()["code"]) == (409, "external_run")


def handled(game: Game, run_id: str) -> int:
    answer = game.http.get(f"/v1/runs/{run_id}")
    return (
        answer.json()["statistics"]["total_predictions"] + answer.json()["statistics"]["dead_letters"]
        if answer.is_success
        else 0
    )


def recorded_features(game: Game) -> list[dict[str, float | None]]:
    storage = Storage(game.stack.storage_url)
    manifest = json.loads(storage.read_bytes(f"models/{game.model}/manifest.json"))
    frame = polars.read_parquet(storage.local(game.simulation), columns=manifest["features"], n_rows=EXTERNAL_ROWS)
    return [{name: None if value != value else value for name, value in row.items()} for row in frame.to_dicts()]
