"""Logs of several parts, followed together."""

from pathlib import Path

from devstack.child import tail
from devstack.logs import Follower, files, last_lines


def test_what_is_appended_comes_as_whole_lines_and_a_log_that_begins_anew_is_read_from_its_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "producer.log"
    path.write_text("old\n")
    reader = Follower(files(tmp_path, []))
    assert reader.new_lines() == []
    with path.open("a") as log:
        log.write("one\ntw")
    assert reader.new_lines() == [("producer", "one")]
    with path.open("a") as log:
        log.write("o\n")
    assert reader.new_lines() == [("producer", "two")]
    path.write_text("anew\n")
    assert reader.new_lines() == [("producer", "anew")]


def test_files_are_chosen_by_part(tmp_path: Path) -> None:
    for name in ("kafka", "producer", "trainer"):
        (tmp_path / f"{name}.log").touch()
    assert list(files(tmp_path, ["trainer", "kafka"])) == ["kafka", "trainer"]
    assert list(files(tmp_path, [])) == ["kafka", "producer", "trainer"]


def test_last_lines_and_tail_tell_where_a_missing_log_should_be(tmp_path: Path) -> None:
    path = tmp_path / "one.log"
    assert last_lines(path, 3) == []
    assert str(path) in tail(path)
    path.write_text("a\nb\nc\n")
    assert last_lines(path, 2) == ["b", "c"]
    assert tail(path, lines=1).endswith("  c")
