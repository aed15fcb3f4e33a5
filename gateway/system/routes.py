"""What the service says of itself: root, health, readiness, the whole system, metrics, and Swagger UI from its own copy
(works offline)."""

import asyncio
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.errors import documented_unready, ready
from gateway.system import answers as system_view
from gateway.system.broker_status import BrokerStatus, Cluster
from gateway.web.threads import Workshop
from models import kinds
from runtime.errors import Unavailable
from schemas.http.shared import Health, Readiness, RootInfo
from schemas.http.system import RedisView, System
from storage.errors import StorageUnavailable
from storage.objects.files import Storage
from storage.view.redis_store import RedisStore, RedisUnavailable

router = APIRouter(tags=["system"])
ASSETS = "/docs/assets"
STORAGE_SECONDS = 2.0


def assets() -> Path:
    """The folder of Swagger UI's files; read from the package that carries them, which is never imported."""
    spec = find_spec("fastapi_offline")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "static"


@router.get("/")
async def root(request: Request) -> RootInfo:
    """What this is and where to go on."""
    info = RootInfo(version=request.app.version)
    links = {
        name: f"{_prefix(request)}{getattr(info, name)}" for name in ("docs", "openapi", "health", "ready", "metrics")
    }
    return info.model_copy(update=links)


def _prefix(request: Request) -> str:
    """What a proxy puts before every path."""
    return str(request.scope.get("root_path", ""))


@router.get("/health")
async def health() -> Health:
    """The process answers."""
    return Health()


@router.get("/ready", response_model=Readiness, responses=documented_unready())
async def readiness(request: Request) -> Response:
    """Whether requests can be served, and what each dependency says."""
    return ready(await request.app.state.problems())


@router.get("/v1/system")
async def whole_system(request: Request) -> System:
    """What runs, what is down and what that means, lag, throughput, latency, topics, Redis. Answers also while parts
    are down."""
    state = request.app.state
    problems, storage, picture, redis = await asyncio.gather(
        state.problems(), _storage_problem(state.workshop), _picture(state.cluster), _redis(state.store)
    )
    parts, lag = system_view.parts(problems, storage, picture, redis), system_view.lag(picture)
    return System(
        asked_at=datetime.now(UTC),
        status="ready" if all(part.state == "up" for part in parts) else "degraded",
        parts=parts,
        lag=lag,
        total_lag=system_view.total_lag(lag),
        records_per_second=state.throughput.add(picture) if picture else None,
        latency=system_view.latency(picture.durations) if picture else None,
        topics=system_view.topics(picture),
        redis=redis,
        versions=_versions(request.app.version, redis),
    )


async def _picture(cluster: Cluster) -> BrokerStatus | None:
    try:
        return await cluster.look()
    except Unavailable:
        return None


async def _storage_problem(workshop: Workshop) -> str:
    try:
        async with asyncio.timeout(STORAGE_SECONDS):
            await workshop.look(Storage.exists, "datasets")
    except TimeoutError:
        return f"no answer within {STORAGE_SECONDS:g} s"
    except StorageUnavailable as error:
        return str(error)
    return system_view.OK


async def _redis(store: RedisStore) -> RedisView | None:
    try:
        info, keys = await store.about()
    except RedisUnavailable:
        return None
    return RedisView(
        version=info["redis_version"],
        used_bytes=info["used_memory"],
        max_bytes=info["maxmemory"] or None,
        keys=keys,
        clients=info["connected_clients"],
        uptime_seconds=info["uptime_in_seconds"],
        policy=info.get("maxmemory_policy"),
        evicted_keys=info.get("evicted_keys"),
    )


def _versions(own: str, redis: RedisView | None) -> dict[str, str]:
    packages = {
        name: version(name)
        for name in ("fastapi", "aiokafka", "faust-streaming", *kinds.DISTRIBUTIONS, "polars", "nicegui")
    }
    return {"intelliinspect": own, "python": platform.python_version(), **packages} | (
        {"redis": redis.version} if redis else {}
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics() -> Response:
    """Prometheus figures."""
    return Response(await asyncio.to_thread(generate_latest), headers={"Content-Type": CONTENT_TYPE_LATEST})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI."""
    prefix = _prefix(request)
    return get_swagger_ui_html(
        openapi_url=f"{prefix}/openapi.json",
        title=request.app.title,
        swagger_js_url=f"{prefix}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{ASSETS}/favicon.png",
        swagger_ui_parameters={"validatorUrl": None},
    )
