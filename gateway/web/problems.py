"""Problems of stored things, worded for each route group: where in the request they are, and their `type`. Pure."""

from collections.abc import Iterable

from schemas.http import shared as api
from storage.errors import StorageProblem
from storage.tables.ranges import dotnet_message

TYPES = {
    "not_csv": "value_error.filetype",
    "date_invalid": "value_error.date",
    "date_order": "value_error.date.ordering",
    "date_overlap": "value_error.date.overlap",
    "date_bounds": "value_error.date.bounds",
}
"""`type` of a code; any other code becomes `value_error.<code>`."""


def ml(problems: Iterable[StorageProblem]) -> list[api.Problem]:
    """As the ML routes name them: the field of the request is the problem's own."""
    return [api.Problem(loc=["body", one.field], msg=one.message, type=_type(one)) for one in problems]


def v1(problems: Iterable[StorageProblem]) -> list[api.Problem]:
    """As `/v1` names them: `train_start_date` is `train.start` there."""
    return [
        api.Problem(loc=["body", *one.field.removesuffix("_date").split("_")], msg=one.message, type=_type(one))
        for one in problems
    ]


def dotnet(problems: Iterable[StorageProblem]) -> list[api.Problem]:
    """As the .NET routes word them."""
    return [api.Problem(loc=["body", one.field], msg=dotnet_message(one), type=_type(one)) for one in problems]


def _type(one: StorageProblem) -> str:
    return TYPES.get(one.code, f"value_error.{one.code}")
