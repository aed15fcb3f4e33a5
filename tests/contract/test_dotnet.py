"""The .NET routes (docs/design/contract.md), word for word. Simulation is in its own module."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.conftest import client
from tests.support.contract_help import DAYS, DOTNET_DATES, SECONDS, finished, ok, store, table
from tests.support.stack import Stack

UPLOAD = "/api/Dataset/upload"
VALIDATE = "/api/Dataset/validate-ranges"


def ranges(dates: tuple[str, ...] = SECONDS, **changed: Any) -> dict[str, Any]:
    return dict(zip(DOTNET_DATES, dates, strict=True)) | changed


def test_upload(http: httpx.Client) -> None:
    content = table()
    answer = ok(store(http, content, path=UPLOAD))
    failures = content.count(b",1\n")
    assert answer["numberOfRecords"] == 500
    assert answer["numberOfColumns"] == 7  # with the synthetic time
    assert answer["passRatePercentage"] == round(100 * (500 - failures) / 500, 2)
    assert (answer["firstTimestamp"], answer["lastTimestamp"]) == ("2021-01-01T00:00:00Z", "2021-01-01T00:08:19Z")
    assert (answer["fileName"], answer["fileSize"]) == ("rows.csv", f"{len(content) / 1024:.2f} KB")


def test_upload_of_secom_counts_no_synthetic_column(http: httpx.Client, secom_csv: Path) -> None:
    answer = ok(store(http, secom_csv.read_bytes(), "secom.csv", UPLOAD))
    assert answer["numberOfColumns"] == 592
    assert answer["passRatePercentage"] > 90


@pytest.mark.parametrize(
    ("content", "name", "text"),
    [
        (b"", "rows.csv", "CSV is empty."),
        (b"Id,S1,Response\n", "rows.csv", "CSV is empty."),
        (b"Id,S1\n1,2\n", "rows.csv", "CSV must contain a 'Response' column."),
        (b"x", "rows.xlsx", "Invalid file type. Please upload a CSV file."),
    ],
)
def test_refused_uploads_are_plain_text(http: httpx.Client, content: bytes, name: str, text: str) -> None:
    answer = store(http, content, name, UPLOAD)
    assert answer.status_code == 400
    assert answer.text.startswith(text)  # the contract's sentence comes first, then what to do
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("request_", [{}, {"json": {}}, {"files": {"file": ("", b"")}}])
def test_no_file(http: httpx.Client, request_: dict[str, Any]) -> None:
    answer = http.post(UPLOAD, **request_)
    assert (answer.status_code, answer.text) == (400, "No file uploaded.")


def test_a_file_in_a_part_of_another_name_is_told_the_right_one(http: httpx.Client) -> None:
    answer = http.post(UPLOAD, files={"other": ("a.csv", b"x" * 10_000)})
    assert (answer.status_code, answer.text) == (
        400,
        "No file uploaded. The file came in the part 'other'; the part must be named 'file'.",
    )


def test_valid_ranges(uploaded: httpx.Client) -> None:
    assert ok(uploaded.post(VALIDATE, json=ranges(DAYS))) == {
        "status": "Valid",
        "message": "Date ranges are valid and sequential.",
    }


def test_ranges_without_a_dataset(http: httpx.Client) -> None:
    answer = ok(http.post(VALIDATE, json=ranges(testEnd="x")), 400)
    assert answer["status"] == "Invalid"
    assert answer["message"] == "Dataset metadata not found. Please upload a dataset first."
    assert answer["errors"] == [answer["message"], "Testing End Date is invalid."]


@pytest.mark.parametrize(
    ("changed", "errors"),
    [
        ({"trainStart": "x"}, ["Training Start Date is invalid."]),
        (
            {"testEnd": None, "simulationStart": 5},
            ["Testing End Date is invalid.", "Simulation Start Date is invalid."],
        ),
        (
            {"trainStart": "2021-01-05", "trainEnd": "2021-01-04"},
            ["Training End Date (2021-01-04) must be on or after its Start Date (2021-01-05)."],
        ),
        (
            {"testStart": "2021-01-03"},
            ["Testing Start Date (2021-01-03) must be after the Training End Date (2021-01-06)."],
        ),
        (
            {"simulationStart": "2021-01-08"},
            ["Simulation Start Date (2021-01-08) must be after the Testing End Date (2021-01-08)."],
        ),
        (
            {"trainStart": "2020-12-31"},
            ["Training Start Date (2020-12-31) is before the dataset's first day (2021-01-01)."],
        ),
        (
            {"simulationEnd": "2021-01-11"},
            ["Simulation End Date (2021-01-11) is after the dataset's last day (2021-01-10)."],
        ),
        (
            {
                "simulationEnd": "2021-02-01",
                "trainStart": "2020-01-01",
                "testStart": "2021-01-06",
                "testEnd": "no",
                "trainEnd": "2021-01-06",
            },
            [
                "Testing End Date is invalid.",
                "Testing Start Date (2021-01-06) must be after the Training End Date (2021-01-06).",
                "Training Start Date (2020-01-01) is before the dataset's first day (2021-01-01).",
                "Simulation End Date (2021-02-01) is after the dataset's last day (2021-01-10).",
            ],
        ),
    ],
)
def test_invalid_ranges_in_their_order(uploaded: httpx.Client, changed: dict[str, Any], errors: list[str]) -> None:
    answer = ok(uploaded.post(VALIDATE, json=ranges(DAYS, **changed)), 400)
    assert (answer["status"], answer["message"], answer["errors"]) == ("Invalid", errors[0], errors)
    split = uploaded.post("/api/Dataset/split-data", json=ranges(DAYS, **changed))
    assert (split.status_code, split.text.splitlines()) == (400, errors)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'"x"'])
def test_nonsense_bodies_are_400(http: httpx.Client, content: bytes) -> None:
    answer = ok(http.post(VALIDATE, content=content, headers={"Content-Type": "application/json"}), 400)
    assert answer["status"] == "Invalid"
    assert answer["message"] == answer["errors"][0]


def test_split(http: httpx.Client) -> None:
    ok(store(http, table(), path=UPLOAD))
    answer = ok(http.post("/api/Dataset/split-data", json=ranges()))
    assert answer["message"] == "Dataset successfully split and saved."
    assert (answer["trainSetRows"], answer["testSetRows"], answer["simulationSetRows"]) == (300, 100, 100)
    assert all(Path(answer[f"{name}SetPath"]).is_file() for name in ("train", "test", "simulation"))
    assert answer["dailyDistribution"] == {"2021-01-01": 500}


def test_training(http: httpx.Client) -> None:
    refused = http.post("/api/Training/start")
    assert (refused.status_code, refused.text) == (409, "No split in this workspace: split a dataset first.")
    ok(store(http, table(), path=UPLOAD))
    ok(http.post("/api/Dataset/split-data", json=ranges()))
    task_id = ok(http.post("/api/Training/start"))["task_id"]
    status = finished(http, f"/api/Training/status/{task_id}")
    assert status["status"] == "SUCCESS"
    plain = ok(http.get(f"/process/train/status/{task_id}"))
    assert plain["status"] == "COMPLETED"
    assert plain["result"]["confusion_matrix"] == status["result"]["confusion_matrix"]
    points = plain["result"]["training_chart"]["train_loss"]
    assert [point["x"] for point in points] == [f"Epoch {number}" for number in range(1, len(points) + 1)]
    assert status["result"]["training_chart"]["train_loss"] == [
        {"x": i, "y": point["y"]} for i, point in enumerate(points)
    ]


@pytest.mark.parametrize("task_id", ["nonsense", "00000000-0000-4000-8000-000000000000", "task-000000000000"])
def test_unknown_training_is_404(http: httpx.Client, task_id: str) -> None:
    answer = http.get(f"/api/Training/status/{task_id}")
    assert (answer.status_code, answer.text) == (404, f"No status found for task ID: {task_id}")


def test_the_contract_s_dialect_says_it_in_json(stack: Stack, swapped: str) -> None:
    task_id = "00000000-0000-4000-8000-000000000000"
    with client(stack, swapped) as http:
        assert ok(http.get(f"/api/Training/status/{task_id}"), 404) == {
            "message": f"No status found for task ID: {task_id}"
        }
        assert ok(http.post("/api/training/start"), 409)["code"] == "no_split"
        ok(store(http, table(), synthetic_step_seconds="1728"), 202)
        answer = ok(http.post("/api/Dataset/split-data", json=ranges(DAYS, trainStart="x")), 400)
        assert (answer["status"], answer["errors"]) == ("Invalid", ["Training Start Date is invalid."])
