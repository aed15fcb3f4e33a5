"""Settings of an upload by their names and obvious spellings; what nobody knows is refused with what was meant."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.datasets.upload_options import NAMES, canonical, read_options
from schemas.http.dotnet import RangesRequest
from schemas.http.shared import SplitRequest
from schemas.http.v1 import TrainingOptions
from storage.tables.options import DatasetOptions


def options(*fields: tuple[str, str], query: list[tuple[str, str]] | None = None) -> Any:
    return read_options(fields, query or [], max_unread_share=0.05)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        *((name, name) for name in NAMES),
        ("passValue", "pass_value"),
        ("PassValue", "pass_value"),
        ("pass-value", "pass_value"),
        ("LABEL", "label"),
        ("labelColumn", "label"),
        ("delimiter", "separator"),
        ("timezone", "time_zone"),
        ("charset", "encoding"),
        ("excludeColumns", "exclude"),
        ("frobnicate", None),
        ("", None),
    ],
)
def test_a_setting_is_known_by_its_name_and_obvious_spellings(name: str, setting: str | None) -> None:
    assert canonical(name) == setting


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("label", "y"), ("passValue", "0")], {"label": "y", "pass_value": "0"}),
        ([("label", " "), ("pass_value", "")], {}),
        ([("separator", "tab")], {"separator": "\t"}),
        ([("sep", "|")], {"separator": "|"}),
        ([("separator", "\t")], {"separator": "\t"}),
        ([("decimal", ","), ("thousands", ".")], {"decimal": ",", "thousands": "."}),
        ([("decimal", "comma")], {"decimal": ","}),
        ([("header", "no")], {"header": False}),
        ([("header", "TRUE")], {"header": True}),
        ([("exclude", "a, b"), ("exclude", "c")], {"exclude": ("a", "b", "c")}),
        ([("exclude", '["a,b", "c"]')], {"exclude": ("a,b", "c")}),
        ([("na_values", "-999,Bad")], {"na_values": ("-999", "Bad")}),
        ([("max_unread_share", "0.2")], {"max_unread_share": 0.2}),
        (
            [("synthetic_start", "2024-01-02"), ("synthetic_step_seconds", "5")],
            {"synthetic_start": datetime(2024, 1, 2, tzinfo=UTC), "synthetic_step_seconds": 5.0},
        ),
        (
            [("time_zone", "Europe/Berlin"), ("time_format", "dmy"), ("encoding", "cp949")],
            {"time_zone": "Europe/Berlin", "time_format": "dmy", "encoding": "cp949"},
        ),
    ],
)
def test_settings_are_read(fields: list[tuple[str, str]], expected: dict[str, Any]) -> None:
    assert options(*fields) == DatasetOptions(**expected)
    assert options(query=fields) == DatasetOptions(**expected)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (("lable", "y"), "There is no field 'lable' here; did you mean 'label'?"),
        (("pass_vale", "y"), "There is no field 'pass_vale' here; did you mean 'pass_value'?"),
        (("colour", "red"), "There is no field 'colour' here; there are: "),
        (("decimal", "x"), "Give the decimal sign: . or ,"),
        (("header", "perhaps"), "Give yes or no."),
        (("max_unread_share", "2"), "Give a share from 0 to 1."),
        (("separator", "ab"), "Give one of"),
        (("synthetic_start", "soon"), "Give an ISO 8601"),
        (("synthetic_step_seconds", "0"), "above 0"),
    ],
)
def test_what_is_wrong_is_said_with_the_field(field: tuple[str, str], message: str) -> None:
    (found,) = options(field)
    assert found.loc == ["body", field[0]]
    assert found.msg.startswith(message) or message in found.msg


def test_all_problems_come_together_each_where_it_stands() -> None:
    found = options(("lable", "y"), ("decimal", "x"), query=[("tz1x", "z")])
    assert [tuple(one.loc) for one in found] == [("body", "lable"), ("query", "tz1x"), ("body", "decimal")]


def test_a_setting_that_is_given_twice_differently_is_refused() -> None:
    (found,) = options(("label", "a"), ("label", "b"))
    assert found.type == "value_error.repeated"
    assert options(("label", "a"), query=[("label", "a")]) == DatasetOptions(label="a")


def test_the_old_routes_understand_other_spellings_refuse_slips_and_pass_over_the_rest() -> None:
    assert (
        SplitRequest.model_validate(
            {"trainStartDate": "2024-01-01", "sampleFraction": 0.5, "whatever": 1}
        ).sample_fraction
        == 0.5
    )
    assert SplitRequest.model_validate({"TRAIN_START_DATE": "2024-01-01"}).train_start_date == "2024-01-01"
    assert (
        RangesRequest.model_validate({"TrainStart": "2024-01-01", "trainEnd": "2024-01-02"}).train_start == "2024-01-01"
    )
    assert TrainingOptions.model_validate({"splitId": "split-1", "client": "web"}).split_id == "split-1"
    with pytest.raises(ValidationError, match="Did you mean 'train_start_date'"):
        SplitRequest.model_validate({"train_strat_date": "2024-01-01"})
