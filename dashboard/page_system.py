"""System: which parts are up, what it means when one is down, and what is going on."""

from importlib.metadata import version

from nicegui import ui

from client.errors import ClientError
from client.settings import ClientSettings
from dashboard import charts, figures, texts
from dashboard.frame import card, frame, guarded, heading, show
from dashboard.gateway import client, state
from dashboard.markup import Html, badge, facts, html, link, mono, table
from dashboard.page_runs import runs_table
from schemas.api_runs import Run
from schemas.messages import TERMINAL

LOOK_SECONDS = 2.0
RUNS_LOOKED_AT = 100
KEPT_POINTS = 90


def register() -> None:
    @ui.page("/system")
    async def system_page() -> None:
        with frame(texts.SYSTEM_TITLE, "/system"):
            heading(texts.SYSTEM_TITLE, texts.SYSTEM_LEAD)
            await guarded(_system)


def parts_table() -> Html:
    """Each part, its state in a word and a colour, and what its absence means."""
    rows = [
        [
            name,
            badge(f"✓ {texts.UP}", "good")
            if text == "ok"
            else Html(f'{badge(f"✗ {texts.DOWN}", "bad")} <span class="ii-muted">{html(text)}</span>'),
            texts.MEANINGS.get(name, figures.DASH),
        ]
        for name, text in state.parts()
    ]
    return table((texts.PART, texts.STATE, texts.MEANING), rows, caption=texts.SYSTEM_TITLE)


class Throughput:
    """Rows scored between two looks, over all runs. Runs that were not there at the former look do not count as a jump."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._seen: dict[str, int] = {}

    def add(self, runs: list[Run], seconds: float) -> None:
        now = {run.run_id: run.statistics.total_predictions for run in runs}
        scored = sum(total - self._seen[run_id] for run_id, total in now.items() if run_id in self._seen)
        if self._seen or not now:
            self.points = [*self.points, max(scored, 0) / seconds][-KEPT_POINTS:]
        self._seen = now


async def _system() -> None:
    throughput = Throughput()
    with card():
        parts = show(parts_table())
    with ui.element("div").classes("ii-two"):
        with card(texts.THROUGHPUT):
            chart = ui.echart(charts.throughput([])).style("height:220px")
        with card(texts.VERSIONS):
            show(_versions())
    with card(texts.ACTIVE_RUNS):
        active = show(Html(""))

    async def look() -> None:
        parts.set_content(parts_table())
        try:
            runs = (await client.runs(limit=RUNS_LOOKED_AT)).items
        except ClientError:
            return
        throughput.add(runs, LOOK_SECONDS)
        chart.options.clear()
        chart.options.update(charts.throughput(throughput.points))
        chart.update()
        going = [run for run in runs if run.status not in TERMINAL]
        active.set_content(
            runs_table(going, texts.ACTIVE_RUNS) if going else Html(f'<span class="ii-muted">{html(texts.NO_ACTIVE_RUNS)}</span>')
        )

    ui.timer(LOOK_SECONDS, look, immediate=True)


def _versions() -> Html:
    return facts(
        [
            (texts.GATEWAY_ADDRESS, mono(client.url)),
            (texts.DOCUMENTATION, link(f"{client.url}/docs", f"{client.url}/docs")),
            (texts.WORKSPACE, mono(ClientSettings().workspace)),
            (texts.NAME, version("intelliinspect")),
            ("NiceGUI", version("nicegui")),
        ]
    )
