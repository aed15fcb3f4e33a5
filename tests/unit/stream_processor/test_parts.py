import pytest

from runtime.settings import load
from stream_processor.kafka.transactions import PRODUCER_BATCH_BYTES, _parts
from stream_processor.settings import StreamProcessorSettings


def test_records_are_cut_into_parts_that_fit_and_stay_in_order() -> None:
    sizes = [10, PRODUCER_BATCH_BYTES // 2, PRODUCER_BATCH_BYTES // 2, 3 * PRODUCER_BATCH_BYTES, 10, 10]
    records = [(b"%d" % i, b"x" * size) for i, size in enumerate(sizes)]
    parts = _parts(records)
    assert [record for part in parts for record in part] == records
    assert all(len(part) == 1 or sum(len(value) for _, value in part) < PRODUCER_BATCH_BYTES for part in parts)
    assert _parts([]) == []


def test_settings_come_from_the_environment_with_the_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_PROCESSOR_BATCH_ROWS", "17")
    monkeypatch.setenv("DATA_PARTITIONS", "3")
    settings = load(StreamProcessorSettings)
    assert (settings.batch_rows, settings.data_partitions, settings.health_port) == (17, 3, 8101)
