"""Model versions and the champion: `/v1/models`."""

import asyncio
from datetime import UTC, datetime

import msgspec
from fastapi import APIRouter, Response

from gateway.dependencies import Cursor, Limit, TheCommands, TheViews, TheWorkshop, Workspace
from gateway.errors import Invalid, ObjectNotFound, StateConflict, documented, problem
from gateway.models.bundles import check_bundle
from gateway.web.threads import Workshop
from gateway.writer import OutgoingRecord
from models.bundle import BundleCorrupt, BundleMissing, read_file
from schemas import ids, topics
from schemas.http.shared import Page
from schemas.http.v1 import AliasView, ChampionSet, Model, ModelSummary
from schemas.manifests import ModelManifest
from schemas.messages import Alias, encode
from storage.view.views import Views

router = APIRouter(tags=["models"])
READ_FAILURES = documented("not_found", "invalid", "unavailable")
FILE_FAILURES = READ_FAILURES | documented("conflict")
ALIASES = ("champion", "latest")


@router.get("/v1/models", responses=documented("invalid", "unavailable"))
async def list_models(
    workspace: Workspace, views: TheViews, cursor: Cursor = None, limit: Limit = 50
) -> Page[ModelSummary]:
    """The workspace's model versions, newest first."""
    page, aliases = await asyncio.gather(views.list_models(workspace, cursor, limit), _aliases(views, workspace))
    return Page(items=[_summary(manifest, aliases) for manifest in page.items], next_cursor=page.next_cursor)


@router.get("/v1/models/champion", responses=READ_FAILURES)
async def get_champion(workspace: Workspace, views: TheViews) -> AliasView:
    """Which model version scores rows that name none."""
    alias = await views.alias("champion", workspace)
    if alias is None:
        raise ObjectNotFound("champion", workspace)
    return AliasView.model_validate(msgspec.structs.asdict(alias))


@router.put("/v1/models/champion", responses=documented("invalid", "conflict", "unavailable"))
async def set_champion(
    body: ChampionSet, workspace: Workspace, views: TheViews, commands: TheCommands, workshop: TheWorkshop
) -> AliasView:
    """Choose the model version that scores rows that name none; takes effect between two rows.

    One that is in doubt (`doubt` of the model) is a 409 unless `force` is true.
    """
    model = await views.model(body.model_version)
    if model is None:
        raise Invalid(
            [
                problem(
                    ("body", "model_version"),
                    f"No model version {body.model_version!r:.80}.",
                    "value_error.model_version",
                )
            ]
        )
    if model.doubt is not None and not body.force:
        raise StateConflict(f'{model.doubt} Send "force": true to make it the champion all the same.', "model_in_doubt")
    await check_bundle(workshop, model)
    alias = Alias(alias="champion", workspace=workspace, model_version=body.model_version, set_at=datetime.now(UTC))
    await commands.record(OutgoingRecord(topics.MODELS, ids.alias_key("champion", workspace), encode(alias)))
    return AliasView.model_validate(msgspec.structs.asdict(alias))


@router.delete("/v1/models/champion", status_code=204, responses=documented("invalid", "unavailable"))
async def unset_champion(workspace: Workspace, views: TheViews, commands: TheCommands) -> None:
    """Choose no model version: the latest scores rows that name none. There need not be a champion."""
    if await views.alias("champion", workspace) is not None:
        await commands.record(OutgoingRecord(topics.MODELS, ids.alias_key("champion", workspace), None))


@router.get("/v1/models/{model_version}", responses=READ_FAILURES)
async def get_model(model_version: str, views: TheViews) -> Model:
    """A model version's manifest."""
    manifest = await _find(views, model_version)
    return Model(**dict(manifest), aliases=_named(manifest, await _aliases(views, manifest.workspace)))


@router.get(
    "/v1/models/{model_version}/curves.png",
    response_class=Response,
    responses=FILE_FAILURES
    | {200: {"content": {"image/png": {}}, "description": "loss, accuracy, ROC, PR and threshold curves"}},
)
async def get_curves_picture(model_version: str, views: TheViews, workshop: TheWorkshop) -> Response:
    """The curves as a picture."""
    return Response(await _file(views, workshop, model_version, "curves.png"), media_type="image/png")


@router.get(
    "/v1/models/{model_version}/curves.json",
    response_class=Response,
    responses=FILE_FAILURES | {200: {"content": {"application/json": {}}, "description": "the curves' points"}},
)
async def get_curves(model_version: str, views: TheViews, workshop: TheWorkshop) -> Response:
    """The curves as points."""
    return Response(await _file(views, workshop, model_version, "curves.json"), media_type="application/json")


async def _find(views: Views, model_version: str) -> ModelManifest:
    manifest = await views.model(model_version)
    if manifest is None:
        raise ObjectNotFound("model", model_version)
    return manifest


async def _file(views: Views, workshop: Workshop, model_version: str, name: str) -> bytes:
    manifest = await _find(views, model_version)
    try:
        return await workshop.look(read_file, manifest, name)
    except BundleMissing:
        raise ObjectNotFound(name, model_version) from None
    except BundleCorrupt as error:
        raise StateConflict(f"{error}.", "model_corrupt") from error


async def _aliases(views: Views, workspace: str) -> dict[str, str]:
    found = await asyncio.gather(*(views.alias(name, workspace) for name in ALIASES))
    return {alias.alias: alias.model_version for alias in found if alias is not None}


def _named(manifest: ModelManifest, aliases: dict[str, str]) -> list[str]:
    return [alias for alias, model_version in aliases.items() if model_version == manifest.model_version]


def _summary(manifest: ModelManifest, aliases: dict[str, str]) -> ModelSummary:
    return ModelSummary(
        model_version=manifest.model_version,
        workspace=manifest.workspace,
        task_id=manifest.task_id,
        dataset_id=manifest.dataset_id,
        split_id=manifest.split_id,
        created_at=manifest.created_at,
        feature_count=len(manifest.features),
        threshold=manifest.threshold,
        threshold_objective=manifest.threshold_objective,
        test_metrics=manifest.test_metrics,
        doubt=manifest.doubt,
        aliases=_named(manifest, aliases),
    )
