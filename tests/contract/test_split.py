"""POST /process/split-data (docs/design/contract.md): every answer and every refusal."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.contract_help import DATES, DAYS, ok, prepared, problems, split_body, store, table


def test_answer_of_a_split(http: httpx.Client) -> None:
    answer = prepared(http)
    assert answer["message"] == "Dataset successfully split and saved."
    assert (answer["train_set_rows"], answer["test_set_rows"], answer["simulation_set_rows"]) == (300, 100, 100)
    assert all(Path(answer[f"{name}_set_path"]).is_file() for name in ("train", "test", "simulation"))
    assert answer["daily_distribution"] == {"2021-01-01": 500}
    assert sum(answer["failures"].values()) == table().count(b",1\n")
    assert answer["split_id"].startswith("split-")


def test_bare_dates_mean_whole_days(uploaded: httpx.Client) -> None:
    answer = ok(uploaded.post("/process/split-data", json=split_body(DAYS)))
    assert (answer["train_set_rows"], answer["test_set_rows"], answer["simulation_set_rows"]) == (300, 100, 100)
    assert set(answer["daily_distribution"].values()) == {50}


def test_counts_before_a_split_are_those_of_the_split_and_every_problem_is_named(uploaded: httpx.Client) -> None:
    dataset_id = ok(uploaded.get("/v1/datasets"))["items"][0]["dataset_id"]
    names = ("train", "test", "simulation")
    body = {name: {"start": DAYS[2 * i], "end": DAYS[2 * i + 1]} for i, name in enumerate(names)}
    counted = ok(uploaded.post(f"/v1/datasets/{dataset_id}/count-split", json=body))
    made = ok(uploaded.post("/v1/splits", json=body | {"dataset_id": dataset_id}), 201)
    for name in names:
        assert counted[name] == {"rows": made[name]["rows"], "failures": made[name]["failures"]}
    assert (counted["outside"], counted["problems"]) == (0, [])
    wrong = body | {
        "train": {"start": "soon", "end": DAYS[1]},
        "simulation": {"start": "2021-01-10", "end": "2021-01-20"},
    }
    counted = ok(uploaded.post(f"/v1/datasets/{dataset_id}/count-split", json=wrong))
    assert counted["train"] is None
    assert counted["simulation"]["rows"] == 50
    assert counted["outside"] == 350
    assert [one["loc"][1:] for one in counted["problems"]] == [["train", "start"], ["simulation", "end"]]


def test_offsets_are_respected(uploaded: httpx.Client) -> None:
    body = split_body(DAYS, train_start_date="2021-01-01T02:00:00+02:00", train_end_date="2021-01-02 00:00:00")
    assert ok(uploaded.post("/process/split-data", json=body))["train_set_rows"] == 51


def test_a_sample_is_stratified_and_seeded(uploaded: httpx.Client) -> None:
    first, again, other = (
        ok(uploaded.post("/process/split-data", json=split_body(DAYS, sample_fraction=0.5, seed=seed)))
        for seed in (1, 1, 2)
    )
    assert abs(first["train_set_rows"] - 150) <= 1
    assert first["failures"] == again["failures"]
    assert Path(first["train_set_path"]).read_bytes() == Path(again["train_set_path"]).read_bytes()
    assert Path(first["train_set_path"]).read_bytes() != Path(other["train_set_path"]).read_bytes()


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"train_start_date": "yesterday"}, [("train_start_date", "value_error.date")]),
        ({"train_start_date": "2021-02-30"}, [("train_start_date", "value_error.date")]),
        ({"train_end_date": None}, [("train_end_date", "value_error.date")]),
        ({"test_start_date": 5}, [("test_start_date", "value_error.date")]),
        (
            {"train_start_date": "2021-01-05", "train_end_date": "2021-01-04"},
            [("train_end_date", "value_error.date.ordering")],
        ),
        ({"test_start_date": "2021-01-06"}, [("test_start_date", "value_error.date.overlap")]),
        ({"simulation_start_date": "2021-01-02"}, [("simulation_start_date", "value_error.date.overlap")]),
        ({"train_start_date": "2020-12-31T23:59:59Z"}, [("train_start_date", "value_error.date.bounds")]),
        ({"simulation_end_date": "2021-01-11"}, [("simulation_end_date", "value_error.date.bounds")]),
        (
            {"test_start_date": "2021-01-07T00:00:01Z", "test_end_date": "2021-01-07T00:00:02Z"},
            [("test_start_date", "value_error.set_empty")],
        ),
        ({"sample_fraction": 0}, [("sample_fraction", "greater_than")]),
        ({"dataset_id": "ds-nowhere"}, [("dataset_id", "value_error.dataset_id")]),
        (
            {
                "train_start_date": "2019-01-01",
                "train_end_date": "x",
                "test_end_date": "2021-01-05",
                "simulation_start_date": None,
            },
            [
                ("train_end_date", "value_error.date"),
                ("simulation_start_date", "value_error.date"),
                ("test_end_date", "value_error.date.ordering"),
                ("train_start_date", "value_error.date.bounds"),
            ],
        ),
    ],
)
def test_refusals(uploaded: httpx.Client, changed: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    assert problems(uploaded.post("/process/split-data", json=split_body(DAYS, **changed))) == wanted


def test_order_is_said_in_words(uploaded: httpx.Client) -> None:
    body = split_body(DAYS, train_start_date="2021-01-05", train_end_date="2021-01-04")
    (problem,) = ok(uploaded.post("/process/split-data", json=body), 422)["detail"]
    assert problem == {
        "loc": ["body", "train_end_date"],
        "msg": "Train end date cannot be before train start date.",
        "type": "value_error.date.ordering",
    }


def test_bounds_name_the_first_and_the_last_time(uploaded: httpx.Client) -> None:
    (problem,) = ok(uploaded.post("/process/split-data", json=split_body(DAYS, simulation_end_date="2022-01-01")), 422)[
        "detail"
    ]
    assert "2021-01-01T00:00:00Z" in problem["msg"]
    assert "2021-01-10T23:31:12Z" in problem["msg"]


def test_training_set_with_one_class(http: httpx.Client) -> None:
    rows = b"".join(b"%d,%d,%d\n" % (number, number, number > 300) for number in range(1, 501))
    ok(store(http, b"Id,S1,Response\n" + rows), 202)
    assert problems(http.post("/process/split-data", json=split_body())) == [
        ("train_start_date", "value_error.train_one_class")
    ]


def test_all_fields_are_required(uploaded: httpx.Client) -> None:
    assert [field for field, _ in problems(uploaded.post("/process/split-data", json={}))] == list(DATES)


def test_without_a_dataset_dates_are_checked_then_409(http: httpx.Client) -> None:
    assert problems(http.post("/process/split-data", json=split_body(train_end_date="x"))) == [
        ("train_end_date", "value_error.date")
    ]
    assert ok(http.post("/process/split-data", json=split_body()), 409)["code"] == "no_dataset"


def test_an_older_dataset_can_be_split_by_its_id(http: httpx.Client) -> None:
    older = ok(store(http, table()), 202)["dataset_id"]
    ok(store(http, table(3)), 202)
    assert ok(http.post("/process/split-data", json=split_body(dataset_id=older)))["dataset_id"] == older
