"""Header names that are not UTF-8 are read, whatever else is in the batch and however it is packed; what is damaged is
not."""

from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.kafka.aiokafka_patches import CHECKED_FROM, _TolerantRecords
from tests.support.raw_records import batch_with_names

NAMED = st.lists(st.lists(st.binary(min_size=1, max_size=6), max_size=3), min_size=1, max_size=6)


@settings(deadline=None)
@given(NAMED, st.sampled_from([0, 1, 3]))
def test_every_record_is_read_with_its_bytes(names: list[list[bytes]], codec: int) -> None:
    data = batch_with_names(names, codec)
    records = _TolerantRecords(data)
    batch = records.next_batch()
    assert batch.validate_crc()
    found: dict[int, Any] = {record.offset: record for record in batch}
    assert sorted(found) == list(range(len(names)))
    for i, wanted in enumerate(names):
        assert (found[i].key, found[i].value) == (b"k%d" % i, b"v%d" % i)
        assert [value for _, value in found[i].headers] == [b"1", None, b""][: len(wanted)]
        assert all(
            name == known.decode() for (name, _), known in zip(found[i].headers, wanted, strict=True) if _is_text(known)
        )
    assert not records.has_next()


@given(NAMED, st.sampled_from([0, 1, 3]), st.data())
def test_a_flipped_bit_is_found_as_aiokafka_finds_it(names: list[list[bytes]], codec: int, data: st.DataObject) -> None:
    whole = bytearray(batch_with_names(names, codec))
    whole[data.draw(st.integers(CHECKED_FROM, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not _TolerantRecords(bytes(whole)).next_batch().validate_crc()
    assert not MemoryRecords(bytes(whole)).next_batch().validate_crc()


def test_aiokafka_alone_cannot_read_them() -> None:
    """When this fails, `runtime.kafka.aiokafka_patches` is not needed any more."""
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch_with_names([[b"\xff"]], 0)).next_batch())


def _is_text(name: bytes) -> bool:
    try:
        return bool(name.decode())
    except UnicodeDecodeError:
        return False
