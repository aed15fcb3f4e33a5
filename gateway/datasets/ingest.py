"""Uploads become datasets: receive, ingest off the event loop, announce. Whatever fails leaves nothing behind. Kafka
need not be there."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress

from fastapi import Request

from gateway.datasets.outbox import Outbox
from gateway.datasets.upload import Received, drain, receive
from gateway.datasets.upload_options import read_options
from gateway.errors import Invalid, NotEnoughRoom, TooLarge, storage_is_full
from gateway.metrics import UPLOAD_SECONDS
from gateway.settings import GatewaySettings
from gateway.web.problems import ml
from gateway.web.threads import Workshop
from schemas.manifests import DatasetManifest
from storage.errors import StorageUnavailable
from storage.tables.datasets import ingest
from storage.view.redis_store import RedisUnavailable, ViewRebuilding
from storage.view.views import Views


async def store(
    request: Request, workspace: str, settings: GatewaySettings, workshop: Workshop, views: Views, outbox: Outbox
) -> DatasetManifest:
    """Take the request's file in, make a dataset of it and have its features ranked. Raises `Invalid`, `TooLarge`,
    `NotEnoughRoom`."""
    stream = request.stream()
    try:
        with suppress(ViewRebuilding):  # it will show the dataset when it is whole
            await views.ready()  # no 10 GB for nothing
    except RedisUnavailable:
        if "expect" not in request.headers:  # who waits to be asked for the body need not be
            await drain(stream)
        raise
    length = request.headers.get("content-length", "")
    size = int(length) if length.isdecimal() else None
    free = workshop.storage.free_bytes
    with storage_is_full(free, size), ExitStack() as cleaning:
        try:
            folder = await asyncio.to_thread(cleaning.enter_context, workshop.storage.scratch())
            _check_room(await asyncio.to_thread(free), size, settings.max_upload_bytes)
        except (StorageUnavailable, NotEnoughRoom):
            await drain(stream)
            raise
        try:
            started = time.perf_counter()
            received = await receive(
                stream,
                request.headers.get("content-type", ""),
                size,
                folder,
                settings.max_upload_bytes,
            )
            UPLOAD_SECONDS.labels("receive").observe(time.perf_counter() - started)
            manifest = await _ingest(workshop, received, request.query_params.multi_items(), workspace, settings)
        finally:
            await asyncio.to_thread(cleaning.close)
    try:
        with storage_is_full():
            await outbox.announce(manifest)
    except Exception:  # a cancellation leaves open whether Kafka has it
        await asyncio.to_thread(workshop.storage.remove, f"datasets/{manifest.dataset_id}")
        raise
    return manifest


def _check_room(free: int | None, size: int | None, limit: int) -> None:
    """What cannot fit is not received first; what is too large is said to be too large."""
    if free is not None and size is not None and free < size <= limit:
        raise NotEnoughRoom(free, size)


async def _ingest(
    workshop: Workshop, received: Received, query: Sequence[tuple[str, str]], workspace: str, settings: GatewaySettings
) -> DatasetManifest:
    limit = settings.max_upload_bytes
    options = read_options(received.fields, query, max_unread_share=settings.max_unread_share)
    if isinstance(options, list):
        raise Invalid(options)
    started = time.perf_counter()
    manifest = await workshop.run(
        ingest,
        received.path,
        file_name=received.file_name,
        workspace=workspace,
        options=options,
        sha256=received.sha256,
        max_bytes=limit,
        max_columns=settings.max_columns,
    )
    UPLOAD_SECONDS.labels("ingest").observe(time.perf_counter() - started)
    if isinstance(manifest, list):
        if any(one.code == "too_large" for one in manifest):  # unpacked
            raise TooLarge(limit)
        raise Invalid(ml(manifest))
    return manifest
