"""What is wrong with the names of a header. Pure."""

from collections import Counter
from collections.abc import Sequence

from storage.errors import StorageProblem

LISTED = 10
RESERVED = ("__index__", "__id__", "__time__", "__label__")
"""Columns that a split adds."""


def check_names(names: Sequence[str], unnamed: Sequence[int]) -> list[StorageProblem]:
    """What is wrong with the names of a header; `unnamed` are places that only seem to be columns."""
    blank = [place + 1 for place, name in enumerate(names) if not name and place not in unnamed]
    repeated = [name for name, count in Counter(names).items() if name and count > 1]
    reserved = [name for name in names if name in RESERVED]
    problems = [blank_names(blank)] if blank else []
    if repeated:
        message = f"Column names must differ; more than once in the header: {_shown(repeated)}."
        problems.append(StorageProblem("columns_duplicate", "file", message, {"columns": repeated}))
    if reserved:
        problems.append(
            StorageProblem(
                "columns_reserved",
                "file",
                f"These column names are used internally: {_shown(reserved)}.",
                {"columns": reserved},
            )
        )
    return problems


def blank_names(places: Sequence[int]) -> StorageProblem:
    """Columns with values and without a name, by their places from 1."""
    message = f"Every column needs a name; blank in the header though there are values below: column {_shown(places)}."
    return StorageProblem("columns_blank", "file", message, {"columns": list(places)})


def _shown(columns: Sequence[object]) -> str:
    return ", ".join(map(repr, columns[:LISTED])) + (", …" if len(columns) > LISTED else "")
