"""The download of Kafka: what was interrupted is not taken for complete."""

from pathlib import Path

import pytest

from devstack.java import _alone


def test_the_file_of_a_killed_download_is_removed_at_the_next_start(tmp_path: Path) -> None:
    half, whole = tmp_path / "half.jar", tmp_path / "whole.jar"
    half.write_bytes(b"PK half")
    whole.write_bytes(b"PK whole")
    with _alone(tmp_path / "cache") as journal:
        journal.write_text(str(half))  # and then the process is killed
    with _alone(tmp_path / "cache") as journal:
        assert not journal.exists()
    assert (half.exists(), whole.exists()) == (False, True)


def test_only_one_process_downloads_at_a_time(tmp_path: Path) -> None:
    import fcntl

    with _alone(tmp_path), (tmp_path / "intelliinspect.lock").open("a") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
