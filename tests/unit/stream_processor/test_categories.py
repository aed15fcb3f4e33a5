"""A model that takes texts: the same bits from JSON, packed rows, a replay, after a redrive, in the trainer and in the
recount."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.recount import recount
from models.bundle import MODEL, Bundle, BundleCorrupt, bundle_path, load_bundle, score, write_bundle
from producer.replay.records import Reader, Recorded, sent_again
from producer.sending.encoding import Turn, row_packer
from producer.sources import RowPage, SplitRows
from rows.decode import FeatureReader
from rows.inputs import PREPARATION, ModelInput, ModelInputs, write_inputs
from rows.packed import Packet, row_record, unpacked
from rows.rejected import Rejected
from schemas.manifests import DateRange, SetManifest
from schemas.messages import DeadLetter, Prediction
from schemas.tasks import ReplaySource
from schemas.topics import PACKED
from storage.objects.files import Storage
from stream_processor.batch.answers import LoadedModel, Reasons
from stream_processor.batch.counting import BatchOutcome
from stream_processor.batch.score import handle
from tests.support.examples import many
from tests.unit.stream_processor.toys import MODEL_A, NOW, Producers, Record, home, manifest, partition_of
from trainer.fit.data import read_set

NAMES = ["weight", "city", "hot"]
CITIES = ("1", "LA", "NYC", "Ürümqi", "true", 'a "b" \\ c')
INPUTS = ModelInputs(
    [
        ModelInput("weight", "number"),
        ModelInput("city", "category", CITIES),
        ModelInput("hot", "category", ("False", "True")),
    ]
)
RUN = "sim-task-1"
JSON_HEADERS = [("type", b"row"), ("content-type", b"application/json"), ("schema-version", b"1")]
PACKED_HEADERS = [("type", b"row"), ("content-type", PACKED), ("schema-version", b"1")]
NOTHING: dict[bytes, bytes] = {}
ALL_REASONS = Reasons(exact_max_rows=1000, approximate_max_rows=1000, top=3)
PRODUCERS = Producers()
PRODUCERS._lanes[RUN] = 1


def booster() -> xgboost.Booster:
    random = np.random.default_rng(3)
    matrix = np.c_[random.normal(size=600), random.integers(0, 7, 600), random.integers(0, 2, 600)].astype(np.float32)
    matrix[random.random(matrix.shape) < 0.1] = np.nan
    fails = np.isin(matrix[:, 1], [1, 3, 6]) ^ (matrix[:, 0] > 0.5) ^ (random.random(600) < 0.1)
    data = xgboost.DMatrix(matrix, fails, feature_types=INPUTS.types, enable_categorical=True)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 4}, data, 8)


def described() -> Any:
    return manifest(MODEL_A).model_copy(update={"features": NAMES, "ignored_features": []})


def written(storage: Storage) -> Bundle:
    write_bundle(
        storage, described(), {MODEL: bytes(booster().save_raw("ubj")), PREPARATION: write_inputs(INPUTS.inputs)}
    )
    return load_bundle(storage, MODEL_A)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Bundle]:
    storage = Storage(f"file://{tmp_path_factory.mktemp('kept')}").initialise()
    return storage, written(storage)


texts = st.one_of(
    st.none(), st.sampled_from([*CITIES, " LA", "la", "(unknown)", "True", "1.0"]), st.text(min_size=1, max_size=6)
)
stored = texts.filter(lambda text: text is None or (text.strip() != "" and "\x00" not in text))
table = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-4, 4, width=32)), stored, st.sampled_from(["True", "False", None, "yes"])
    ),
    min_size=1,
    max_size=24,
)


def frame_of(rows: list[tuple[float | None, str | None, str | None]]) -> pl.DataFrame:
    weight, city, hot = zip(*rows, strict=True)
    features = {
        "weight": pl.Series(weight, dtype=pl.Float64),
        "city": pl.Series(city, dtype=pl.String),
        "hot": pl.Series(hot, dtype=pl.String),
    }
    count = len(rows)
    labels = pl.Series(["PASS", "FAIL"] * count)[:count]
    times = pl.Series([1_700_000_000_000_000 + i for i in range(count)])
    return pl.DataFrame(features | {"__id__": [str(i) for i in range(count)], "__time__": times, "__label__": labels})


def packed(identity: Turn, page: RowPage, cuts: set[int]) -> list[bytes]:
    """The page's rows in records that end at these rows."""
    columns, end = page.columns(0, page.end), page.end
    pieces = pairwise([0, *sorted(cut for cut in cuts if cut < end), end])
    return [row_packer(identity)(start, columns.every(start, stop, 1)) for start, stop in pieces]


