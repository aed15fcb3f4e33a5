import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rows.decode import FeatureReader, Opened, opened
from rows.rejected import Rejected
from schemas.messages import RunEnd, RunSkip, encode
from schemas.topics import INGRESS, MAX_ROW_BYTES
from tests.support.examples import many
from tests.unit.stream_processor.toys import MODEL_A, Record, home, manifest, on_both_topics, partition_of, row

RUN = "sim-task-6f1c2a52-6a86-4f3a-9a0f-0e6c5b8a1d11"
NAMES = [
    "features",
    "run_id",
    "attempt",
    "epoch",
    "lane",
    "lanes",
    "row_index",
    "sample_id",
    "timestamp",
    "label",
    "model_version",
]
OWNED = {"run_id": RUN, "attempt": 1, "epoch": 7, "row_index": 3}


def open_(value: bytes | None, **fields: Any) -> Any:
    return opened(Record(value, **fields), partition_of)


def test_a_row_is_opened_with_its_features_unread() -> None:
    value = row(sample_id="SAMPLE_9", label="FAIL", timestamp="2021-01-01T01:00:00+01:00")
    found = open_(value, offset=5, partition=2, key=b"line-1", topic=INGRESS.name)
    assert isinstance(found, Opened)
    assert found.envelope.timestamp is not None
    assert found.envelope.timestamp.isoformat() == "2021-01-01T00:00:00+00:00"
    assert json.loads(bytes(found.envelope.features))["S1"] == 0.5


def test_a_row_of_our_producer_keeps_its_identity() -> None:
    found = open_(row(**OWNED), partition=home(RUN))
    assert isinstance(found, Opened)
    assert (found.identity.run_id, found.identity.epoch, found.identity.row_index, found.identity.owned) == (
        RUN,
        7,
        3,
        True,
    )


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        (None, "undecodable", None),
        (b"", "undecodable", None),
        (b"\xff\xfe", "undecodable", None),
        (b"{", "undecodable", None),
        (b'{"features": ' + b"[" * 100_000, "undecodable", None),
        (b"[]", "invalid_field", "$"),
        (b"{}", "invalid_field", "$.features"),
        (row(run_id=5), "invalid_field", "$.run_id"),
        (row(run_id="a:b"), "invalid_field", "$.run_id"),
        (row(label="MAYBE"), "invalid_field", "$.label"),
        (row(timestamp="2021-01-01T00:00:00"), "invalid_field", "$.timestamp"),
        (row(timestamp="0001-01-01T00:00:00+10:00"), "invalid_field", "$.timestamp"),
        (row(row_index=-1, epoch=3, run_id="r"), "invalid_field", "$.row_index"),
        (row(epoch=3, run_id="r"), "invalid_field", "$.row_index"),
        (row(epoch=3), "invalid_field", "$.run_id"),
        (row(epoch=3, run_id="r", row_index=5, lane=0, lanes=2), "invalid_field", "$.lane"),
        (row(run_id=RUN), "run_owned", "$.run_id"),
        (b" " * (MAX_ROW_BYTES + 1), "oversized", None),
    ],
)
def test_a_record_that_is_no_row_is_rejected_with_its_reason_and_place(
    value: bytes | None, reason: str, path: str | None
) -> None:
    found = open_(value)
    assert isinstance(found, Rejected)
    assert (found.reason, found.path) == (reason, path)


def test_a_row_of_our_producer_outside_its_partition_is_rejected() -> None:
    found = open_(row(**OWNED), partition=(home(RUN) + 1) % 8)
    assert isinstance(found, Rejected)
    assert (found.reason, found.path) == ("misplaced", "$.lane")


@pytest.mark.parametrize(
    "value", [row(**OWNED, label="MAYBE"), row(**OWNED, timestamp="now"), row(**OWNED, sample_id="x" * MAX_ROW_BYTES)]
)
def test_a_rejected_row_keeps_its_identity_so_that_its_run_can_count_it(value: bytes) -> None:
    found = open_(value, partition=home(RUN))
    assert isinstance(found, Rejected)
    assert found.identity is not None
    assert found.identity.row_index == 3
    assert found.model_version == MODEL_A


