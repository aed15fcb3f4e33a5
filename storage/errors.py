"""What can be wrong with stored things, in two kinds.

`Problem` is a value: something that a person sent and can mend (a file, ranges, settings). All problems of a request come together.
`StorageUnavailable` is raised: waiting may help. Errors of model bundles are in `storage.bundles`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class StorageUnavailable(Exception):
    """The storage does not answer or refuses: permissions, disk full, network. Bounded retry, then 503."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `code` is stable, `field` names the input it is about, `message` says it in full.

    `values` holds the facts behind the message (column, line, value, …) for whoever words it differently.
    """

    code: str
    field: str
    message: str
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def rows_text(count: int) -> str:
    """`1 row`, `2 rows`, for messages."""
    return "1 row" if count == 1 else f"{count} rows"
