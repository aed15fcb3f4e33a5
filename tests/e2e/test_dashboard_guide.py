"""The whole job in a real browser on SECOM, and what must hold for every page."""

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4
from zipfile import ZipFile

import pytest
from aiokafka import AIOKafkaProducer
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from client import Client
from dashboard import texts
from schemas.http.runs import Run, RunCreate
from schemas.http.v1 import TrainingCreate
from schemas.topics import INGRESS
from schemas.training import TrainingParameters
from tests.e2e.browser import Scheme, card, chromium, drag, open_page, watched
from tests.support.stack import Stack, running_stack
from tests.support.waiting import eventually_sync

SECONDS = 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with watched(browser) as page:
        yield page


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """With the dashboard, which the shared one leaves out, and with a gateway that may be stopped."""
    with running_stack(tmp_path_factory.mktemp("stack"), DEVSTACK_WITHOUT="") as running:
        yield running


@pytest.fixture(scope="module")
def url(own_stack: Stack) -> str:
    return own_stack.process("dashboard").url


@pytest.fixture(scope="module")
def client(own_stack: Stack) -> Iterator[Client]:
    with Client(own_stack.gateway_url) as client:
        yield client


@pytest.fixture(scope="module")
def finished_run(client: Client, secom_csv: Path) -> Run:
    """A dataset, a split, a model and a run that is over."""
    dataset = client.upload(secom_csv)
    split = client.split(client.suggest_split(dataset.dataset_id))
    training = client.train(TrainingCreate(split_id=split.split_id))
    model_version = (client.wait_for(training.task_id, timeout_seconds=150).result or {})["model_version"]
    run = client.start_run(
        RunCreate(model_version=model_version, split_id=split.split_id, rows_per_second=None, warmup_seconds=0)
    )
    return client.wait_for_run(run.run_id, timeout_seconds=60)


def paths(client: Client, run: Run) -> list[str]:
    """Every page, with objects on it."""
    assert run.model_version is not None
    task_id = client.model(run.model_version).task_id
    return [
        "/",
        f"/guide/dataset/{run.dataset_id}",
        f"/guide/ranges/{run.dataset_id}",
        f"/guide/train/{run.split_id}",
        f"/guide/training/{task_id}",
        f"/guide/simulate/{run.model_version}",
        f"/guide/run/{run.run_id}",
        "/runs",
        f"/runs/{run.run_id}",
        f"/compare/{run.run_id}/{run.run_id}",
        "/models",
        f"/models/{run.model_version}",
        "/dead-letters",
        "/system",
    ]


