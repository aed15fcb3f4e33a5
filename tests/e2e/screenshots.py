"""Make the pictures of every page in docs/screenshots: `python -m tests.e2e.screenshots [dashboard] [gateway]`, on a running stack.

Uses what the workspace holds; where it holds nothing, it makes a dataset, a model and a run first.
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from client import Client
from schemas.api_runs import Run, RunCreate
from schemas.api_v1 import TrainingCreate
from tests.e2e.browser import Scheme, chromium
from tests.secom_like import write_secom_like

FOLDER = Path(__file__).parents[2] / "docs" / "screenshots"
WIDTH, HEIGHT, NARROW = 1280, 900, 390


def run_to_show(client: Client) -> Run:
    """A run that is over, the newest."""
    over = [run for run in client.runs(limit=50).items if run.status == "COMPLETED"]
    if over:
        return over[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inspections.csv"
        write_secom_like(path)
        dataset = client.upload(path)
    split = client.split(client.suggest_split(dataset.dataset_id))
    training = client.train(TrainingCreate(split_id=split.split_id))
    client.wait_for(training.task_id)
    run = client.start_run(RunCreate(split_id=split.split_id, rows_per_second=None, warmup_seconds=0))
    return client.wait_for_run(run.run_id)


def take(browser: Browser, address: str, name: str, *, scheme: Scheme = "light", width: int = WIDTH) -> None:
    context = browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme)
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("main h1")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(800)  # charts draw themselves
    page.screenshot(path=FOLDER / f"{name}.jpg", type="jpeg", quality=72)
    context.close()


def main() -> None:
    dashboard, gateway = [*sys.argv[1:], *("http://127.0.0.1:8080", "http://127.0.0.1:8000")[len(sys.argv) - 1 :]][:2]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with Client(gateway) as client:
        run = run_to_show(client)
        task_id = client.model(run.model_version or "").task_id
    pages = {
        "upload": "/",
        "dataset": f"/guide/dataset/{run.dataset_id}",
        "ranges": f"/guide/ranges/{run.dataset_id}",
        "train": f"/guide/train/{run.split_id}",
        "training": f"/guide/training/{task_id}",
        "run": f"/guide/run/{run.run_id}",
        "runs": "/runs",
        "compare": f"/compare/{run.run_id}/{run.run_id}",
        "models": "/models",
        "model": f"/models/{run.model_version}",
        "system": "/system",
    }
    with chromium() as browser:
        for name, path in pages.items():
            take(browser, dashboard + path, name)
        take(browser, dashboard + pages["run"], "run-dark", scheme="dark")
        take(browser, dashboard + pages["run"], "run-narrow", width=NARROW)


if __name__ == "__main__":
    main()
