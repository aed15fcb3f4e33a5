"""System: which parts are up, what it means when one is down, lag, throughput, latency, topics, Redis, versions."""

from importlib.metadata import version

from nicegui import ui

from client.errors import ClientError
from client.settings import ClientSettings
from dashboard import charts, figures, texts
from dashboard.frame import card, frame, guarded, heading, page_at, show
from dashboard.gateway import client
from dashboard.markup import Html, badge, bar, cards, facts, html, link, metric, mono, muted, note, table
from dashboard.page_runs import runs_table
from schemas.http.runs import Run
from schemas.http.system import System, SystemPart
from schemas.messages import TERMINAL

LOOK_SECONDS = 2.0
RUNS_LOOKED_AT = 100
KEPT_POINTS = 90
STATE_KINDS = {"up": "good", "down": "bad", "unknown": "warn"}


def register() -> None:
    @page_at("/system")
    async def system_page() -> None:
        with frame(texts.SYSTEM_TITLE, "/system"):
            heading(texts.SYSTEM_TITLE, texts.SYSTEM_LEAD)
            await guarded(SystemView().draw)


class ScoredPace:
    """Rows scored between two looks, over all runs. Runs that were not there at the former look do not count as a
    jump."""

    def __init__(self) -> None:
        self.points: list[float] = []
        self._seen: dict[str, int] = {}

    def add(self, runs: list[Run], seconds: float) -> None:
        now = {run.run_id: run.statistics.total_predictions for run in runs}
        scored = sum(total - self._seen[run_id] for run_id, total in now.items() if run_id in self._seen)
        if self._seen or not now:
            self.points = [*self.points, max(scored, 0) / seconds][-KEPT_POINTS:]
        self._seen = now


class SystemView:
    """The page, looked at anew every two seconds."""

    def __init__(self) -> None:
        self.throughput = ScoredPace()

    async def draw(self) -> None:
        self.verdict = show(Html(""))
        self.figures = show(Html(""))
        with card(texts.PARTS_TITLE):
            self.parts = show(Html(""))
        with ui.element("div").classes("ii-two ii-even"):
            with card(texts.LAG_TITLE):
                self.lag = show(Html(""))
            with card(texts.THROUGHPUT):
                self.chart = ui.echart(charts.throughput([])).style("height:268px")
        with card(texts.ACTIVE_RUNS):
            self.active = show(Html(""))
        with card(texts.TOPICS_TITLE):
            self.topics = show(Html(""))
        with ui.element("div").classes("ii-two"):
            with card(texts.REDIS_TITLE):
                self.redis = show(Html(""))
            with card(texts.VERSIONS):
                self.versions = show(Html(""))
        await self._look()
        ui.timer(LOOK_SECONDS, self._look)

    async def _look(self) -> None:
        found: System | None = None
        try:
            found = await client.system()
            self._runs((await client.runs(limit=RUNS_LOOKED_AT)).items)
        except ClientError:
            pass
        self.verdict.set_content(verdict(found))
        self.parts.set_content(parts_grid(found))
        if found is None:
            return
        self.figures.set_content(figure_cards(found))
        self.lag.set_content(lag_table(found))
        self.topics.set_content(topics_table(found))
        self.redis.set_content(redis_facts(found))
        self.versions.set_content(version_facts(found))

    def _runs(self, runs: list[Run]) -> None:
        self.throughput.add(runs, LOOK_SECONDS)
        self.chart.options.clear()
        self.chart.options.update(charts.throughput(self.throughput.points))
        self.chart.update()
        going = [run for run in runs if run.status not in TERMINAL]
        self.active.set_content(runs_table(going, texts.ACTIVE_RUNS) if going else muted(texts.NO_ACTIVE_RUNS))


def verdict(found: System | None) -> Html:
    """In one line: is all well? With what it means where it is not."""
    down = [part for part in found.parts if part.state == "down"] if found else []
    if found is None:
        return note("bad", texts.GATEWAY_DOWN, [texts.GATEWAY_MEANING])
    if not down:
        return note("good", texts.ALL_UP)
    title = texts.DOWN_PARTS[min(len(down), 2)].format(count=len(down))
    return note("bad", title, [Html(f"<b>{html(texts.PARTS[part.name])}</b>: {html(part.meaning)}") for part in down])


def parts_grid(found: System | None) -> Html:
    """Each part: its state by a sign, a word and a colour."""
    parts = found.parts if found else _unknown_parts()
    return Html(f'<div class="ii-parts">{"".join(_part(part) for part in parts)}</div>')


