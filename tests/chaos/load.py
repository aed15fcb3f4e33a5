"""What people do meanwhile: runs at different paces, lanes and models, orders to them, trainings, rows of other
systems, and followers.

Nobody here knows what is being disturbed. A refusal (4xx) or an outage (503, no answer) is taken as it comes; a 500 is
a finding."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from client.errors import ClientError, GatewayFault, GatewayUnavailable, Refused
from runtime.tasks import cancel_all
from schemas.http.runs import ReplayCreate, Retry, Run, RunCreate
from schemas.http.v1 import TrainingCreate
from schemas.messages import TERMINAL
from tests.chaos.followers import Follower
from tests.chaos.world import World

PACES = (50.0, 1000.0, None)
LANES = (1, 2, 4)
VERBS = ("pause", "pause", "resume", "resume", "resume", "speed", "speed", "seek", "step", "stop")
RUNS_AT_ONCE, MOST_ATTEMPTS = 4, 4
END_SECONDS = 240.0
STILL_SECONDS = 120.0
"""How long nothing at all may move before something is stuck."""
Doing = Callable[[], Awaitable[None]]


@dataclass
class Ordered:
    """A run of ours and what was asked of it, whether or not it was answered."""

    run_id: str
    model_version: str
    lanes: int
    seeks: list[int] = field(default_factory=list)
    """Rows that the run was told to go on at; the rows before them may be passed over."""
    replays: tuple[str, int, int] | None = None
    """Of a replay: the run and attempt whose rows these are, and the first row of it."""


class Load:
    """Users at work until told to stop."""

    def __init__(self, world: World, seed: int, *, runs_at_once: int = RUNS_AT_ONCE) -> None:
        self.world, self.chance, self.runs_at_once = world, random.Random(seed), runs_at_once
        self.runs: dict[str, Ordered] = {}
        self.followers: list[Follower] = []
        self.orders: Counter[str] = Counter()
        self._following: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Work until the block is left."""
        tasks = [asyncio.create_task(self._often(doing, pause)) for doing, pause in self._jobs()]
        try:
            yield
        finally:
            await cancel_all(*tasks)

    def _jobs(self) -> list[tuple[Doing, tuple[float, float]]]:
        return [
            (self._start, (0.5, 2.0)),
            (self._order, (0.3, 2.0)),
            (self._retry, (3.0, 10.0)),
            (self._replay, (4.0, 12.0)),
            (self._train, (8.0, 20.0)),
            (self._promote, (5.0, 15.0)),
        ]

    async def _often(self, doing: Doing, pause: tuple[float, float]) -> None:
        while True:
            try:
                await doing()
            except GatewayFault as error:
                self.world.findings.append(f"the gateway failed: {error}")
            except (Refused, GatewayUnavailable) as error:
                self.orders[f"{type(error).__name__} {getattr(error, 'status', None)}"] += 1
            except ClientError as error:
                self.orders[repr(error)] += 1
            await asyncio.sleep(self.chance.uniform(*pause))

    async def _alive(self) -> list[Run]:
        return [
            run
            for run in (await self.world.client.runs(limit=100)).items
            if run.run_id in self.runs and run.status not in TERMINAL
        ]

    async def _start(self) -> None:
        if len(await self._alive()) >= self.runs_at_once:
            return
        number = len(self.runs)
        pace = PACES[number % 3] if number < 3 else self.chance.choice(PACES)
        lanes, model = (
            LANES[number % 3] if number < 3 else self.chance.choice(LANES),
            self.chance.choice(self.world.models),
        )
        options = RunCreate(
            split_id=self.world.split.split_id,
            model_version=model,
            rows_per_second=pace,
            lanes=lanes,
            warmup_seconds=0.0,
        )
        run = await self.world.client.start_run(options)
        self.orders["start"] += 1
        self._take(Ordered(run.run_id, model, lanes))

    def _take(self, ordered: Ordered) -> None:
        self.runs[ordered.run_id] = ordered
        for _ in range(self.chance.randint(0, 2)):
            self._follow(ordered.run_id)

    def _follow(self, run_id: str) -> None:
        follower = Follower(self.world.stack.gateway_url, run_id, random.Random(self.chance.random()))
        self.followers.append(follower)
        self._following.append(asyncio.create_task(follower.follow()))

    async def _order(self) -> None:
        alive = await self._alive()
        if not alive:
            return
        run = self.chance.choice(alive)
        verb = self.chance.choice(VERBS)
        self.orders[verb] += 1
        client, ordered = self.world.client, self.runs[run.run_id]
        if verb == "speed":
            await client.set_speed(run.run_id, self.chance.choice((*PACES, 200.0, None)))
        elif verb == "step":
            await client.step_run(run.run_id, self.chance.randint(1, 50))
        elif verb == "seek":
            sought = self._row_near(run)
            ordered.seeks.append(sought)  # whatever the answer is: it may be lost on its way
            await client.seek_run(run.run_id, sought)
        elif verb == "pause":
            await client.pause_run(run.run_id)
        elif verb == "resume":
            await client.resume_run(run.run_id)
        elif self.chance.random() < 0.4:
            await client.stop_run(run.run_id)

    def _row_near(self, run: Run) -> int:
        """A row to go on at: mostly a bit further on, now and then back."""
        here, last = run.statistics.last_row_index, (run.total_rows or 1) - 1
        if self.chance.random() < 0.3 and run.attempt < MOST_ATTEMPTS:
            return self.chance.randint(0, max(here, 0))
        return min(here + self.chance.randint(1, 3000), last)

    async def _retry(self) -> None:
        """Try a run that has ended again, from the first row or another."""
        runs = [
            run
            for run in (await self.world.client.runs(limit=100)).items
            if run.run_id in self.runs and run.status in TERMINAL
        ]
        if not runs or len(await self._alive()) >= self.runs_at_once:
            return
        run = self.chance.choice(runs)
        if run.attempt < MOST_ATTEMPTS:
            from_row = self.chance.choice((0, self.chance.randrange(run.total_rows or 1)))
            self.runs[run.run_id].seeks.append(from_row)
            await self.world.client.retry_run(run.run_id, Retry(from_row=from_row))
            self.orders["retry"] += 1
            self._follow(run.run_id)

    async def _replay(self) -> None:
        """Send the rows of a completed run again, from the first or another, by another model or the same."""
        runs = [
            run
            for run in (await self.world.client.runs(limit=100)).items
            if run.status == "COMPLETED" and self._is_original(run.run_id)
        ]
        if not runs or len(await self._alive()) >= self.runs_at_once:
            return
        run = self.chance.choice(runs)
        model, lanes = self.chance.choice(self.world.models), self.chance.choice(LANES)
        from_row = self.chance.choice((None, self.chance.randint(0, max(run.statistics.last_row_index, 0))))
        pace = self.chance.choice(PACES)
        wanted = ReplayCreate(
            attempt=run.attempt, from_row=from_row, model_version=model, rows_per_second=pace, lanes=lanes
        )
        replay = await self.world.client.replay_run(run.run_id, wanted)
        self.orders["replay"] += 1
        self._take(Ordered(replay.run_id, model, lanes, replays=(run.run_id, run.attempt, from_row or 0)))

    def _is_original(self, run_id: str) -> bool:
        return run_id in self.runs and self.runs[run_id].replays is None

    async def _train(self) -> None:
        training = await self.world.client.train(
            TrainingCreate(split_id=self.world.split.split_id, seed=self.chance.randrange(1000))
        )
        self.orders["train"] += 1
        self.world.trainings.append(training.task_id)

    async def _promote(self) -> None:
        await self.world.client.set_champion(self.chance.choice(self.world.models), force=True)
        self.orders["promote"] += 1

    async def stop_unknown(self) -> None:
        """Stop the runs that were accepted although their answer was lost: nothing is known of what was asked."""
        cursor: str | None = None
        while True:
            page = await self.world.patient.runs(cursor=cursor, limit=50)
            for run in page.items:
                if run.run_id not in self.runs and run.workspace is not None and run.status not in TERMINAL:
                    await self.world.patient.stop_run(run.run_id)
                    self.orders["stop of a run whose start was not answered"] += 1
            cursor = page.next_cursor
            if not cursor:
                return

    async def finish(self) -> dict[str, Run]:
        """Let every run go on to its end as fast as it can; return them. Whatever does not end, nor moves for a while,
        is a finding."""
        ended: dict[str, Run] = {}
        moved_at, seen = time.monotonic(), -1
        while (
            len(ended) < len(self.runs) or not all(f.ended for f in self.followers)
        ) and time.monotonic() - moved_at < STILL_SECONDS:
            handled = sum(run.statistics.last_row_index for run in ended.values())
            for run_id in self.runs.keys() - ended.keys():
                run = await self._towards_end(run_id)
                handled += run.statistics.last_row_index if run else 0
                if run and run.status in TERMINAL:
                    ended[run_id] = run
            handled += len(ended) + sum(follower.seen for follower in self.followers)
            if handled != seen:
                moved_at, seen = time.monotonic(), handled
            await asyncio.sleep(0.2)
        for run_id in self.runs.keys() - ended.keys():
            self.world.findings.append(f"run {run_id} does not end: {await self._describe(run_id)}")
        self.world.findings += [f"a follower of {f.run_id} does not end: {f}" for f in self.followers if not f.ended]
        await cancel_all(*self._following)
        return ended

    async def _towards_end(self, run_id: str) -> Run | None:
        try:
            run = await self.world.client.run(run_id)
        except ClientError:
            return None
        with suppress(ClientError):
            if run.status == "PAUSED":
                await self.world.client.resume_run(run_id)
            elif run.status not in TERMINAL and run.rows_per_second is not None:
                await self.world.client.set_speed(run_id, None)
        return run

    async def _describe(self, run_id: str) -> str:
        try:
            run = await self.world.client.run(run_id)
        except ClientError as error:
            return repr(error)
        return (
            f"{run.status} attempt {run.attempt}, {run.statistics.total_predictions} of {run.total_rows} rows,"
            f" {run.error}"
        )

    async def trainings_end(self) -> None:
        """Wait until every training has ended."""
        for task_id in self.world.trainings:
            try:
                await self.world.patient.wait_for(task_id, timeout_seconds=END_SECONDS)
            except ClientError as error:
                training = await self.world.patient.training(task_id)
                if training.status not in TERMINAL:
                    self.world.findings.append(f"training {task_id} does not end: {training.status}, {error}")
                else:
                    self.orders[f"training {training.status}"] += 1
