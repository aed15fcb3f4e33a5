"""Make the pictures of every page in docs/screenshots: `python -m tests.e2e.screenshots [page …]`, on the running stack
of this folder.

Shows what the workspace holds; one that is empty gets data, models, runs and dead letters first.
"""

import asyncio
import json
import math
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from aiokafka import AIOKafkaProducer
from playwright.sync_api import Browser

from client import Client
from devstack.generate import generate
from devstack.settings import DevstackSettings, load_settings
from schemas.http.runs import ReplayCreate, Run, RunCreate
from schemas.http.v1 import Dataset, Model, TrainingCreate
from schemas.topics import INGRESS
from schemas.training import TrainingParameters
from tests.e2e.browser import Scheme, chromium, open_page
from tests.support.waiting import eventually_sync

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
SIZES = {"": (1280, 900), "-narrow": (390, 844)}
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
QUALITY = 55
ROWS_MADE, FEATURES_MADE = 12_000, 40
SHOWN_ROWS = 150
DRAWN_MS, SYSTEM_MS = 1_500, 9_000


def factory_days(path: Path) -> None:
    """Give each row a time: a line that is slower at night and stands still at weekends."""
    moment, times = datetime(2026, 9, 7, 6, tzinfo=UTC), []
    frame = pl.read_csv(path)
    for _ in range(len(frame)):
        if moment.weekday() >= 5:
            moment += timedelta(days=2)
        times.append(moment.isoformat())
        moment += timedelta(seconds=100 + 160 * (1 - math.sin(math.pi * (moment.hour - 6) / 12)))
    frame.with_columns(pl.Series("Timestamp", times)).write_csv(path)


def trained(client: Client, split_id: str, objective: str, **parameters: float) -> Model:
    request = TrainingCreate(
        split_id=split_id, objective=objective, parameters=TrainingParameters.model_validate(parameters)
    )
    return client.model((client.wait_for(client.train(request).task_id).result or {})["model_version"])


def furnish(client: Client, bootstrap: str) -> None:
    """An empty workspace gets something to show."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line-4-october.csv"
        generate(path, rows=ROWS_MADE, features=FEATURES_MADE, failure_rate=0.06, seed=4)
        factory_days(path)
        dataset: Dataset = client.upload(path)
    split = client.split(client.suggest_split(dataset.dataset_id))
    shallow = trained(client, split.split_id, "f1", max_depth=2, n_estimators=40)
    model = trained(client, split.split_id, "mcc")
    client.set_champion(model.model_version, force=True)
    first = client.start_run(
        RunCreate(model_version=model.model_version, split_id=split.split_id, rows_per_second=None, warmup_seconds=0)
    )
    client.wait_for_run(first.run_id)
    replay = client.replay_run(first.run_id, ReplayCreate(model_version=shallow.model_version, rows_per_second=None))
    client.wait_for_run(replay.run_id)
    asyncio.run(send(bootstrap, wrong_rows(model)))
    eventually_sync(lambda: client.dead_letters().total >= len(wrong_rows(model)), timeout_seconds=60)


def wrong_rows(model: Model) -> list[bytes]:
    """Rows as another system might send them, each wrong in its own way."""
    row: dict[str, object] = {name: round(0.1 * number, 2) for number, name in enumerate(model.features)}
    first, second = model.features[4:6]
    bodies = [
        {"features": row | {first: "12,5"}},
        {"features": {name: value for name, value in row.items() if name != second}},
        {"features": row | {"L9_S9_F9": 1.0}},
        {"features": row, "model_version": "model-000000000000"},
        {"features": row | {second: "n/a"}},
    ]
    return [*(json.dumps(body).encode() for body in bodies), b'{"features": {"L0_S0_F0": 0.1,']


async def send(bootstrap: str, values: list[bytes]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for value in values:
            await producer.send_and_wait(INGRESS.name, value, key=b"press-12")


def live_run(client: Client, finished: Run) -> Run:
    """A run that goes on while the pictures are taken."""
    request = RunCreate(
        model_version=finished.model_version, split_id=finished.split_id, rows_per_second=12, warmup_seconds=0
    )
    run = client.start_run(request)
    eventually_sync(lambda: client.run(run.run_id).statistics.total_predictions >= SHOWN_ROWS, timeout_seconds=60)
    return run


def pages(client: Client, finished: Run, replay: Run, live: Run) -> dict[str, str]:
    """Every page, by the name of its picture."""
    model = client.model(finished.model_version or "")
    letters = client.dead_letters(limit=50).items
    letter = next((item for item in letters if item.reason == "invalid_field"), letters[0])
    return {
        "upload": "/",
        "dataset": f"/guide/dataset/{finished.dataset_id}",
        "ranges": f"/guide/ranges/{finished.dataset_id}",
        "train": f"/guide/train/{finished.split_id}",
        "training": f"/guide/training/{model.task_id}",
        "simulate": f"/guide/simulate/{finished.model_version}",
        "run": f"/guide/run/{live.run_id}",
        "runs": "/runs",
        "history": f"/runs/{finished.run_id}",
        "compare": f"/compare/{finished.run_id}/{replay.run_id}",
        "models": "/models",
        "model": f"/models/{finished.model_version}",
        "dead-letters": "/dead-letters",
        "dead-letter": f"/dead-letters/{letter.dead_letter_id}",
        "system": "/system",
    }


def take(browser: Browser, dashboard: str, addresses: dict[str, str], scheme: Scheme, suffix: str) -> None:
    width, height = SIZES[suffix]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    for name, path in addresses.items():
        open_page(page, dashboard + path)
        page.wait_for_timeout(DRAWN_MS)
        if name == "system":
            page.wait_for_timeout(SYSTEM_MS)  # its chart has a point every two seconds
        dark = "-dark" if scheme == "dark" else ""
        page.screenshot(path=FOLDER / f"{name}{suffix}{dark}.jpg", type="jpeg", quality=QUALITY)
    context.close()


def main() -> None:
    settings: DevstackSettings = load_settings()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Client(settings.gateway_url) as client:
        if not any(run.status == "COMPLETED" for run in client.runs(limit=100).items):
            furnish(client, settings.bootstrap)
        over = [run for run in client.runs(limit=100).items if run.status == "COMPLETED"]
        finished = over[-1]
        replay = next((run for run in over if run.model_version != finished.model_version), over[0])
        live = live_run(client, finished)
        wanted = sys.argv[1:]
        addresses = {
            name: path for name, path in pages(client, finished, replay, live).items() if not wanted or name in wanted
        }
        with chromium() as browser:
            for suffix in SIZES:
                for scheme in SCHEMES:
                    take(browser, f"http://127.0.0.1:{settings.port('dashboard').number}", addresses, scheme, suffix)
        client.stop_run(live.run_id)


if __name__ == "__main__":
    main()
