"""`/v1` for datasets, splits, trainings and models: every object by id, lists by cursor."""

import random
from typing import Any

import httpx
import pytest

from tests.support.contract_help import DAYS, finished, ok, prepared, problems, split_body, store, table
from tests.support.waiting import eventually_sync


def v1_split(dates: tuple[str, ...] = DAYS, **more: Any) -> dict[str, Any]:
    sets = {
        name: {"start": dates[2 * i], "end": dates[2 * i + 1]} for i, name in enumerate(("train", "test", "simulation"))
    }
    return sets | more


def test_a_dataset_is_created_read_and_listed(http: httpx.Client) -> None:
    created = ok(store(http, table(), path="/v1/datasets"), 201)
    dataset_id = created["dataset_id"]
    assert ok(http.get(f"/v1/datasets/{dataset_id}")) == created
    (item,) = ok(http.get("/v1/datasets"))["items"]
    assert (item["dataset_id"], item["row_count"], item["feature_count"], item["label"]) == (
        dataset_id,
        500,
        4,
        "Response",
    )
    columns = ok(http.get(f"/v1/datasets/{dataset_id}/columns"))["columns"]
    assert [column["name"] for column in columns] == ["Id", "S1", "S2", "S3", "S4", "Response"]


def test_preview_starts_where_asked(uploaded: httpx.Client) -> None:
    (item,) = ok(uploaded.get("/v1/datasets"))["items"]
    preview = ok(uploaded.get(f"/v1/datasets/{item['dataset_id']}/preview", params={"offset": 1, "limit": 2}))
    assert preview["columns"] == ["synthetic_timestamp", "Id", "S1", "S2", "S3", "S4", "Response"]
    assert [row[1] for row in preview["rows"]] == ["2", "3"]
    beyond = ok(uploaded.get(f"/v1/datasets/{item['dataset_id']}/preview", params={"offset": 10_000, "limit": 2}))
    assert beyond["rows"] == []


def test_a_suggested_split_can_be_posted_as_it_is(uploaded: httpx.Client) -> None:
    (item,) = ok(uploaded.get("/v1/datasets"))["items"]
    suggested = ok(uploaded.post(f"/v1/datasets/{item['dataset_id']}/suggest-split"))
    made = ok(uploaded.post("/v1/splits", json=suggested), 201)
    assert [made[name]["rows"] for name in ("train", "test", "simulation")] == [300, 100, 100]
    assert ok(uploaded.get(f"/v1/splits/{made['split_id']}")) == made
    assert made["split_id"] in [
        one["split_id"] for one in ok(uploaded.get("/v1/splits", params={"dataset_id": item["dataset_id"]}))["items"]
    ]


def test_what_is_wrong_with_a_split_is_named_where_it_stands(uploaded: httpx.Client) -> None:
    body = v1_split()
    body["test"] = {"start": "2021-01-06"}
    detail = ok(uploaded.post("/v1/splits", json=body), 422)["detail"]
    assert [one["loc"] for one in detail] == [["body", "test", "end"], ["body", "test", "start"]]
    assert problems(uploaded.post("/v1/splits", json=v1_split(nonsense=1))) == [("nonsense", "extra_forbidden")]


def test_lists_go_on_at_their_cursor(http: httpx.Client) -> None:
    made = [ok(store(http, table(3), path="/v1/datasets"), 201)["dataset_id"] for _ in range(3)]
    found, cursor = [], None
    while True:
        page = ok(http.get("/v1/datasets", params={"limit": 2} | ({"cursor": cursor} if cursor else {})))
        found += [item["dataset_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert found == made[::-1]


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/splits", "/v1/trainings", "/v1/models"])
def test_nonsense_cursors_and_limits_are_refused(uploaded: httpx.Client, path: str) -> None:
    for cursor in ("x", "-1", "ü", "\x00"):
        assert problems(uploaded.get(path, params={"cursor": cursor}))[0][0] == "cursor"
    for limit in ("0", "501", "x", "1e3"):
        assert problems(uploaded.get(path, params={"limit": limit}))[0][0] == "limit"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v1/datasets/{}", "dataset_not_found"),
        ("GET", "/v1/datasets/{}/columns", "dataset_not_found"),
        ("GET", "/v1/datasets/{}/preview", "dataset_not_found"),
        ("POST", "/v1/datasets/{}/suggest-split", "dataset_not_found"),
        ("GET", "/v1/splits/{}", "split_not_found"),
        ("GET", "/v1/trainings/{}", "training_not_found"),
        ("POST", "/v1/trainings/{}/cancel", "training_not_found"),
        ("GET", "/v1/trainings/{}/logs", "training_not_found"),
        ("GET", "/v1/models/{}", "model_not_found"),
        ("GET", "/v1/models/{}/curves.png", "model_not_found"),
        ("GET", "/v1/models/{}/curves.json", "model_not_found"),
    ],
)
def test_unknown_ids_are_404(uploaded: httpx.Client, method: str, path: str, code: str) -> None:
    for identity in ("nonsense", "ds-000000000000", "00000000-0000-4000-8000-000000000000", "%00", "%ff", "x" * 3000):
        assert ok(uploaded.request(method, path.format(identity)), 404)["code"] == code


