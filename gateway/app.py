"""The application: its routes, its failures, its edges, and one lifespan that opens and closes the parts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from gateway import errors
from gateway.edges import BodyLimit, Measured
from gateway.known_query import refuse_unknown
from gateway.loop_watch import watch_loop
from gateway.parts import open_parts
from gateway.presentation import Style
from gateway.routes import datasets, dead_letters, dotnet, models, runs, simulation, splits, system, training
from gateway.settings import GatewaySettings
from gateway.workshop import Workshop
from runtime.tasks import cancel_all
from storage.errors import StorageUnavailable
from storage.files import Storage

UPLOADS = frozenset({"/dataset/store", "/v1/datasets", "/api/Dataset/upload"})
"""Paths that have a limit of their own."""


Ended = Callable[["asyncio.Task[None]"], None]


def create_app(settings: GatewaySettings, work_ended: Ended = lambda _: None) -> FastAPI:
    """Build the application; nothing is opened before its lifespan begins. `work_ended` is told when the projector's task is over."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with suppress(StorageUnavailable):  # it is asked again by the first request that needs it
            await app.state.workshop.look(Storage.sweep)
        async with open_parts(settings) as parts:
            parts.install(app.state)
            app.state.problems, app.state.end_streams = parts.problems, parts.end_streams
            parts.work.add_done_callback(work_ended)
            watching = asyncio.create_task(watch_loop())
            yield
            app.state.workshop.close()
            await cancel_all(watching)

    app = FastAPI(title="IntelliInspect", version=version("intelliinspect"), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.settings = settings
    app.state.end_streams = lambda: None
    app.state.style = Style(settings.status_style, settings.score_scale)
    app.state.workshop = Workshop(Storage(settings.storage_url), settings.upload_jobs)
    errors.install(app)
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, without=UPLOADS, stall_seconds=settings.body_stall_seconds)
    if origins := [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=["Retry-After"])
    app.add_middleware(Measured)
    app.include_router(system.router)
    for module in (datasets, splits, training, models, dotnet, simulation, runs, dead_letters):
        app.include_router(module.router, dependencies=[Depends(refuse_unknown)])
    app.openapi = lambda: _without_defaults(app)  # type: ignore[method-assign]
    app.mount(system.ASSETS, StaticFiles(directory=system.assets()))
    return app


def _without_defaults(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document without FastAPI's own 422, which the .NET routes never answer with."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for operations in document["paths"].values():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
    return app.openapi_schema or {}