def _unknown_parts() -> list[SystemPart]:
    gateway = SystemPart(name="gateway", state="down", meaning=texts.GATEWAY_MEANING)
    others = [SystemPart(name=name, state="unknown", detail=texts.NOT_KNOWN, meaning="") for name in PROCESSES]
    return [gateway, *others]


PROCESSES = ("kafka", "redis", "view", "storage", "producer", "stream_processor", "trainer")


def _part(part: SystemPart) -> str:
    count = part.processes
    running = "" if not count else texts.PROCESSES[min(count, 2)].format(count=count)
    about = part.detail or running or texts.PART_DOES[part.name]
    return (
        f'<div class="ii-part"><div class="ii-between" style="margin:0"><b>{html(texts.PARTS[part.name])}</b>'
        f"{badge(texts.STATES[part.state], STATE_KINDS[part.state])}</div>"
        f'<div class="ii-muted ii-small" title="{html(texts.PART_DOES[part.name])}">{html(about)}</div></div>'
    )


def figure_cards(found: System) -> Html:
    """What a person asks first."""
    slow, redis = found.latency, found.redis
    took = (
        texts.LATENCY_NONE
        if slow is None
        else texts.LATENCY_NOTE.format(p95=figures.short(slow.p95_seconds), rows=figures.count(slow.rows))
    )
    return cards(
        [
            metric(texts.LAG, figures.count(found.total_lag), texts.LAG_RECORDS, hint=texts.LAG_HINT),
            metric(texts.THROUGHPUT_CARD, figures.number(found.records_per_second), texts.RECORDS_PER_SECOND),
            metric(texts.LATENCY, figures.short(slow.median_seconds if slow else None), took, hint=texts.LATENCY_HINT),
            metric(
                texts.REDIS_TITLE,
                figures.size(redis.used_bytes) if redis else figures.DASH,
                f"{figures.count(redis.keys)} {texts.REDIS_KEYS.lower()}" if redis else "",
            ),
        ]
    )


def lag_table(found: System) -> Html:
    """Where each partition's scoring stands."""
    if not found.lag:
        return muted(texts.KAFKA_SILENT)
    most = max((one.lag or 0 for one in found.lag), default=0)
    rows = [
        [
            mono(one.topic),
            str(one.partition),
            figures.count(one.end_offset),
            figures.count(one.position),
            Html(f'{figures.count(one.lag)}<span class="ii-lagbar">{bar((one.lag or 0) / most, texts.LAG)}</span>')
            if most
            else figures.count(one.lag),
        ]
        for one in found.lag
    ]
    return table(texts.COLUMNS_LAG, rows, caption=texts.LAG_TITLE, dense=True)


def topics_table(found: System) -> Html:
    """Each topic."""
    if not found.topics:
        return muted(texts.KAFKA_SILENT)
    rows = [
        [
            mono(topic.name),
            figures.count(topic.partitions),
            figures.count(topic.offsets),
            figures.DASH if topic.size_bytes is None else figures.size(topic.size_bytes),
            texts.KEPT_NEWEST
            if topic.cleanup == "compact"
            else texts.KEPT_FOR_EVER
            if topic.retention_seconds is None
            else figures.days(topic.retention_seconds),
        ]
        for topic in found.topics
    ]
    return table(texts.COLUMNS_TOPICS, rows, caption=texts.TOPICS_TITLE)


def redis_facts(found: System) -> Html:
    """What Redis says of itself."""
    redis = found.redis
    if redis is None:
        return muted(texts.PARTS["redis"] + ": " + texts.STATES["down"])
    return facts(
        [
            (texts.REDIS_MEMORY, figures.size(redis.used_bytes)),
            (texts.REDIS_LIMIT, figures.size(redis.max_bytes) if redis.max_bytes else texts.NO_LIMIT),
            (texts.REDIS_KEYS, figures.count(redis.keys)),
            (texts.REDIS_CLIENTS, figures.count(redis.clients)),
            (texts.REDIS_UPTIME, figures.duration(redis.uptime_seconds)),
        ]
    )


def version_facts(found: System) -> Html:
    """Where this is, and of which versions."""
    documentation = f"{client.url}/docs"
    return facts(
        [
            (texts.GATEWAY_ADDRESS, mono(client.url)),
            (texts.DOCUMENTATION, link(documentation, documentation)),
            (texts.WORKSPACE, mono(ClientSettings().workspace)),
            *((name, text) for name, text in (found.versions | {"dashboard": version("intelliinspect")}).items()),
        ]
    )