def test_a_training_gives_a_model_that_can_be_champion(http: httpx.Client) -> None:
    prepared(http)
    created = ok(http.post("/v1/trainings", json={"parameters": {"n_estimators": 10}, "seed": 7}), 202)
    assert (created["status"], created["spec"]["parameters"], created["spec"]["seed"]) == (
        "PENDING",
        {"n_estimators": 10},
        7,
    )
    training = finished(http, f"/v1/trainings/{created['task_id']}")
    assert [one["task_id"] for one in ok(http.get("/v1/trainings"))["items"]] == [created["task_id"]]
    logs = ok(http.get(f"/v1/trainings/{created['task_id']}/logs"))
    assert logs["items"]
    assert (
        ok(http.get(f"/v1/trainings/{created['task_id']}/logs", params={"after": logs["next_cursor"]}))["items"] == []
    )

    version = training["result"]["model_version"]
    assert ok(http.get("/v1/models/champion"), 404)["code"] == "champion_not_found"
    (model,) = ok(http.get("/v1/models"))["items"]
    assert (model["model_version"], model["aliases"]) == (version, ["latest"])
    assert ok(http.put("/v1/models/champion", json={"model_version": version}))["model_version"] == version
    assert ok(http.get("/v1/models/champion"))["model_version"] == version
    assert ok(http.get(f"/v1/models/{version}"))["aliases"] == ["champion", "latest"]
    assert http.get(f"/v1/models/{version}/curves.png").content.startswith(b"\x89PNG")
    assert ok(http.get(f"/v1/models/{version}/curves.json"))
    assert problems(http.put("/v1/models/champion", json={"model_version": "nonsense"})) == [
        ("model_version", "value_error.model_version")
    ]
    assert problems(http.put("/v1/models/champion", json={})) == [("model_version", "missing")]


def test_a_model_in_doubt_says_so_everywhere_and_is_champion_only_when_forced(http: httpx.Client) -> None:
    chance = random.Random(11)
    lines = [
        f"{number},{chance.gauss(0, 1):.3f},{chance.gauss(0, 1):.3f},{int(chance.random() < 0.1)}"
        for number in range(500)
    ]
    ok(store(http, ("\n".join(["Id,S1,S2,Response", *lines]) + "\n").encode()), 202)
    ok(http.post("/process/split-data", json=split_body()))
    task = ok(http.post("/process/train/start"))["task_id"]
    result = finished(http, f"/process/train/status/{task}")["result"]
    assert "every row PASS" in result["doubt"]
    assert result["doubt"] in result["warnings"]
    assert result["metrics"]["baseline"]["mcc"] == 0
    assert set(result["metrics"]["intervals"]) == {"mcc", "recall", "precision", "pr_auc"}
    (model,) = ok(http.get("/v1/models"))["items"]
    version = result["model_version"]
    assert model["doubt"] == ok(http.get(f"/v1/models/{version}"))["doubt"] == result["doubt"]
    refused = ok(http.put("/v1/models/champion", json={"model_version": version}), 409)
    assert refused["code"] == "model_in_doubt"
    assert result["doubt"] in refused["detail"]
    assert "force" in refused["detail"]
    assert ok(http.get("/v1/models/champion"), 404)["code"] == "champion_not_found"
    assert (
        ok(http.put("/v1/models/champion", json={"model_version": version, "force": True}))["model_version"] == version
    )


def test_texts_are_features_and_a_run_of_them_is_scored(http: httpx.Client) -> None:
    chance = random.Random(3)
    lines = []
    for number in range(1, 501):
        city, hot = chance.choice(["LA", "NYC", "Ürümqi", ""]), chance.choice(["True", "False"])
        late = "Oslo" if number % 50 == 0 else city
        failed = int((city == "LA" and hot == "True") != (chance.random() < 0.03))
        lines.append(f"{number},{late},{hot},{chance.gauss(0, 1):.3f},{failed}")
    content = ("\n".join(["Id,city,hot,S1,Response", *lines]) + "\n").encode()
    dataset = ok(store(http, content, path="/v1/datasets"), 201)
    assert dataset["features"] == ["city", "hot", "S1"]
    ok(http.post("/process/split-data", json=split_body()))
    task = ok(http.post("/process/train/start"))["task_id"]
    result = finished(http, f"/process/train/status/{task}")["result"]
    assert result["metrics"]["mcc"] > 0.6
    run = ok(http.post("/v1/runs", json={"rows_per_second": None, "warmup_seconds": 0}), 201)
    ended = finished(http, f"/v1/runs/{run['run_id']}")
    assert (ended["status"], ended["statistics"]["dead_letters"], ended["statistics"]["total_predictions"]) == (
        "COMPLETED",
        0,
        100,
    )
    last = ok(http.get(f"/v1/runs/{run['run_id']}/predictions", params={"limit": 1}))["items"][0]
    assert isinstance(last["top_feature_values"]["hot"], str)


def test_a_cancelled_training_is_stopped(http: httpx.Client) -> None:
    prepared(http)
    body = {"parameters": {"n_estimators": 5000, "learning_rate": 0.001, "early_stopping_rounds": 5000}}
    task_id = ok(http.post("/v1/trainings", json=body), 202)["task_id"]
    eventually_sync(lambda: ok(http.get(f"/v1/trainings/{task_id}"))["status"] == "IN_PROGRESS")
    ok(http.post(f"/v1/trainings/{task_id}/cancel"), 202)
    assert finished(http, f"/v1/trainings/{task_id}")["status"] == "STOPPED"
    ok(http.post(f"/v1/trainings/{task_id}/cancel"), 202)
    assert ok(http.get(f"/v1/trainings/{task_id}"))["status"] == "STOPPED"


def test_workspaces_do_not_see_each_other(http: httpx.Client, uploaded: httpx.Client) -> None:
    assert ok(http.get("/v1/datasets"))["items"] == []
    (item,) = ok(uploaded.get("/v1/datasets"))["items"]
    assert ok(http.get(f"/v1/datasets/{item['dataset_id']}"))["workspace"] == item["workspace"]