def predictions(bundle: Bundle, records: list[tuple[bytes, Any]], key: bytes = RUN.encode()) -> list[Prediction]:
    models = {MODEL_A: LoadedModel(bundle, FeatureReader(bundle.manifest, bundle.inputs))}
    lines = [Record(value, offset, home(RUN), key, headers) for offset, (value, headers) in enumerate(records)]
    outcome = handle(
        lines,
        state=NOTHING.get,
        models=models,
        champion=None,
        partition_of=partition_of,
        epochs=PRODUCERS,
        now=NOW,
        reasons=ALL_REASONS,
    )
    assert isinstance(outcome, BatchOutcome)
    assert not outcome.dead_letters
    return [msgspec.json.decode(value, type=Prediction) for _, value in outcome.predictions]


@given(table, st.booleans(), st.sets(st.integers(1, 23), max_size=4))
@settings(max_examples=many(60), deadline=None)
def test_a_row_scores_to_the_same_bits_however_it_comes(
    kept: tuple[Storage, Bundle], rows: list[tuple[float | None, str | None, str | None]], joined: bool, cuts: set[int]
) -> None:
    storage, bundle = kept
    frame = frame_of(rows)
    with storage.scratch() as folder:
        frame.write_parquet(folder / "rows.parquet")
        storage.put_file(folder / "rows.parquet", "simulation.parquet")
    path = storage.local("simulation.parquet")
    expected = score(bundle, np.array([INPUTS.numbers_of(row) for row in rows], np.float32)).tolist()
    assert [answer.probability_fail for answer in recount(storage, MODEL_A, "simulation.parquet").answers] == expected
    part = SetManifest(path="simulation.parquet", range=DateRange(start=NOW, end=NOW), rows=len(rows), failures=0)
    assert score(bundle, read_set(storage, part, INPUTS).matrix).tolist() == expected

    identity = Turn(RUN, 1, 7, 1, MODEL_A)
    source = SplitRows(storage, path, INPUTS, len(rows))
    page = RowPage(0, frame, INPUTS)
    encode_row = source.encoder(identity)
    headers = tuple(JSON_HEADERS) if joined else JSON_HEADERS
    as_json = predictions(
        bundle, [(encode_row(i, values), headers) for i, values in enumerate(page.rows(0, len(rows)))]
    )
    assert [answer.probability_fail for answer in as_json] == expected

    values = packed(identity, page, cuts)
    as_packed = predictions(bundle, [(value, tuple(PACKED_HEADERS) if joined else PACKED_HEADERS) for value in values])
    assert [answer.probability_fail for answer in as_packed] == expected
    shown = [(answer.top_features, answer.top_feature_values) for answer in as_packed]
    assert shown == [(answer.top_features, answer.top_feature_values) for answer in as_json]

    reader = Reader(
        ReplaySource(run_id=RUN, attempt=1, lanes=1, ranges=[]),
        MODEL_A,
        partition_of=partition_of,
        features_of=lambda _: INPUTS,
    )
    again = [
        found
        for offset, value in enumerate(values)
        for found in reader.read(Record(value, offset, home(RUN), RUN.encode(), PACKED_HEADERS))
    ]
    assert all(isinstance(found, Recorded) for found in again)
    replayed = [
        (sent_again(identity, found.row_index, found.fragment), JSON_HEADERS)
        for found in again
        if isinstance(found, Recorded)
    ]
    assert [answer.probability_fail for answer in predictions(bundle, replayed)] == expected
    said = [json.loads(value)["features"]["city"] for value, _ in replayed]
    assert said == [
        None if city is None else (city if INPUTS.inputs[1].code(city) == len(CITIES) else city.strip())
        for _, city, _ in rows
    ]

    for inputs in (INPUTS, None):  # with the model at hand and without it
        mended = []
        for offset, value in enumerate(values):
            line = Record(value, offset, home(RUN), RUN.encode(), PACKED_HEADERS)
            packet = unpacked(line, value, partition_of)
            assert isinstance(packet, Packet)
            mended += [
                (row_record(line, packet, j, inputs).value or b"", JSON_HEADERS) for j in range(packet.rows.count)
            ]
        assert [answer.probability_fail for answer in predictions(bundle, mended)] == expected


def read(raw: bytes) -> Any:
    found = FeatureReader(described(), INPUTS).read(msgspec.Raw(raw))
    return (
        found
        if isinstance(found, Rejected)
        else [None if value is None or value != value else value for value in found]
    )


