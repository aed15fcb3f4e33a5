"""What the service says of itself: root, health, readiness, metrics, and Swagger UI from its own copy, so that it works offline."""

import asyncio
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.errors import documented_unready, ready
from schemas.api import Health, Readiness, RootInfo

router = APIRouter(tags=["system"])
ASSETS = "/docs/assets"


def assets() -> Path:
    """The folder of Swagger UI's files; read from the package that carries them, which is never imported."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "static"


@router.get("/")
async def root(request: Request) -> RootInfo:
    """What this is and where to go on."""
    return RootInfo(version=request.app.version)


@router.get("/health")
async def health() -> Health:
    """The process answers."""
    return Health()


@router.get("/ready", response_model=Readiness, responses=documented_unready())
async def readiness(request: Request) -> Response:
    """Whether requests can be served, and what each dependency says."""
    return ready(await request.app.state.problems())


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Prometheus figures."""
    return Response(await asyncio.to_thread(generate_latest), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI."""
    return get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
