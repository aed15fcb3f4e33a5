"""Every setting of every process, as `.env.example` shows it: `python -m devstack.environment > .env.example` (a test
compares them)."""

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from devstack.settings import DevstackSettings
from runtime.errors import ConfigurationError
from runtime.network import is_loopback
from runtime.settings import ProcessSettings, load, variable

HEAD = """\
# Every setting of every process with its default. Copy to .env and uncomment what you change;
# the environment wins over .env.
# `make …`, `python -m devstack …` and `docker compose` read .env.
"""
DEMO = """
# --- make demo
# rows that are streamed before the summary; 0: the whole simulation set
# DEMO_ROWS=60
# 1: stop everything after the summary
# DEMO_EXIT=
"""
REMEMBERED = "settings.json"
SECTIONS = {
    "runtime.settings": "shared by all processes; given addresses replace the stack's own Kafka and Redis",
    "gateway.settings": "gateway",
    "stream_processor.settings": "stream_processor",
    "producer.settings": "producer",
    "trainer.settings": "trainer",
    "dashboard.settings": "dashboard",
    "devstack.settings": "devstack: the stack on one machine",
    "client.settings": "client and the intelliinspect command",
}
"""Module with one settings class → title."""


def example() -> str:
    """The whole file."""
    shared = set(ProcessSettings.model_fields)
    told: set[str] = set()
    parts = [HEAD]
    for title, settings in settings_classes():
        parts.append(f"\n# --- {title}\n")
        for field, info in settings.model_fields.items():
            name = variable(settings, field)
            if name not in told and (settings is ProcessSettings or field not in shared):
                told.add(name)
                parts += _lines(name, info, settings)
    return "".join([*parts, DEMO])


def check() -> None:
    """Read the settings of every process as it would. Raises one `ConfigurationError` that names every wrong
    variable."""
    wrong: dict[str, str] = {}
    for _, settings in settings_classes():
        try:
            load(settings)
        except ConfigurationError as error:
            for line in str(error).split("; "):
                wrong.setdefault(line.partition(":")[0], line)  # several processes read the same variable
    if wrong:
        raise ConfigurationError("\n".join(wrong.values()))


def remember_settings(folder: Path) -> None:
    """Write down by which settings a stack is started in this folder, for `changed_settings`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REMEMBERED).write_text(json.dumps(_given()))


def changed_settings(folder: Path) -> list[str]:
    """The variables that are set otherwise than when the stack of this folder was started; none when that is not
    known."""
    try:
        then = json.loads((folder / REMEMBERED).read_text())
    except (OSError, ValueError):
        return []
    now = _given()
    return sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))


def _given() -> dict[str, str]:
    """What is set, by hash: there are passwords among it."""
    names = {variable(settings, field) for _, settings in settings_classes() for field in settings.model_fields}
    kept = names - {"DEVSTACK_FOLDER", "INTELLIINSPECT_URL", "INTELLIINSPECT_WORKSPACE"}
    return {name: sha256(os.environ[name].encode()).hexdigest()[:16] for name in sorted(kept) if os.environ.get(name)}


def open_to_others() -> list[str]:
    """The variables by which some process listens beyond this machine."""
    names = [
        variable(settings, field)
        for _, settings in settings_classes()
        for field in settings.model_fields
        if field.endswith("host")
    ]
    return [name for name in names if not is_loopback(os.environ.get(name) or "localhost")]


def settings_classes() -> Iterator[tuple[str, type[BaseSettings]]]:
    """Every settings class with its title."""
    for name, title in SECTIONS.items():
        if importlib.util.find_spec(name) is not None:
            module = importlib.import_module(name)
            classes = [
                found for found in vars(module).values() if isinstance(found, type) and issubclass(found, BaseSettings)
            ]
            yield from ((title, found) for found in classes if found.__module__ == name)


def _lines(name: str, info: FieldInfo, settings: type[BaseSettings]) -> Iterator[str]:
    if info.description and not (settings is DevstackSettings and info.validation_alias):
        yield f"# {info.description}\n"
    default = info.get_default(call_default_factory=True, validated_data={})
    text = (
        ""
        if default in (None, PydanticUndefined)
        else str(default).lower()
        if isinstance(default, bool)
        else str(default)
    )
    yield f"# {name}={text}\n"


if __name__ == "__main__":
    sys.stdout.write(example())