@pytest.mark.parametrize(
    ("said", "city", "hot"),
    [
        ({"weight": 1, "city": "LA", "hot": "True"}, 1.0, 1.0),
        ({"weight": 1, "city": " LA ", "hot": True}, 1.0, 1.0),
        ({"weight": 1, "city": 1, "hot": False}, 0.0, 0.0),
        ({"weight": 1, "city": 1.0, "hot": "false"}, 0.0, 2.0),
        ({"weight": 1, "city": True, "hot": None}, 4.0, None),
        ({"weight": 1, "city": "Paris", "hot": ""}, 6.0, None),
        ({"weight": 1, "city": None, "hot": "  "}, None, None),
    ],
)
def test_what_is_said_for_a_category_is_its_text_unknown_or_missing(
    said: dict[str, Any], city: float | None, hot: float | None
) -> None:
    assert read(json.dumps(said).encode()) == [1.0, city, hot]


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"weight":1,"city":["LA"],"hot":null}', "$.features.city"),
        (b'{"weight":1,"city":{"a":1},"hot":null}', "$.features.city"),
        (b'{"weight":"heavy","city":"LA","hot":null}', "$.features.weight"),
        (b'{"weight":1,"hot":null}', "$.features.city"),
        (b'["LA",1,0]', "$.features"),
        (b"[1,1]", "$.features"),
    ],
)
def test_what_is_no_value_of_the_feature_is_rejected_by_name(raw: bytes, path: str) -> None:
    found = read(raw)
    assert isinstance(found, Rejected)
    assert found.path == path


def test_in_a_list_a_number_is_the_code_of_a_category() -> None:
    assert read(b'[1,1,"True"]') == [1.0, 1.0, 1.0]


def test_a_dead_letter_of_a_packed_row_keeps_its_texts(kept: tuple[Storage, Bundle]) -> None:
    _, bundle = kept
    page = RowPage(0, frame_of([(1.0, "Paris", "True"), (2.0, "LA", None)]), INPUTS)
    (value,) = packed(Turn(RUN, 1, 7, 1, MODEL_A), page, set())
    broken = msgspec.msgpack.decode(value)
    broken[9][0] = 5  # the first row's sample id is no text
    record = Record(msgspec.msgpack.encode(broken), 0, home(RUN), RUN.encode(), PACKED_HEADERS)
    models = {MODEL_A: LoadedModel(bundle, FeatureReader(bundle.manifest, bundle.inputs))}
    outcome = handle(
        [record],
        state=NOTHING.get,
        models=models,
        champion=None,
        partition_of=partition_of,
        epochs=PRODUCERS,
        now=NOW,
        reasons=ALL_REASONS,
    )
    assert isinstance(outcome, BatchOutcome)
    (letter,) = (msgspec.json.decode(value, type=DeadLetter) for _, value in outcome.dead_letters)
    assert json.loads(letter.value)["features"] == {"weight": 1.0, "city": "Paris", "hot": "True"}


def test_shown_values_of_categories_are_texts(kept: tuple[Storage, Bundle]) -> None:
    _, bundle = kept
    row = {
        "features": {"weight": 0.5, "city": "NYC", "hot": "maybe"},
        "model_version": MODEL_A,
        "run_id": RUN,
        "epoch": 7,
        "row_index": 0,
    }
    (answer,) = predictions(bundle, [(json.dumps(row).encode(), JSON_HEADERS)])
    assert answer.top_feature_values == {"weight": 0.5, "city": "NYC", "hot": "(unknown)"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "cannot be read"),
        (b'{"version":2,"inputs":[]}', "version 2"),
        (write_inputs(INPUTS.inputs[:2]), "not the manifest's features"),
        (write_inputs([*INPUTS.inputs[:2], ModelInput("hot", "number")]), "categories"),
        (write_inputs([*INPUTS.inputs[:2], ModelInput("hot", "category", ("True", "True"))]), "twice"),
        (None, "categories"),
    ],
)
def test_a_bundle_whose_inputs_are_not_its_models_does_not_load(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    storage = Storage(f"file://{tmp_path}").initialise()
    files = {MODEL: bytes(booster().save_raw("ubj"))} | ({} if content is None else {PREPARATION: content})
    write_bundle(storage, described(), files)
    with pytest.raises(BundleCorrupt, match=message):
        load_bundle(storage, MODEL_A)


def test_a_changed_vocabulary_is_found(tmp_path: Path) -> None:
    storage = Storage(f"file://{tmp_path}").initialise()
    written(storage)
    storage.write_bytes(
        bundle_path(MODEL_A, PREPARATION),
        write_inputs([*INPUTS.inputs[:2], ModelInput("hot", "category", ("True", "False"))]),
    )
    with pytest.raises(BundleCorrupt, match=PREPARATION):
        load_bundle(storage, MODEL_A)
