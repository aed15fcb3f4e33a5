"""The commands of the README do what it says: marked blocks are run in order, on a running stack, as a newcomer would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.stack import Stack

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
TESTED = re.compile(r"<!-- tested -->\n```(\w+)\n(.*?)```", re.DOTALL)
TARGETS = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.timeout(300)
def test_the_marked_blocks_run_in_order(stack: Stack, tmp_path: Path) -> None:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "INTELLIINSPECT_URL": stack.gateway_url,
        "INTELLIINSPECT_WORKSPACE": f"readme-{uuid4().hex[:8]}",
    }
    blocks = TESTED.findall(README)
    assert len(blocks) == README.count("<!-- tested -->") == 3
    printed = []
    for language, text in blocks:
        command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
        result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False)
        assert result.returncode == 0, f"{text}\n{result.stdout}\n{result.stderr}"
        printed.append(result.stdout)
    assert "1,000" in printed[0]  # 20 % of 5,000 rows were streamed and scored
    assert '"status": "ready"' in printed[1]
    assert printed[2].startswith("COMPLETED 1000")


def test_every_make_target_that_the_documents_name_exists() -> None:
    for document in (REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")):
        named = set(re.findall(r"(?:^|`)make ([a-z]+)", document.read_text(), re.MULTILINE))
        assert named <= TARGETS, f"{document}: {named - TARGETS}"


def test_every_file_that_the_readme_links_to_exists() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert [link for link in links if not (REPOSITORY / link).exists()] == []


def test_the_readme_stays_short() -> None:
    assert len(README.splitlines()) < 150
