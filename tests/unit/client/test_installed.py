"""The command knows what is installed beside it, from the metadata alone."""

from pathlib import Path

from client.installed import installed, missing, unlike_pins


def test_what_is_not_installed_has_no_version() -> None:
    assert installed("intelliinspect") is not None
    assert installed("no-such-package-of-anybody") is None


def test_nothing_is_missing_where_the_tests_run() -> None:
    assert [missing(), missing("server"), missing("devstack")] == [[], [], []]


def test_an_extra_that_does_not_exist_wants_nothing() -> None:
    assert missing("no-such-extra") == []


def test_a_package_unlike_its_pin_is_named_with_both_versions(tmp_path: Path) -> None:
    pins = tmp_path / "constraints.txt"
    pins.write_text(f"httpx=={installed('httpx')}\nrich==0.0.1\nno-such-package-of-anybody==1\n")
    assert unlike_pins(pins) == [f"rich 0.0.1 wanted, {installed('rich')} installed"]


def test_without_a_checkout_there_are_no_pins(tmp_path: Path) -> None:
    assert unlike_pins(tmp_path / "constraints.txt") == []
