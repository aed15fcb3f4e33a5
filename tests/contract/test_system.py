"""What the service says of itself, and that it works without any other machine."""

import re

import httpx

from tests.support.contract_help import ok


def test_root_names_the_other_pages(http: httpx.Client) -> None:
    root = ok(http.get("/"))
    for page in ("docs", "openapi", "health", "ready", "metrics"):
        assert http.get(root[page]).status_code == 200


def test_ready_says_what_each_dependency_does(http: httpx.Client) -> None:
    assert ok(http.get("/ready")) == {
        "status": "ready",
        "dependencies": {"kafka": "ok", "redis": "ok", "view": "ok", "storage": "ok"},
    }
    assert ok(http.get("/health")) == {"status": "ok"}


def test_whole_system_is_described_part_by_part(http: httpx.Client) -> None:
    http.get("/v1/system")
    found = ok(http.get("/v1/system"))
    assert {part["name"]: part["state"] for part in found["parts"]} == dict.fromkeys(
        ("gateway", "kafka", "redis", "view", "storage", "producer", "stream_processor", "trainer"), "up"
    )
    assert found["status"] == "ready"
    for topic in ("rows.v1", "ingress.rows.v1"):
        partitions = [one["partition"] for one in found["lag"] if one["topic"] == topic]
        assert partitions == list(range(len(found["lag"]) // 2))
    topics = {topic["name"]: topic for topic in found["topics"]}
    assert topics["rows.v1"]["retention_seconds"] == 7 * 24 * 3600
    assert topics["predictions.v1"]["size_bytes"] is not None
    assert found["redis"]["keys"] > 0
    assert found["versions"]["redis"]


def test_metrics_count_requests_by_route_template(http: httpx.Client) -> None:
    http.get("/v1/datasets/ds-of-metrics")
    text = http.get("/metrics").text
    assert re.search(
        r'gateway_requests_total\{method="GET",route="/v1/datasets/\{dataset_id\}",status="404"\} \d', text
    )
    assert "ds-of-metrics" not in text


def test_documentation_needs_no_other_machine(http: httpx.Client) -> None:
    page = http.get("/docs").text
    own = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(own) >= 3
    for address in own:
        assert address.startswith("/"), address
        assert http.get(address).status_code == 200
    assert not re.search(r"https?://", page)


def test_unknown_paths_and_methods(http: httpx.Client) -> None:
    assert ok(http.get("/nowhere"), 404)["code"] == "not_found"
    assert ok(http.delete("/v1/datasets"), 405)["code"] == "method_not_allowed"