@pytest.mark.parametrize(
    "headers",
    [
        [("content-type", b"application/msgpack")],
        [("schema-version", b"2")],
        [("content-type", b"\xff")],
        [("content-type", b"text/plain")],
        [("content-type", b"application/+jsonp")],
    ],
)
def test_other_encodings_are_rejected(headers: list[tuple[str, bytes]]) -> None:
    found = open_(row(), headers=headers)
    assert isinstance(found, Rejected)
    assert found.reason == "unsupported_encoding"


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", b"application/json")],
        [("content-type", b"Application/JSON; charset=utf-8"), ("schema-version", b"1")],
        [("Content-Type", b'"application/json"')],
        [("content-type", None), ("schema-version", None), ("type", None)],
        [("content-type", b"null"), ("schema-version", b'"1"')],
        [("content-type", b'"application/json; charset=utf-8"')],
        [("content-type", b"application/vnd.acme.row+json;version=2")],
        [("content-type", b"")],
    ],
)
def test_json_is_recognised(headers: Any) -> None:
    assert isinstance(open_(row(), headers=headers, topic=INGRESS.name), Opened)


@pytest.mark.parametrize(
    "name",
    ["run_id", "attempt", "epoch", "lane", "lanes", "row_index", "sample_id", "timestamp", "label", "model_version"],
)
@pytest.mark.parametrize("topic", [INGRESS.name, "rows.v1"])
def test_null_means_what_absence_means(name: str, topic: str) -> None:
    owned = OWNED if topic != INGRESS.name and name not in ("run_id", "epoch", "row_index") else {}
    partition = home(RUN) if owned else 0
    found, absent = (
        opened(Record(row(**owned | {name: value}), partition=partition, topic=topic), on_both_topics)
        for value in (None, ...)
    )
    assert isinstance(found, Opened)
    assert isinstance(absent, Opened)
    assert (found.identity, found.envelope.timestamp, found.envelope.label) == (
        absent.identity,
        absent.envelope.timestamp,
        absent.envelope.label,
    )


def test_markers_are_recognised_by_their_header() -> None:
    end = RunEnd(run_id=RUN, attempt=1, epoch=7, lane=0, lanes=1, end_index=10, ending="COMPLETED")
    skip = RunSkip(run_id=RUN, attempt=1, epoch=7, lane=0, lanes=1, from_index=5, to_index=10)
    assert open_(encode(end), headers=[("type", b"run-end")]) == end
    assert open_(encode(skip), headers=[("type", b"run-skip")]) == skip
    for broken in (b"{}", b"{", b'{"run_id": 1}'):
        assert isinstance(open_(broken, headers=[("type", b"run-end")]), Rejected)
    assert isinstance(open_(encode(end), headers=[("type", b"what")]), Rejected)


def read(features: Any) -> Any:
    raw = features if isinstance(features, bytes) else json.dumps(features).encode()
    return FeatureReader(manifest(MODEL_A)).read(msgspec.Raw(raw))


def test_features_are_read_in_the_models_order_whatever_the_rows() -> None:
    assert read({"S3": 3, "S1": 1.5, "S9": "anything", "S2": None}) == (1.5, None, 3.0)
    assert read([1.5, None, 3]) == (1.5, None, 3.0)  # a packed row that was dead-lettered without its model


@pytest.mark.parametrize(
    ("features", "reason", "path"),
    [
        ({"S1": 1, "S2": 2}, "missing_feature", "$.features.S3"),
        ({"S1": 1, "S2": 2, "S3": 3, "S4": 4}, "unknown_feature", "$.features.S4"),
        ({"S1": "1", "S2": 2, "S3": 3}, "invalid_field", "$.features.S1"),
        ({"S1": True, "S2": 2, "S3": 3}, "invalid_field", "$.features.S1"),
        ([1, 2], "invalid_field", "$.features"),
        ([1, 2, "3"], "invalid_field", "$.features"),
        (None, "invalid_field", "$.features"),
    ],
)
def test_wrong_features_are_explained(features: Any, reason: str, path: str) -> None:
    found = read(features)
    assert isinstance(found, Rejected)
    assert (found.reason, found.path) == (reason, path)


