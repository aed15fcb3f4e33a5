"""The two clients of the field do their whole job, unchanged: the web client on the default gateway, the .NET backend
on one that speaks Celery's dialect. Every answer is read as strictly as they read it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.support import old_clients
from tests.support.contract_help import table
from tests.support.old_clients import DotnetBackend, WebClient, read
from tests.support.stack import Stack

DAYS = {
    "trainStart": "2021-03-01",
    "trainEnd": "2021-03-06",
    "testStart": "2021-03-07",
    "testEnd": "2021-03-08",
    "simulationStart": "2021-03-09",
    "simulationEnd": "2021-03-09",
}
"""What the client's `<input type="date">` give."""
SIMULATED = 6


def dated(*, head: str, per_day: int = 60) -> bytes:
    """Rows of `table()` with a time of their own: 60 a day for eight days, then a few. S4 is missing in every other
    row."""
    lines = table(8 * per_day + SIMULATED).decode().splitlines()
    rows = [head + "," + lines[0]]
    for number, line in enumerate(lines[1:]):
        day = datetime(2021, 3, 1, 7, 30, tzinfo=UTC) + timedelta(days=number // per_day, seconds=number % per_day)
        fields = line.split(",")
        fields[4] = "" if number % 2 else fields[4]
        rows.append(f"{day:%Y-%m-%d %H:%M:%S},{','.join(fields)}")
    return ("\ufeff" + "\n".join(rows) + "\n").encode()


def packets(answers: list[Any]) -> list[Any]:
    """The data packets among the progress of a simulation, read strictly; what is none is a sentence."""
    found = []
    for answer in answers:
        progress = answer["progress"]
        if progress is None:
            assert answer["status"] == "PENDING"
        elif "current_row_index" in progress:
            found.append(read(old_clients.PACKET, progress))
        else:
            assert answer["status"] == "PROGRESS"
            assert read({"status": str}, progress)["status"].startswith("Initializing simulation...")
    return found


def check_packets(found: list[Any]) -> None:
    assert found[-1]["current_row_index"] == SIMULATED - 1
    assert found[-1]["live_stats"]["total_predictions"] == found[-1]["total_rows"] == SIMULATED
    columns = list(found[0]["live_prediction"]["top_features"])
    assert len(columns) == 3
    for packet in found:
        live = packet["live_prediction"]
        assert list(live["top_features"]) == columns, "the page fixes its columns by the first row"
        assert live["prediction"] in ("Pass", "Fail")
        assert (live["prediction"] == "Pass") == (packet["quality_score"] == live["confidence"]) or packet[
            "quality_score"
        ] == 50
        assert 50 <= live["confidence"] <= 100 or packet["quality_score"] < live["confidence"]
        assert datetime.fromisoformat(live["timestamp"]).tzinfo is not None
    assert max(packet["live_prediction"]["confidence"] for packet in found) > 1
    assert any(value not in (0.0, 1.0) for value in found[0]["live_prediction"]["top_features"].values()), (
        "raw values of the row"
    )


@pytest.fixture
def workspace() -> str:
    return f"old-{uuid4().hex[:8]}"


def test_the_web_client_does_its_whole_job(stack: Stack, workspace: str) -> None:
    web = WebClient(stack.gateway_url, workspace)
    assert web.post("/api/dataset/validate-ranges", DAYS).json(400)["message"].startswith("Dataset metadata not found.")
    for content, text in ((b"", "CSV is empty."), (b"Id,S1\n1,2\n", "CSV must contain a 'Response' column.")):
        refused = web.upload(content, "rows.csv")
        assert refused.status == 400
        assert refused.text.startswith(text)
    card = read(old_clients.UPLOADED, web.upload(dated(head="time"), "Prüfung.csv").json())
    assert (card["numberOfRecords"], card["fileName"]) == (8 * 60 + SIMULATED, "Prüfung.csv")
    assert date.fromisoformat(card["firstTimestamp"][:10]) == date(2021, 3, 1)

    wrong = web.post("/api/dataset/validate-ranges", {**DAYS, "simulationEnd": "2021-03-10"}).json(400)
    assert read({"status": str, "message": str}, wrong) == {
        "status": "Invalid",
        "message": "Simulation End Date (2021-03-10) is after the dataset's last day (2021-03-09).",
    }
    valid = read({"status": str, "message": str}, web.post("/api/dataset/validate-ranges", DAYS).json())
    assert valid["status"] == "Valid"
    split = read(old_clients.SPLIT, web.post("/api/dataset/split-data", DAYS).json())
    assert (split["trainSetRows"], split["testSetRows"], split["simulationSetRows"]) == (360, 120, SIMULATED)

    task_id = read({"task_id": str}, web.post("/api/training/start", {}).json())["task_id"]
    answers = web.polled(f"/api/training/status/{task_id}", 2.0)
    assert {answer["status"] for answer in answers[:-1]} <= {"PENDING", "PROGRESS"}
    assert answers[-1]["status"] == "SUCCESS"
    result = read(old_clients.RESULT, answers[-1]["result"])
    assert [point["x"] for point in result["training_chart"]["train_accuracy"]] == list(
        range(len(result["training_chart"]["train_loss"]))
    )

    run_id = read({"task_id": str}, web.post("/api/simulation/start", {}).json())["task_id"]
    answers = web.polled(f"/api/simulation/status/{run_id}", 0.5)
    said = [
        answer["progress"]["status"]
        for answer in answers
        if answer["progress"] and "current_row_index" not in answer["progress"]
    ]
    assert "Initializing simulation... Warmup period of 10 seconds." in said
    assert answers[-1]["status"] == "SUCCESS"
    assert answers[-1]["result"]["message"] == f"Simulation complete. Processed {SIMULATED} records."
    check_packets(packets(answers))

    again = read({"task_id": str}, web.post("/api/simulation/start", {}).json())["task_id"]
    stopped = web.post(f"/api/simulation/stop/{again}", {}).json()
    assert read({"task_id": str, "message": str}, stopped)["message"] == "Simulation task stopped successfully."
    assert web.polled(f"/api/simulation/status/{again}", 0.5)[-1]["status"] == "REVOKED"
    unknown = web.get(f"/api/simulation/status/{again[:-4]}0000")
    assert (unknown.status, unknown.text) == (422, "Task ID not found")


def test_the_dotnet_backend_does_its_whole_job(swapped: str, workspace: str) -> None:
    backend = DotnetBackend(swapped, workspace)
    stored = backend.upload(dated(head="synthetic_timestamp"), "Prüfung_2026_Linie-Süd.csv").json(202)
    assert stored["dataset_id"].startswith("ds-")
    days = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): day for name, day in DAYS.items()}
    split = read(old_clients.ML_SPLIT, backend.split(days).json())
    assert (split["train_set_rows"], split["test_set_rows"], split["simulation_set_rows"]) == (360, 120, SIMULATED)
    assert split["daily_distribution"]["2021-03-09"] == SIMULATED

    task_id = read({"task_id": str}, backend.post("/process/train/start").json())["task_id"]
    last = backend.polled(f"/process/train/status/{task_id}", 2.0)[-1]
    assert last["status"] == "SUCCESS"
    read(old_clients.RESULT, last["result"])

    run_id = read({"task_id": str}, backend.post("/simulation/start").json())["task_id"]
    answers = backend.polled(f"/simulation/status/{run_id}", 0.5)
    assert answers[-1]["status"] == "SUCCESS"
    check_packets(packets(answers))