async def send(bootstrap: str, key: str, value: bytes) -> None:
    """Put a record on `ingress.rows.v1`, as another system would."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(INGRESS.name, value, key=key.encode())


@pytest.mark.timeout(400)
def test_guide_leads_from_a_file_to_a_live_run(page: Page, url: str, client: Client, secom_csv: Path) -> None:
    open_page(page, url)
    page.locator("input[type=file]").set_input_files(secom_csv)
    page.wait_for_url("**/guide/dataset/*", timeout=60 * SECONDS)
    expect(page.get_by_text("Pass/Fail = -1")).to_be_visible()
    expect(card(page, texts.RECORDS)).to_have_text("1,547")
    page.get_by_role("button", name=texts.TO_RANGES).click()
    page.wait_for_url("**/guide/ranges/*")
    for name, rows in zip(texts.SETS, ("928 rows", "310 rows", "309 rows"), strict=True):
        expect(card(page, texts.SETS[name])).to_have_text(rows)
    grip = page.get_by_role("slider", name=f"{texts.SETS['simulation']}, {texts.RANGE_END}")
    drag(page, grip, -120)
    expect(page.locator(".ii-metric", has_text=texts.OUTSIDE).locator(".v")).not_to_have_text("0 rows")
    grip.press("End")
    expect(page.locator(".ii-metric", has_text=texts.OUTSIDE).locator(".v")).to_have_text("0 rows")
    page.get_by_role("button", name=texts.RANGES_SPLIT).click()
    page.wait_for_url("**/guide/train/*", timeout=120 * SECONDS)
    page.get_by_role("button", name=texts.TRAIN_START).click()
    page.wait_for_url("**/guide/training/*")
    page.reload()
    expect(page.get_by_text(texts.LOSS, exact=True)).to_be_visible()
    page.get_by_role("button", name=texts.TO_SIMULATE).click(timeout=150 * SECONDS)
    page.wait_for_url("**/guide/simulate/*")
    page.get_by_label(texts.SPEED).fill("8")
    page.get_by_label(texts.WARMUP).fill("0")
    page.get_by_role("button", name=texts.SIMULATE_START).click()
    page.wait_for_url("**/guide/run/*")
    run_id = page.url.rsplit("/", 1)[-1]
    expect(page.locator("table.ii-table tbody tr").nth(3)).to_be_visible(timeout=60 * SECONDS)
    page.get_by_role("button", name=texts.PAUSE).click()
    expect(page.locator(".ii-metric").get_by_text(texts.STATUS["PAUSED"])).to_be_visible()
    held = client.run(run_id).statistics.total_predictions
    page.reload()
    expect(page.locator(".ii-metric").get_by_text(texts.STATUS["PAUSED"])).to_be_visible()
    page.get_by_role("button", name=texts.STEP, exact=True).click()
    expect(page.locator(".ii-metric", has_text=texts.SCORED).locator(".v").first).to_have_text(f"{held + 1:,}")
    page.get_by_label(texts.ROW, exact=True).last.fill("5")
    page.get_by_role("button", name=texts.SEEK).click()
    expect(page.get_by_text(texts.ATTEMPT_NUMBER.format(number=2))).to_be_visible()
    page.get_by_label(texts.SPEED).fill("")
    page.get_by_role("button", name=texts.SET_SPEED).click()
    page.get_by_role("button", name=texts.RESUME).click()
    expect(page.locator(".ii-metric").get_by_text(texts.STATUS["COMPLETED"])).to_be_visible(timeout=60 * SECONDS)
    done = client.run(run_id)
    assert (done.attempt, done.statistics.passed_over) == (2, 5)
    assert done.statistics.total_predictions == (done.total_rows or 0) - 5
    expect(card(page, texts.SCORED)).to_have_text(f"{done.statistics.total_predictions:,}")
    expect(card(page, texts.FAILED)).to_have_text(f"{done.statistics.fail_count:,}")
    first = page.locator("table.ii-table tbody tr").first.locator("td").first
    expect(first).to_have_text(f"{done.statistics.last_row_index:,}")


def test_refused_ranges_are_all_shown_at_their_fields(page: Page, url: str, finished_run: Run) -> None:
    open_page(page, f"{url}/guide/ranges/{finished_run.dataset_id}")
    starts, ends = page.get_by_label(texts.START), page.get_by_label(texts.END)
    ends.nth(0).fill("2007-01-01")
    starts.nth(2).fill("soon")
    page.get_by_role("button", name=texts.RANGES_SPLIT).click()
    message = page.get_by_role("alert").filter(has_text=texts.RANGES_REFUSED)
    expect(message).to_be_visible()
    expect(message).to_contain_text("train.end")
    expect(message).to_contain_text("simulation.start")
    page.get_by_role("button", name=texts.RANGES_SUGGEST).click()
    expect(message).not_to_be_visible()


def test_refused_file_is_explained_in_the_gateways_words(page: Page, url: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("a,b\n1,2\n3,4\n")
    open_page(page, url)
    page.locator("input[type=file]").set_input_files(wrong)
    message = page.get_by_role("alert").filter(has_text=texts.UPLOAD_REFUSED)
    expect(message).to_contain_text("CSV must contain a 'Response' column.")


def test_settings_that_are_not_found_in_a_file_are_asked_for_beside_their_fields(
    page: Page, url: str, tmp_path: Path
) -> None:
    odd = tmp_path / "odd.csv"
    odd.write_text(
        "part,s1,verdict\n" + "".join(f"p{i},{i % 7},{'bad' if i % 5 == 0 else 'fine'}\n" for i in range(60))
    )
    open_page(page, url)
    page.locator("input[type=file]").set_input_files(odd)
    field = page.get_by_label(texts.PASS_VALUE)
    expect(page.locator(".q-field", has=field)).to_contain_text("which of the two means PASS")
    field.fill("fine")
    page.get_by_role("button", name=texts.CHANGE_AGAIN).click()
    page.wait_for_url("**/guide/dataset/*")
    expect(page.get_by_text("verdict = fine")).to_be_visible()


def test_columns_are_left_out_of_a_split_and_of_a_training_in_the_browser(
    page: Page, url: str, client: Client, tmp_path: Path
) -> None:
    chance = random.Random(5)
    lines = [
        ",".join([*(f"{chance.gauss(0, 1):.3f}" for _ in range(4)), str(int(chance.random() < 0.2))])
        for _ in range(300)
    ]
    (tmp_path / "four.csv").write_text("\n".join(["S1,S2,S3,S4,Response", *lines]) + "\n")
    open_page(page, url)
    page.locator("input[type=file]").set_input_files(tmp_path / "four.csv")
    page.wait_for_url("**/guide/dataset/*", timeout=60 * SECONDS)
    over_time = page.get_by_role("region", name=texts.REPORT_OVER_TIME)
    expect(over_time.locator("tbody tr")).to_have_count(10)
    page.get_by_role("button", name=texts.TO_RANGES).click()
    page.wait_for_url("**/guide/ranges/*")
    page.get_by_label(texts.EXCLUDE).click()
    page.get_by_role("option", name="S2").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=texts.RANGES_SPLIT).click()
    page.wait_for_url("**/guide/train/*", timeout=120 * SECONDS)
    assert client.get_split(page.url.rsplit("/", 1)[-1]).excluded == ["S2"]
    page.get_by_label(texts.EXCLUDE).click()
    expect(page.get_by_role("option", name="S2")).to_have_count(0)
    page.get_by_role("option", name="S4").click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=texts.TRAIN_START).click()
    page.wait_for_url("**/guide/training/*")
    result = client.wait_for(page.url.rsplit("/", 1)[-1], timeout_seconds=150).result or {}
    assert sorted(client.model(result["model_version"]).features) == ["S1", "S3"]


def test_dead_letter_is_mended_in_the_browser_and_counts_once(
    page: Page, url: str, own_stack: Stack, client: Client, finished_run: Run
) -> None:
    model = client.model(finished_run.model_version or "")
    features: dict[str, object] = dict.fromkeys(model.features, 1.0)
    wrong = model.features[3]
    key = f"browser-{uuid4().hex[:8]}"
    body = {"features": features | {wrong: "12,5"}, "model_version": model.model_version, "sample_id": "PART_1"}
    own_stack.call(send(own_stack.bootstrap, key, json.dumps(body).encode()))
    run_id = f"ext-{key}"
    eventually_sync(lambda: client.dead_letters(run_id=run_id).total == 1, timeout_seconds=30)
    open_page(page, f"{url}/dead-letters?run_id={run_id}")
    page.get_by_role("link", name=re.compile(r"^i?\d+-\d+$")).click()
    expect(page.locator("mark")).to_contain_text(f'"{wrong}": "12,5"')
    page.get_by_label(f"features.{wrong}").fill("12.5")
    page.get_by_role("button", name=texts.REDRIVE_FIELD).click()
    expect(page.get_by_text(texts.LETTER_ANSWERED)).to_be_visible()
    statistics = client.run(run_id).statistics
    assert (statistics.total_predictions, statistics.dead_letters) == (1, 0)


def test_dead_letters_are_edited_redriven_together_and_purged_in_the_browser(
    page: Page, url: str, own_stack: Stack, client: Client, finished_run: Run
) -> None:
    model = client.model(finished_run.model_version or "")
    key = f"browser-{uuid4().hex[:8]}"
    body = {"features": dict.fromkeys(model.features, 1.0), "model_version": model.model_version}
    for _ in range(3):
        own_stack.call(send(own_stack.bootstrap, key, json.dumps(body | {"label": "BROKEN"}).encode()))
    run_id = f"ext-{key}"
    eventually_sync(lambda: client.dead_letters(run_id=run_id).total == 3, timeout_seconds=30)
    open_page(page, f"{url}/dead-letters?run_id={run_id}")
    letters = page.get_by_role("link", name=re.compile(r"^i?\d+-\d+$"))
    letters.first.click()
    page.get_by_text(texts.EDIT_WHOLE).click()
    page.get_by_label(texts.BODY).and_(page.locator("textarea")).fill(json.dumps(body))
    page.get_by_role("button", name=texts.REDRIVE_EDITED).click()
    expect(page.get_by_text(texts.LETTER_ANSWERED)).to_be_visible()

    open_page(page, f"{url}/dead-letters?run_id={run_id}&state=open")
    expect(letters).to_have_count(2)
    expect(page.get_by_role("button", name=texts.PURGE_ALL)).to_have_count(0)
    page.get_by_role("button", name=texts.REDRIVE_ALL).click()
    page.get_by_role("dialog").get_by_role("button", name=texts.REDRIVE).click()
    expect(page.get_by_text(texts.LETTERS_SENT.format(sent=2, matched=2))).to_be_visible()
    eventually_sync(
        lambda: client.dead_letters(run_id=run_id).total == 5, timeout_seconds=30
    )  # both were refused again
    statistics = client.run(run_id).statistics
    assert (statistics.total_predictions, statistics.dead_letters) == (1, 2)

    open_page(page, f"{url}/dead-letters?run_id={run_id}")
    page.get_by_role("button", name=texts.PURGE_ALL).click()
    page.get_by_role("dialog").get_by_role("button", name=texts.PURGE).click()
    expect(page.get_by_text(texts.LETTERS_NONE_MATCH)).to_be_visible()
    assert client.dead_letters(run_id=run_id).total == 0
    statistics = client.run(run_id).statistics
    assert (statistics.total_predictions, statistics.dead_letters) == (1, 2)


def test_a_part_that_is_down_is_said_with_what_it_means(page: Page, url: str, own_stack: Stack) -> None:
    open_page(page, f"{url}/system")
    expect(page.get_by_text(texts.ALL_UP)).to_be_visible()
    trainer = own_stack.process("trainer")
    trainer.stop()
    try:
        expect(page.get_by_role("alert").filter(has_text=texts.PARTS["trainer"])).to_be_visible()
        expect(page.locator(".ii-part", has_text=texts.PARTS["trainer"])).to_contain_text(texts.STATES["down"])
    finally:
        trainer.start()
    expect(page.get_by_text(texts.ALL_UP)).to_be_visible()


def test_two_browsers_see_the_same_run_and_stop_ends_it(
    browser: Browser, url: str, client: Client, finished_run: Run
) -> None:
    run = client.start_run(
        RunCreate(
            split_id=finished_run.split_id,
            model_version=finished_run.model_version,
            rows_per_second=10,
            warmup_seconds=0,
        )
    )
    with watched(browser) as one, watched(browser) as other:
        for page in (one, other):
            open_page(page, f"{url}/guide/run/{run.run_id}")
            expect(page.locator("table.ii-table tbody tr").nth(2)).to_be_visible()
        one.get_by_role("button", name=texts.STOP).click()
        one.get_by_role("dialog").get_by_role("button", name=texts.STOP).click()
        for page in (one, other):
            expect(page.locator(".ii-metric").get_by_text(texts.STATUS["STOPPED"])).to_be_visible()
        final = client.run(run.run_id).statistics
        for page in (one, other):
            expect(card(page, texts.SCORED)).to_have_text(f"{final.total_predictions:,}")


def test_a_run_is_replayed_by_another_model_compared_with_it_and_exported(
    page: Page, url: str, client: Client, finished_run: Run
) -> None:
    training = client.train(
        TrainingCreate(split_id=finished_run.split_id, parameters=TrainingParameters(max_depth=2), objective="f1")
    )
    other = (client.wait_for(training.task_id, timeout_seconds=150).result or {})["model_version"]
    open_page(page, f"{url}/runs/{finished_run.run_id}")
    page.get_by_role("button", name=texts.REPLAY).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(texts.MODEL).click()
    page.get_by_role("option", name=re.compile(other)).click()
    dialog.get_by_label(texts.SPEED).fill("")
    dialog.get_by_role("button", name=texts.REPLAY_START).click()
    page.wait_for_url(lambda address: finished_run.run_id not in address)
    replay = client.wait_for_run(page.url.rsplit("/", 1)[-1], timeout_seconds=60)
    assert replay.statistics.total_predictions == finished_run.total_rows
    diff = client.diff_runs(finished_run.run_id, replay.run_id)
    open_page(page, f"{url}/compare/{finished_run.run_id}/{replay.run_id}")
    expect(card(page, texts.COMPARED)).to_have_text(f"{finished_run.total_rows:,}")
    expect(card(page, texts.PASS_TO_FAIL)).to_have_text(f"{diff.counts.pass_to_fail:,}")
    expect(card(page, texts.FAIL_TO_PASS)).to_have_text(f"{diff.counts.fail_to_pass:,}")
    open_page(page, f"{url}/runs/{finished_run.run_id}")
    with page.expect_download() as started:
        page.get_by_role("link", name=texts.DOWNLOAD_CSV).click()
    assert len(Path(started.value.path()).read_text().splitlines()) == (finished_run.total_rows or 0) + 1
    with page.expect_download() as started:
        page.get_by_role("link", name=texts.DOWNLOAD_ZIP).click()
    assert set(ZipFile(started.value.path()).namelist()) == {"predictions.csv", "predictions.jsonl", "manifest.json"}


def test_model_in_doubt_says_so_and_becomes_champion_when_confirmed_twice(
    page: Page, url: str, client: Client, tmp_path: Path
) -> None:
    chance = random.Random(11)
    lines = [f"{chance.gauss(0, 1):.3f},{chance.gauss(0, 1):.3f},{int(chance.random() < 0.1)}" for _ in range(500)]
    (tmp_path / "noise.csv").write_text("\n".join(["S1,S2,Response", *lines]) + "\n")
    split = client.split(client.suggest_split(client.upload(tmp_path / "noise.csv").dataset_id))
    training = client.train(TrainingCreate(split_id=split.split_id))
    model_version = (client.wait_for(training.task_id, timeout_seconds=150).result or {})["model_version"]
    doubt = client.model(model_version).doubt
    assert doubt
    open_page(page, f"{url}/models")
    expect(page.get_by_text(texts.IN_DOUBT).first).to_be_visible()
    open_page(page, f"{url}/models/{model_version}")
    expect(page.get_by_text(doubt).first).to_be_visible()
    page.get_by_role("button", name=texts.MAKE_CHAMPION).click()
    page.get_by_role("dialog").get_by_role("button", name=texts.MAKE_CHAMPION, exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=texts.MAKE_CHAMPION_ANYWAY).click()
    expect(page.locator(".ii-badge", has_text=texts.CHAMPION)).to_be_visible()
    assert client.champion().model_version == model_version


def test_model_becomes_champion(page: Page, url: str, client: Client, finished_run: Run) -> None:
    assert finished_run.model_version is not None
    open_page(page, f"{url}/models/{finished_run.model_version}")
    page.get_by_role("button", name=texts.MAKE_CHAMPION).click()
    page.get_by_role("dialog").get_by_role("button", name=texts.MAKE_CHAMPION, exact=True).click()
    if client.model(finished_run.model_version).doubt:
        page.get_by_role("dialog").get_by_role("button", name=texts.MAKE_CHAMPION_ANYWAY).click()
    expect(page.locator(".ii-badge", has_text=texts.CHAMPION)).to_be_visible()
    assert client.champion().model_version == finished_run.model_version


def test_gateway_that_is_down_is_said_and_the_page_recovers_by_itself(
    page: Page, url: str, own_stack: Stack, finished_run: Run
) -> None:
    open_page(page, f"{url}/runs")
    gateway = own_stack.process("gateway")
    gateway.stop()
    try:
        expect(page.get_by_text(texts.GATEWAY_DOWN).first).to_be_visible()
        page.goto(f"{url}/models/{finished_run.model_version}")
        expect(page.get_by_text(texts.GATEWAY_DOWN).first).to_be_visible()
    finally:
        gateway.start()
    expect(page.get_by_text(texts.CONFUSION, exact=True)).to_be_visible(timeout=60 * SECONDS)
    expect(page.get_by_text(texts.GATEWAY_DOWN)).to_have_count(0)


def test_first_page_can_be_used_within_two_seconds_once_it_is_warm(page: Page, url: str, finished_run: Run) -> None:
    open_page(page, url)
    took = []
    for _ in range(3):
        began_at = time.monotonic()
        page.goto(url)
        page.get_by_role("button", name=texts.THEME["auto"]).click(trial=True)
        took.append(time.monotonic() - began_at)
    assert min(took) < 2


def test_unknown_objects_are_said_to_be_unknown(page: Page, url: str) -> None:
    for path in (
        "/guide/dataset/ds-000000000000",
        "/guide/train/split-000000000000",
        "/models/model-000000000000",
        "/runs/sim-task-x",
        "/dead-letters/0-999999",
    ):
        page.goto(url + path)
        expect(page.get_by_text(texts.NOT_FOUND)).to_be_visible()


def test_colours_follow_the_system_until_somebody_chooses(browser: Browser, url: str) -> None:
    with watched(browser, scheme="dark") as page:
        open_page(page, url)
        expect(page.locator("body.body--dark")).to_have_count(1)
        page.get_by_role("button", name=texts.THEME["auto"]).click()
        expect(page.locator("body.body--dark")).to_have_count(0)
        open_page(page, f"{url}/runs")
        expect(page.locator("body.body--dark")).to_have_count(0)
        expect(page.get_by_role("button", name=texts.THEME["light"])).to_be_visible()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("width", [380, 768, 1920])
def test_no_page_scrolls_sideways(browser: Browser, url: str, client: Client, finished_run: Run, width: int) -> None:
    with watched(browser, width=width) as page:
        for path in paths(client, finished_run):
            open_page(page, url + path)
            assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, path


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_serious_accessibility_findings(
    browser: Browser, url: str, client: Client, finished_run: Run, scheme: Scheme
) -> None:
    found: dict[str, list[str]] = {}
    with watched(browser, scheme=scheme) as page:
        for path in paths(client, finished_run):
            open_page(page, url + path)
            for violation in Axe().run(page).response["violations"]:
                if violation["impact"] in ("serious", "critical"):
                    targets = [node["target"][0] for node in violation["nodes"]][:3]
                    found.setdefault(path, []).append(f"{violation['id']}: {targets}")
    assert found == {}


def test_stream_that_breaks_is_taken_up_without_a_missing_row(
    page: Page, url: str, own_stack: Stack, client: Client, finished_run: Run
) -> None:
    run = client.start_run(
        RunCreate(
            split_id=finished_run.split_id,
            model_version=finished_run.model_version,
            rows_per_second=20,
            warmup_seconds=0,
        )
    )
    open_page(page, f"{url}/guide/run/{run.run_id}")
    expect(page.locator("table.ii-table tbody tr").nth(2)).to_be_visible()
    own_stack.process("gateway").restart()
    expect(page.locator(".ii-metric").get_by_text(texts.STATUS["COMPLETED"])).to_be_visible(timeout=90 * SECONDS)
    shown = [
        int(text.replace(",", "")) for text in page.locator("table.ii-table tbody tr td:first-child").all_inner_texts()
    ]
    last = (run.total_rows or 0) - 1
    assert shown == list(range(last, last - len(shown), -1))
    expect(card(page, texts.SCORED)).to_have_text(f"{run.total_rows:,}", timeout=10 * SECONDS)
