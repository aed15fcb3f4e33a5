"""What the documents lead to is there: links, modules, decisions. Nothing leads out of the repository."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md"), *REPOSITORY.glob("examples/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`((?:[a-z_]+/)+[A-Za-z0-9_.*-]+\.(?:py|json|md|html|ipynb))`")
SOURCES = [
    path for package in REPOSITORY.iterdir() if (package / "__init__.py").exists() for path in package.rglob("*.py")
]
OF_ONE_MACHINE = re.compile(r"(?<![\w.:/])/(?:work|root|home/\w+|Users)/\w")
DECISIONS = REPOSITORY / "docs" / "adr"


def anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_and_every_module_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text()
    for link in LINK.findall(text):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        assert target.is_relative_to(REPOSITORY), link
        assert not anchor or target.suffix != ".md" or anchor in anchors(target), link
    for name in CODE.findall(text):
        if document.parent != DECISIONS:  # a decision speaks of the code of its day
            assert list(REPOSITORY.glob(name)), name


def test_no_source_cites_a_document_that_is_not_there() -> None:
    assert SOURCES
    for path in SOURCES:
        for name in re.findall(r"\b(docs/[\w/.-]+\.(?:md|json))\b", path.read_text()):
            assert (REPOSITORY / name).exists(), f"{path}: {name}"
        assert not re.search(
            r"\b(?:DESIGN|CONTRACT|STREAMING|STRUCTURE|STYLE|WORKFLOW\w*)(?:\.md| §)", path.read_text()
        ), path


def test_nothing_names_a_place_of_one_machine() -> None:
    for path in [*SOURCES, *DOCUMENTS, REPOSITORY / "Makefile", REPOSITORY / ".env.example"]:
        assert not OF_ONE_MACHINE.search(path.read_text()), path


def test_the_list_of_decisions_holds_each_one_with_its_title_date_and_status() -> None:
    rows = re.findall(
        r"^\| (\d+) \| \[(.*)\]\((.*)\) \| (\d{4}-\d\d-\d\d) \| (\w.*) \|$",
        (DECISIONS / "README.md").read_text(),
        re.MULTILINE,
    )
    listed = {file: (int(number), title) for number, title, file, _, _ in rows}
    there = {}
    for path in DECISIONS.glob("[0-9]*.md"):
        number, title = re.match(r"# (\d+)\. (.*)", path.read_text()).groups()  # type: ignore[union-attr]
        there[path.name] = (int(number), title)
        assert int(path.name[:4]) == int(number), path
    assert listed == there
    assert len({number for number, _ in there.values()}) == len(there)
