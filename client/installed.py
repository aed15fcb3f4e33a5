"""Which packages of ours are installed here: the base alone, or the extras too. From the metadata; imports none of
them."""

import re
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Final

PACKAGE: Final = "intelliinspect"
CONSTRAINTS: Final = Path(__file__).parents[1] / "constraints.txt"
"""The pins that we test with; there in a checkout only."""
NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9_.-]+)==(?P<version>\S+)$", re.MULTILINE)


def installed(name: str) -> str | None:
    """The version of a package that is installed; None when it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def missing(extra: str = "") -> list[str]:
    """The packages that an extra wants, or the base, and that are not here. Of what holds for some Pythons only nothing
    is said."""
    marker = f"extra == '{extra}'" if extra else ""
    wanted = (text.partition(";") for text in requires(PACKAGE) or ())
    names = [NAME.match(text) for text, _, condition in wanted if condition.strip().replace('"', "'") == marker]
    return [name[0] for name in names if name is not None and installed(name[0]) is None]


def unlike_pins(constraints: Path = CONSTRAINTS) -> list[str]:
    """Installed packages that differ from the pins of the checkout, in words; none where there is no checkout."""
    if not constraints.is_file():
        return []
    pins = ((found["name"], found["version"]) for found in PIN.finditer(constraints.read_text()))
    return [
        f"{name} {pin} wanted, {found} installed" for name, pin in pins if (found := installed(name)) not in (None, pin)
    ]
