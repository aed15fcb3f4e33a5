"""Models: the versions, one version with all that is known of it, and the champion."""

from nicegui import ui

from client.errors import ClientError
from dashboard import charts, figures, texts
from dashboard.frame import card, explained, frame, guarded, heading, page_at, show, sure
from dashboard.gateway import client
from dashboard.markup import Html, badge, facts, html, joined, link, mono, table, time
from dashboard.model_view import measured, understood
from dashboard.page_runs import runs_table
from schemas.http.v1 import Model, ModelSummary

PAGE = 50
SHOWN_FEATURES = 20
RUNS_LOOKED_AT = 100


def register() -> None:
    @page_at("/models")
    async def models_page(cursor: str = "") -> None:
        with frame(texts.MODELS_TITLE, "/models"):
            heading(texts.MODELS_TITLE, texts.MODELS_LEAD)
            await guarded(lambda: _list(cursor))

    @page_at("/models/{model_version}")
    async def model_page(model_version: str) -> None:
        with frame(model_version, "/models"):
            heading(model_version)
            await guarded(lambda: _model(model_version))


def roles(aliases: list[str]) -> Html:
    """What a version is called in this workspace."""
    signs = {texts.CHAMPION: "★ "}
    return joined(
        [badge(signs.get(name, "") + name, "good" if name == texts.CHAMPION else "live") for name in aliases], " "
    ) or Html(figures.DASH)


async def _list(cursor: str) -> None:
    page = await client.models(cursor=cursor or None, limit=PAGE)
    with card():
        if not page.items:
            ui.label(texts.MODELS_NONE).classes("ii-muted")
            return
        show(table(texts.COLUMNS_MODELS, [_row(item) for item in page.items], caption=texts.MODELS_TITLE))
        if page.next_cursor:
            show(link(f"/models?cursor={page.next_cursor}", texts.MORE))


def _row(item: ModelSummary) -> list[str]:
    return [
        link(f"/models/{item.model_version}", mono(item.model_version)),
        roles(item.aliases),
        joined(
            [html(figures.score(item.test_metrics.mcc)), badge(texts.IN_DOUBT, "warn") if item.doubt else Html("")], " "
        ),
        figures.score(item.test_metrics.f1_score),
        figures.score(item.test_metrics.recall),
        figures.count(item.feature_count),
        link(f"/guide/dataset/{item.dataset_id}", mono(item.dataset_id)),
        time(item.created_at),
    ]


async def _model(model_version: str) -> None:
    model = await client.model(model_version)
    with ui.element("div").classes("ii-row"):
        show(roles(model.aliases)).classes(remove="w-full")
        ui.button(texts.TO_SIMULATE, on_click=lambda: ui.navigate.to(f"/guide/simulate/{model_version}")).props(
            "unelevated no-caps color=primary"
        )
        if texts.CHAMPION not in model.aliases:
            ui.button(texts.MAKE_CHAMPION, icon="star", on_click=lambda: _crown(model)).props(
                "outline no-caps color=primary"
            )
    measured(model.test_metrics, model.warnings)
    with ui.element("div").classes("ii-two"):
        with card(texts.IMPORTANCE):
            best = sorted(model.feature_gains.items(), key=lambda item: -item[1])[:SHOWN_FEATURES]
            chart = charts.ranking([name for name, _ in best], [gain for _, gain in best])
            ui.echart(chart).style(f"height:{50 + 19 * len(best)}px")
        with card(texts.MANIFEST):
            show(_manifest(model))
    await understood(model_version, model.test_metrics, model.threshold)
    with card(texts.USED_BY):
        found = [run for run in (await client.runs(limit=RUNS_LOOKED_AT)).items if run.model_version == model_version]
        if found:
            show(runs_table(found, texts.USED_BY))
        else:
            ui.label(texts.USED_BY_NONE).classes("ii-muted")


def _manifest(model: Model) -> Html:
    parameters = ", ".join(f"{name} = {value}" for name, value in sorted(model.parameters.items()))
    versions = ", ".join(f"{name} {value}" for name, value in sorted(model.library_versions.items()))
    return facts(
        [
            (texts.DATASET, link(f"/guide/dataset/{model.dataset_id}", mono(model.dataset_id))),
            (texts.SPLIT, link(f"/guide/train/{model.split_id}", mono(model.split_id))),
            (texts.TRAINED_BY, link(f"/guide/training/{model.task_id}", mono(model.task_id))),
            (texts.TRAINED, time(model.created_at)),
            (texts.FEATURES, figures.count(len(model.features))),
            (texts.LABEL, f"{model.label}, PASS = {model.pass_value}"),
            (
                texts.THRESHOLD,
                (
                    f"{figures.score(model.threshold)}"
                    f" ({texts.OBJECTIVES.get(model.threshold_objective, model.threshold_objective)})"
                ),
            ),
            (texts.BEST_ROUND.capitalize(), figures.count(model.best_iteration + 1)),
            (texts.SEED, str(model.seed)),
            (texts.PARAMETERS, parameters),
            (texts.VERSIONS, versions),
            (texts.DATA_HASH, mono(model.dataset_sha256)),
        ]
    )


async def _crown(model: Model) -> None:
    if not await sure(texts.CHAMPION_SURE.format(model=model.model_version), texts.MAKE_CHAMPION, kind="primary"):
        return
    if model.doubt and not await sure(texts.CHAMPION_DOUBT.format(doubt=model.doubt), texts.MAKE_CHAMPION_ANYWAY):
        return
    try:
        await client.set_champion(model.model_version, force=model.doubt is not None)
    except ClientError as error:
        with ui.dialog(value=True), ui.card():
            show(explained(error))
        return
    ui.navigate.reload()
