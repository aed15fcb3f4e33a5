"""POST /dataset/store: every accepted and every refused form of a CSV (docs/design/contract.md)."""

import gzip
import re
from pathlib import Path

import httpx
import pytest

from tests.support.contract_help import finished, ok, problems, store, table

LATIN = "Id,Größe,Response\n1,1.5,0\n2,2.5,1\n3,3.5,0\n"
ROWS = "1,1.5,0\n2,2.5,1\n3,,0\n"


def test_answer_of_an_upload(http: httpx.Client) -> None:
    answer = ok(store(http, table()), 202)
    assert answer["message"] == "Task accepted. Feature selection is running in the background."
    assert re.fullmatch(r"ds-[0-9a-f]{12}", answer["dataset_id"])
    assert answer["task_id"] == answer["dataset_id"].replace("ds-", "task-")
    assert Path(answer["dataset_path"]).is_file()


def test_feature_selection_is_a_task_like_any_other(http: httpx.Client) -> None:
    task_id = ok(store(http, table()), 202)["task_id"]
    status = finished(http, f"/process/task/status/{task_id}")
    assert {"task_id", "status", "progress", "result"} <= set(status)
    assert (status["task_id"], status["status"], status["kind"]) == (task_id, "COMPLETED", "feature_selection")


@pytest.mark.parametrize(
    ("content", "name", "rows"),
    [
        pytest.param(("Id,S1,Response\n" + ROWS).encode("utf-8-sig"), "bom.csv", 3, id="BOM"),
        pytest.param(("Id,S1,Response\n" + ROWS).replace("\n", "\r\n").encode(), "crlf.csv", 3, id="CRLF"),
        pytest.param(b'Id,"S,1",Response\n1,"1.5",0\n2,"2.5",1\n', "quoted.csv", 2, id="quoted"),
        pytest.param(("Id;S1;Response\n" + ROWS.replace(",", ";")).encode(), "semicolon.csv", 3, id="semicolon"),
        pytest.param(("Id\tS1\tResponse\n" + ROWS.replace(",", "\t")).encode(), "tab.csv", 3, id="tab"),
        pytest.param(b"Id;S1;Response\n1;1,5;0\n2;2,5;1\n", "comma.csv", 2, id="decimal comma"),
        pytest.param(gzip.compress(("Id,S1,Response\n" + ROWS).encode()), "rows.csv.gz", 3, id="gzip"),
        pytest.param(LATIN.encode("latin-1"), "latin.csv", 3, id="Latin-1"),
        pytest.param(LATIN.encode(), "UTF8.CSV", 3, id="UTF-8, capital suffix"),
    ],
)
def test_accepted_forms(http: httpx.Client, content: bytes, name: str, rows: int) -> None:
    dataset_id = ok(store(http, content, name), 202)["dataset_id"]
    dataset = ok(http.get(f"/v1/datasets/{dataset_id}"))
    assert dataset["row_count"] == rows
    assert [column["type"] for column in dataset["columns"]][1] == "numeric"


@pytest.mark.parametrize(
    ("content", "name", "message", "kind"),
    [
        pytest.param(
            table(5), "rows.xlsx", "Invalid file type. Please upload a CSV file.", "value_error.filetype", id="name"
        ),
        pytest.param(
            b"PK\x03\x04\x00\x00\x00\x00",
            "rows.csv",
            "Invalid file type. Please upload a CSV file.",
            "value_error.filetype",
            id="zip",
        ),
        pytest.param(b"", "rows.csv", "CSV is empty.", "value_error.csv_empty", id="empty"),
        pytest.param(b"Id,S1,Response\n", "rows.csv", "header", "value_error.csv_header_only", id="header only"),
        pytest.param(
            b"Id,S1,S1,Response\n1,2,3,0\n2,3,4,1\n",
            "rows.csv",
            "'S1'",
            "value_error.columns_duplicate",
            id="duplicate names",
        ),
        pytest.param(b"Id,,Response\n1,2,0\n2,3,1\n", "rows.csv", "2", "value_error.columns_blank", id="blank name"),
        pytest.param(
            b"Id,S1\n1,2\n2,3\n",
            "rows.csv",
            "CSV must contain a 'Response' column.",
            "value_error.label_missing",
            id="no label",
        ),
        pytest.param(b"Id,S1,Response\n1,2,0\n1,2,3,1\n", "rows.csv", "3", "value_error.ragged_rows", id="ragged"),
        pytest.param(b"Id,S1,Response\n1,2,0\n2,3,0\n", "rows.csv", "'0'", "value_error.label_values", id="one label"),
        pytest.param(
            b"Id,S1,Response\n1,2,a\n2,3,b\n3,4,c\n", "rows.csv", "'c'", "value_error.label_values", id="three labels"
        ),
    ],
)
def test_refused_forms(http: httpx.Client, content: bytes, name: str, message: str, kind: str) -> None:
    (problem,) = ok(store(http, content, name), 422)["detail"]
    assert problem["loc"][0] == "body"
    assert problem["type"] == kind
    assert message in problem["msg"]
    assert ok(http.get("/v1/datasets"))["items"] == []


