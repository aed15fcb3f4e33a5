"""One idea has one name: a public class stands once in the whole repository."""

import ast
from collections import defaultdict
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
ROOMS = [path.parent for path in REPOSITORY.glob("*/py.typed")] + [REPOSITORY / "benchmarks"]


def test_a_public_class_stands_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted(path for room in ROOMS for path in room.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(REPOSITORY)))
    assert len(places) > 300
    assert not {name: found for name, found in places.items() if len(found) > 1}
