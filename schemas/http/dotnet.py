"""HTTP shapes of the .NET routes (docs/design/contract.md): camelCase on the wire, snake_case in Python."""

from typing import Any, Literal

from pydantic import ConfigDict, model_validator
from pydantic.alias_generators import to_camel

from schemas.http.shared import DateText, Shape, understood


class CamelShape(Shape):
    """Base: written and read in camelCase; Python names are accepted too."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class UploadResponse(CamelShape):
    """An upload in numbers. `number_of_columns` counts a synthetic time column; `pass_rate_percentage` is 0-100."""

    number_of_records: int
    number_of_columns: int
    pass_rate_percentage: float
    first_timestamp: str
    last_timestamp: str
    file_name: str
    file_size: str
    dataset_id: str
    task_id: str
    timestamps_are_synthetic: bool = False
    notices: list[str]


class RangesRequest(CamelShape):
    """Three ranges of time as the client's user typed them; a field that is missing or no date is reported in the
    answer."""

    train_start: DateText = None
    train_end: DateText = None
    test_start: DateText = None
    test_end: DateText = None
    simulation_start: DateText = None
    simulation_end: DateText = None

    @model_validator(mode="before")
    @classmethod
    def _understand(cls, data: Any) -> Any:
        return understood(cls, data)


class RangesValid(CamelShape):
    """The ranges can be split by."""

    status: Literal["Valid"] = "Valid"
    message: str = "Date ranges are valid and sequential."


class RangesInvalid(CamelShape):
    """400: `message` is the first of `errors`, which holds all."""

    status: Literal["Invalid"] = "Invalid"
    message: str
    errors: list[str]


class SplitAnswer(CamelShape):
    """The split of `/process/split-data` in camelCase."""

    message: str
    split_id: str
    dataset_id: str
    train_set_path: str
    train_set_rows: int
    test_set_path: str
    test_set_rows: int
    simulation_set_path: str
    simulation_set_rows: int
    daily_distribution: dict[str, int]


class DotnetNotFound(CamelShape):
    """404 of the .NET routes."""

    message: str