def test_several_problems_come_in_one_answer(http: httpx.Client) -> None:
    found = problems(store(http, b"Id,S1,S1,\n1,2,3,0\n1,2\n"))
    assert {"value_error.columns_duplicate", "value_error.columns_blank", "value_error.ragged_rows"} <= {
        kind for _, kind in found
    }


def test_no_file(http: httpx.Client) -> None:
    assert problems(http.post("/dataset/store", files={"other": ("a.csv", b"x")})) == [("file", "missing")]
    assert problems(http.post("/dataset/store", json={})) == [("content-type", "value_error.content_type")]
    assert problems(http.post("/dataset/store")) == [("content-type", "value_error.content_type")]


def test_settings_are_detected_with_a_reason_or_given(http: httpx.Client) -> None:
    content = (
        b"Id,serial,when,S1,Response,grade\n1,a,2020-05-01 10:00:00,1.5,0,good\n2,b,2020-05-01 11:00:00,2.5,1,bad\n"
    )
    detected = ok(http.get("/v1/datasets/" + ok(store(http, content), 202)["dataset_id"]))
    assert (detected["label"]["value"], detected["label"]["detected"]) == ("Response", True)
    assert detected["labels"] == {"pass_value": "0", "fail_value": "1", "pass_count": 1, "fail_count": 1}
    assert (detected["time"]["column"], detected["time"]["synthetic"]) == ("when", False)
    assert detected["first_timestamp"] == "2020-05-01T10:00:00Z"
    given_fields = {"label": "grade", "pass_value": "bad", "id_column": "serial", "time_column": "when"}
    given = ok(http.get("/v1/datasets/" + ok(store(http, content, **given_fields), 202)["dataset_id"]))
    assert (given["label"]["value"], given["labels"]["pass_value"], given["id_column"]["value"]) == (
        "grade",
        "bad",
        "serial",
    )
    assert all(choice["reason"] for choice in (detected["label"], detected["id_column"], given["label"]))


def test_synthetic_time_starts_and_steps_as_given(http: httpx.Client) -> None:
    fields = {"synthetic_start": "2024-02-29", "synthetic_step_seconds": "0.5"}
    dataset = ok(http.get("/v1/datasets/" + ok(store(http, table(5), **fields), 202)["dataset_id"]))
    assert (dataset["first_timestamp"], dataset["last_timestamp"]) == ("2024-02-29T00:00:00Z", "2024-02-29T00:00:02Z")
    assert dataset["time"]["synthetic"] is True


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"synthetic_start": "soon"}, ["synthetic_start"]),
        ({"synthetic_step_seconds": "-1", "synthetic_start": "x"}, ["synthetic_start", "synthetic_step_seconds"]),
        ({"synthetic_step_seconds": "nan"}, ["synthetic_step_seconds"]),
        ({"label": "nowhere"}, ["label"]),
        ({"pass_value": "7"}, ["pass_value"]),
        ({"id_column": "nowhere", "time_column": "neither"}, ["id_column", "time_column"]),
        ({"label": "S1", "id_column": "S1"}, ["label"]),
    ],
)
def test_wrong_settings_are_named(http: httpx.Client, fields: dict[str, str], at: list[str]) -> None:
    assert [field for field, _ in problems(store(http, table(5), **fields))] == at


def test_same_file_twice_is_two_datasets_and_one_content(http: httpx.Client) -> None:
    first, second = (ok(store(http, table(7)), 202) for _ in range(2))
    assert first["dataset_id"] != second["dataset_id"]
    assert first["dataset_path"] == second["dataset_path"]
    assert [item["dataset_id"] for item in ok(http.get("/v1/datasets"))["items"]] == [
        second["dataset_id"],
        first["dataset_id"],
    ]


def test_secom_as_it_is(http: httpx.Client, secom_csv: Path) -> None:
    dataset = ok(http.get("/v1/datasets/" + ok(store(http, secom_csv.read_bytes(), "secom.csv"), 202)["dataset_id"]))
    assert len(dataset["features"]) + sum(column["type"] == "empty" for column in dataset["columns"]) == 590
    assert dataset["labels"]["pass_value"] == "-1"
    assert dataset["time"]["synthetic"] is False


@pytest.mark.parametrize("workspace", ["", "a b", "../x", "x" * 65, "ü".encode().decode("latin-1")])
def test_ill_formed_workspace_is_refused(http: httpx.Client, workspace: str) -> None:
    answer = http.get("/v1/datasets", headers={b"X-Workspace": workspace.encode("latin-1")})
    assert [field.lower() for field, _ in problems(answer)] == ["x-workspace"]