@pytest.mark.parametrize("number", [b"1e400", b"-1e999", b"1" + b"0" * 400, b"-1" + b"0" * 400 + b".5e3"])
def test_a_number_that_no_float_holds_is_missing_as_in_a_csv(number: bytes) -> None:
    assert read(b'{"S1": %s, "S2": 2, "S3": 3}' % number) == (None, 2.0, 3.0)
    assert read(b"[%s, 2, 3]" % number) == (None, 2.0, 3.0)


@pytest.mark.parametrize("number", [b'"1e400"', b"true", b"[]", b"{}"])
def test_what_is_no_number_is_still_wrong(number: bytes) -> None:
    assert isinstance(read(b'{"S1": %s, "S2": 2, "S3": 3}' % number), Rejected)


@pytest.mark.parametrize(
    "name", ['a "quoted" one', "back\\slash", "two\nlines", "tab\t", "é", "", "a.b", "$", "x" * 300]
)
def test_a_column_may_have_any_name(name: str) -> None:
    reader = FeatureReader(manifest(MODEL_A).model_copy(update={"features": [name, "S2"]}))
    assert reader.read(msgspec.Raw(json.dumps({"S2": 2, name: 1, "S9": []}).encode())) == (1.0, 2.0)
    found = reader.read(msgspec.Raw(json.dumps({"S2": 2}).encode()))
    assert isinstance(found, Rejected)
    assert found.reason == "missing_feature"


HEADER = st.tuples(
    st.sampled_from(["type", "content-type", "schema-version", "redrive", "x"]),
    st.binary(max_size=8) | st.sampled_from([b"run-end", b"run-skip", b"row", b"application/json", b"1"]),
)


@given(
    value=st.none() | st.binary(max_size=200),
    headers=st.lists(HEADER, max_size=3),
    key=st.none() | st.binary(max_size=20),
)
@settings(max_examples=many(400), deadline=None)
def test_no_bytes_make_it_raise(value: bytes | None, headers: list[tuple[str, bytes]], key: bytes | None) -> None:
    assert isinstance(open_(value, headers=headers, key=key), Opened | Rejected | RunEnd | RunSkip)


@given(at=st.integers(0, 400), cut=st.integers(0, 30), put=st.binary(max_size=30))
@settings(max_examples=many(600), deadline=None)
def test_a_damaged_row_is_opened_or_rejected_and_its_features_are_read_or_explained(
    at: int, cut: int, put: bytes
) -> None:
    whole = row(**OWNED, sample_id="SAMPLE_3", timestamp="2021-01-01T00:00:00Z", label="PASS")
    found = open_(whole[:at] + put + whole[at + cut :], partition=home(RUN))
    if isinstance(found, Opened):
        reader = FeatureReader(manifest(MODEL_A))
        values = reader.read(found.envelope.features)
        assert values == reader.read_slowly(found.envelope.features)
        assert isinstance(values, Rejected) or len(values) == 3
    else:
        assert isinstance(found, Rejected)


SCALAR = st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=5)
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    changed=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3),
    features=st.dictionaries(st.sampled_from(["S1", "S9", "é", "a.b"]), JSON),
)
@settings(max_examples=many(600), deadline=None)
def test_a_row_with_any_values_is_opened_or_rejected(changed: dict[str, Any], features: dict[str, Any]) -> None:
    found = open_(row(**({"features": {"S1": 1, "S2": 2, "S3": 3} | features} | changed)))
    if isinstance(found, Opened):
        FeatureReader(manifest(MODEL_A)).read(found.envelope.features)
    else:
        assert isinstance(found, Rejected)
