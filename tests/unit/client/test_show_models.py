"""Models in a terminal: a model in doubt says so in its list and by itself, beside how sure its figures are."""

import io

from rich.console import Console, RenderableType

from client.command import show
from schemas.http.shared import Page
from schemas.http.v1 import Model, ModelSummary
from schemas.manifests import Baseline, Interval
from tests.support.view_records import model

DOUBT = "On the test set this model is not better than calling every row PASS: 0 of 12 failures found, MCC -0.05."


def printed(what: RenderableType) -> str:
    out = io.StringIO()
    Console(file=out, width=200).print(what)
    return " ".join(out.getvalue().split())


def doubted(version: str, doubt: str | None) -> Model:
    found = model(version)
    metrics = found.test_metrics.model_copy(
        update={
            "mcc": -0.05,
            "intervals": {"mcc": Interval(low=-0.2, high=0.1)},
            "baseline": Baseline(accuracy=0.94, mcc=0, recall=0, pr_auc=0.06),
        }
    )
    warnings = [doubt] if doubt else []
    return Model(
        **dict(found.model_copy(update={"test_metrics": metrics, "doubt": doubt, "warnings": warnings})), aliases=[]
    )


def summary(one: Model) -> ModelSummary:
    shared = {name: getattr(one, name) for name in ModelSummary.model_fields if hasattr(one, name)}
    return ModelSummary(**shared, feature_count=len(one.features))


def test_a_model_in_doubt_is_marked_in_the_list_and_its_sentence_follows() -> None:
    page: Page[ModelSummary] = Page(
        items=[summary(doubted("model-00000000000a", DOUBT)), summary(doubted("model-00000000000b", None))],
        next_cursor=None,
    )
    text = printed(show.models(page))
    assert text.count(DOUBT) == 1
    assert "? model-00000000000a:" in text
    assert "-0.050 ?" in text


def test_a_model_shows_its_doubt_its_interval_and_what_all_pass_would_reach() -> None:
    text = printed(show.model(doubted("model-00000000000a", DOUBT)))
    assert DOUBT in text
    assert "MCC -0.050 (-0.200 to 0.100)" in text
    assert "(all PASS: 0.940)" in text
