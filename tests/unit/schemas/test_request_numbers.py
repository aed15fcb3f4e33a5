"""true and false are no numbers of a request."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from schemas.http.runs import ReplayCreate, Retry, RunCreate, Seek, SpeedSet, Step
from schemas.http.shared import SplitRequest

CASES: list[tuple[type[BaseModel], str]] = [
    (Seek, "row_index"),
    (Step, "rows"),
    (Retry, "from_row"),
    (Retry, "rows_per_second"),
    (SpeedSet, "rows_per_second"),
    (RunCreate, "lanes"),
    (RunCreate, "warmup_seconds"),
    *[
        (ReplayCreate, name)
        for name in ("attempt", "from_row", "partition", "from_offset", "to_offset", "lanes", "rows_per_second")
    ],
    (SplitRequest, "seed"),
    (SplitRequest, "sample_fraction"),
]


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(("shape", "name"), CASES)
def test_a_truth_value_is_no_number(shape: type[BaseModel], name: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        shape(**{name: value})
    assert (name,) in [error["loc"] for error in caught.value.errors()]
