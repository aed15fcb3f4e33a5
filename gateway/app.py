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
from gateway.datasets import routes as datasets
from gateway.datasets import split_routes as splits
from gateway.datasets.upload import MAX_FIELD_BYTES, MAX_PARTS
from gateway.dead_letters import routes as dead_letters
from gateway.dotnet import routes as dotnet
from gateway.known_query import refuse_unknown
from gateway.models import routes as models
from gateway.models import training_routes as training
from gateway.parts import open_parts
from gateway.runs import routes as runs
from gateway.runs import simulation_routes as simulation
from gateway.settings import GatewaySettings
from gateway.spoken import Spoken
from gateway.system import quarantine_routes as quarantine
from gateway.system import routes as system
from gateway.web.loop_watch import watch_loop
from gateway.web.middleware import BodyLimit, RequestTimes
from gateway.web.plain_errors import PlainErrors, is_plain
from gateway.web.style import CONTRACT, OLD
from gateway.web.threads import Workshop
from runtime.network import is_loopback
from runtime.tasks import cancel_all
from storage.errors import StorageUnavailable
from storage.objects.files import Storage

UPLOADS = frozenset({"/dataset/store", "/v1/datasets", "/api/Dataset/upload"})
"""Paths that have a limit of their own."""
WEB_PORTS = (4200, 5173, 3000)
"""Where Angular, Vite and others serve a page that is being made."""


Ended = Callable[["asyncio.Task[None]"], None]


def create_app(settings: GatewaySettings, work_ended: Ended = lambda _: None) -> FastAPI:
    """Build the application; nothing is opened before its lifespan begins. `work_ended` is told when the projector's
    task is over."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with suppress(StorageUnavailable):  # it is asked again by the first request that needs it
            await app.state.workshop.look(Storage.sweep)
        async with open_parts(settings) as parts:
            parts.install(app.state)
            app.state.problems, app.state.end_streams = parts.problems, parts.end_streams
            parts.work.add_done_callback(work_ended)
            watching = asyncio.create_task(watch_loop())
            describing = asyncio.create_task(
                asyncio.to_thread(app.openapi)
            )  # half a second; `Spoken` asks for it at the first /api/
            yield
            app.state.workshop.close()
            await cancel_all(watching, describing)

    app = FastAPI(
        title="IntelliInspect",
        version=version("intelliinspect"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.end_streams = lambda: None
    app.state.dotnet_dialect = OLD if settings.dotnet_dialect == "web" else CONTRACT
    app.state.ml_dialect = OLD if settings.ml_dialect == "celery" else CONTRACT
    app.state.workshop = Workshop(Storage(settings.storage_url), settings.upload_jobs)
    errors.install(app)
    app.add_middleware(
        BodyLimit, limit=settings.max_body_bytes, without=UPLOADS, stall_seconds=settings.body_stall_seconds
    )
    if settings.dotnet_dialect == "web":
        app.add_middleware(PlainErrors)
    app.add_middleware(
        Spoken,
        document=lambda: app.openapi(),
        uploads=UPLOADS,
        upload_bytes=settings.max_upload_bytes,
        form_bytes=MAX_PARTS * MAX_FIELD_BYTES,
        prefix=settings.root_path,
        cached=(system.ASSETS,),
    )
    if origins := allowed_origins(settings.cors_origins, settings.host):
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    app.add_middleware(RequestTimes)
    app.include_router(system.router)
    for module in (datasets, splits, training, models, dotnet, simulation, runs, dead_letters, quarantine):
        app.include_router(module.router, dependencies=[Depends(refuse_unknown)])
    app.openapi = lambda: _without_defaults(app)  # type: ignore[method-assign]
    app.mount(system.ASSETS, StaticFiles(directory=system.assets()))
    return app


def allowed_origins(setting: str, host: str) -> list[str]:
    """The origins whose pages may call: those named; by `none` no one; by `auto` those of `WEB_PORTS` while only this
    machine can call."""
    if setting != "auto":
        return [origin.strip() for origin in setting.split(",") if origin.strip() and origin.strip() != "none"]
    return (
        [f"http://{name}:{port}" for name in ("localhost", "127.0.0.1") for port in WEB_PORTS]
        if is_loopback(host)
        else []
    )


def _without_defaults(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document without FastAPI's own 422, which the .NET routes never answer with."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                if "HTTPValidationError" in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]
                if is_plain(path):
                    _add_plain_text(operation["responses"])
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema


def _add_plain_text(responses: dict[str, Any]) -> None:
    """Errors of these routes are plain text in the web client's dialect."""
    for status, response in responses.items():
        if int(status) >= 400:
            response.setdefault("content", {})["text/plain"] = {"schema": {"type": "string"}}
