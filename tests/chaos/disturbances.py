"""What each kind of disturbance does to the world. One at a time on each target; those that last go on beside the
others."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import redis

from client.errors import ClientError, GatewayError
from schemas.http.v1 import TrainingCreate
from tests.chaos.plan import Disturbance
from tests.chaos.world import World, bring_root_back, bring_storage_back, take_root_away, take_storage_away
from tests.support.stack import Process
from tests.support.waiting import eventually

MOST_WORKERS, MOST_PRODUCERS = 3, 3
GRACEFUL_SECONDS = 30.0
FULL = 507
TRAINING_BEGINS_SECONDS = 5.0


class Disturber:
    """Carries a schedule out."""

    def __init__(self, world: World, began: float) -> None:
        self.world, self.began = world, began
        self.counts: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}
        self._lasting: set[asyncio.Task[None]] = set()

    async def carry_out(self, schedule: Sequence[Disturbance]) -> None:
        """Everything in the schedule, each at its time or as soon as its target is free. Ends when all is over and
        mended."""
        for disturbance in schedule:
            await asyncio.sleep(max(0.0, self.began + disturbance.at_seconds - time.monotonic()))
            task = asyncio.create_task(self._one(disturbance))
            self._lasting.add(task)
        await asyncio.gather(*self._lasting)

    async def _one(self, disturbance: Disturbance) -> None:
        target = self._lock_of(disturbance)
        async with self._locks.setdefault(target, asyncio.Lock()):
            self.counts[str(disturbance)] += 1
            self.world.done.append(f"{time.monotonic() - self.began:7.1f} s  {disturbance}")
            try:
                await self._kinds()[disturbance.kind](disturbance)
            except AssertionError as error:
                self.world.findings.append(f"{disturbance}: {error}")

    def _lock_of(self, disturbance: Disturbance) -> str:
        if "redis" in disturbance.kind:
            return "redis"
        if disturbance.kind.startswith("storage"):
            return "storage"
        if "broker" in disturbance.kind:
            return "broker"
        return {"disk full": "gateway", "kill all workers": "stream_processor"}.get(
            disturbance.kind, disturbance.target
        )

    def _kinds(self) -> dict[str, Callable[[Disturbance], Awaitable[None]]]:
        return {
            "kill": self._kill,
            "stop": self._stop,
            "freeze": self._freeze,
            "join": self._join,
            "leave": self._leave,
            "kill broker": self._kill_broker,
            "restart broker": self._restart_broker,
            "empty redis": self._empty_redis,
            "redis full": self._redis_full,
            "redis read only": self._redis_read_only,
            "storage away": self._storage_away,
            "storage root away": self._storage_root_away,
            "disk full": self._disk_full,
            "kill all workers": self._kill_all_workers,
        }

    def _chosen(self, disturbance: Disturbance) -> Process | None:
        running = [process for process in self.world.processes(disturbance.target) if process.running]
        return running[int(disturbance.which * len(running))] if running else None

    async def _kill(self, disturbance: Disturbance) -> None:
        if disturbance.target == "trainer":
            await self._begin_training()
        if (process := self._chosen(disturbance)) is not None:
            await asyncio.to_thread(process.kill)

    async def _begin_training(self) -> None:
        """So that there is one to be killed in."""
        with suppress(ClientError, AssertionError):
            training = await self.world.client.train(TrainingCreate(split_id=self.world.split.split_id))
            self.world.trainings.append(training.task_id)
            await eventually(lambda: self._begun(training.task_id), timeout_seconds=TRAINING_BEGINS_SECONDS)

    async def _begun(self, task_id: str) -> bool:
        return (await self.world.client.training(task_id)).status == "IN_PROGRESS"

    async def _kill_all_workers(self, disturbance: Disturbance) -> None:
        await asyncio.gather(
            *[
                asyncio.to_thread(process.kill)
                for process in self.world.processes("stream_processor")
                if process.running
            ]
        )

    async def _stop(self, disturbance: Disturbance) -> None:
        """Ask it to stop: it must obey within the bound, with exit code 0 unless a part that it needs is away."""
        process = self._chosen(disturbance)
        if process is None:
            return
        began = time.monotonic()
        await asyncio.to_thread(process.stop)
        took, code = time.monotonic() - began, process.exit_code
        if took > GRACEFUL_SECONDS or code not in (0, 70, 75, -15):
            self.world.findings.append(f"{process.name} was asked to stop and ended with {code} after {took:.1f} s")
        self.world.done.append(f"{'':9}  {process.name} stopped with {code} after {took:.1f} s")
        await asyncio.sleep(disturbance.lasts_seconds / 4)
        process.launch()

    async def _freeze(self, disturbance: Disturbance) -> None:
        if (process := self._chosen(disturbance)) is not None:
            process.freeze()
            await asyncio.sleep(disturbance.lasts_seconds)
            process.thaw()

    async def _join(self, disturbance: Disturbance) -> None:
        """A stopped one comes back, else one is added, up to the bound."""
        name = disturbance.target
        stopped = [process for process in self.world.processes(name) if process.stopped]
        if stopped:
            stopped[0].launch()
        elif len(self.world.processes(name)) < (MOST_WORKERS if name == "stream_processor" else MOST_PRODUCERS):
            self.world.stack.add(name)

    async def _leave(self, disturbance: Disturbance) -> None:
        """An added one leaves for good, until another joins."""
        running = [process for process in self.world.stack.added(disturbance.target) if process.running]
        if running:
            await asyncio.to_thread(running[-1].stop)

    async def _kill_broker(self, disturbance: Disturbance) -> None:
        broker = self.world.stack.process("kafka")
        await asyncio.to_thread(broker.kill)
        await asyncio.to_thread(broker.wait_until_ready)

    async def _restart_broker(self, disturbance: Disturbance) -> None:
        broker = self.world.stack.process("kafka")
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(disturbance.lasts_seconds)
        await asyncio.to_thread(broker.start)

    async def _empty_redis(self, disturbance: Disturbance) -> None:
        """Killed, and started with nothing: it keeps no files."""
        server = self.world.stack.process("redis")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.wait_until_ready)
        with redis.Redis.from_url(self.world.stack.redis_url) as client:
            self.world.done.append(f"{'':9}  redis is back with {client.dbsize()} keys")

    async def _redis_full(self, disturbance: Disturbance) -> None:
        """Half of what it holds is more than it may: with `noeviction` it refuses every write, and answers every
        read."""
        with redis.Redis.from_url(self.world.stack.redis_url) as client:
            before = client.config_get("maxmemory")["maxmemory"]
            client.config_set("maxmemory", client.info("memory")["used_memory"] // 2)
            await self._refused("OOM", disturbance)
            client.config_set("maxmemory", before)

    async def _redis_read_only(self, disturbance: Disturbance) -> None:
        """A replica of nobody, as after a failover."""
        with redis.Redis.from_url(self.world.stack.redis_url) as client:
            client.replicaof("127.0.0.1", "6")
            await self._refused("READONLY", disturbance)
            client.replicaof("NO", "ONE")

    async def _refused(self, word: str, disturbance: Disturbance) -> None:
        """While Redis refuses writes: note when the gateway says so."""
        began = time.monotonic()
        with suppress(AssertionError):  # the gateway may be away, too
            await eventually(lambda: self._says(word), timeout_seconds=disturbance.lasts_seconds)
            self.world.done.append(f"{'':9}  the gateway says {word} after {time.monotonic() - began:.1f} s")
        await asyncio.sleep(max(0.0, began + disturbance.lasts_seconds - time.monotonic()))

    async def _says(self, word: str) -> bool:
        with suppress(ClientError):
            return word in (await self.world.client.ready()).model_dump_json()
        return False

    async def _storage_away(self, disturbance: Disturbance) -> None:
        take_storage_away(self.world.folder)
        await asyncio.sleep(disturbance.lasts_seconds)
        bring_storage_back(self.world.folder)

    async def _storage_root_away(self, disturbance: Disturbance) -> None:
        """Unmounted, or renamed. An upload meanwhile must be refused with 503, and nothing may be written where the
        root was."""
        take_root_away(self.world.folder, mount_point=disturbance.which < 0.5)
        began = time.monotonic()
        try:
            await self.world.client.upload(self.world.csv)
            self.world.findings.append("an upload without a storage was accepted")
        except GatewayError as error:
            if error.status not in (None, 503):
                self.world.findings.append(f"an upload without a storage was answered {error.status} {error}")
        except ClientError:
            pass  # the gateway may be away, too
        await asyncio.sleep(max(0.0, began + disturbance.lasts_seconds - time.monotonic()))
        if written := bring_root_back(self.world.folder):
            self.world.findings.append(f"without a storage there were written {written}")

    async def _disk_full(self, disturbance: Disturbance) -> None:
        """Files of the gateway may not grow beyond half of an upload: it must be refused with 507 and leave nothing."""
        gateway = self.world.stack.process("gateway")
        before = self._stored()
        size = self.world.csv.stat().st_size
        await eventually(lambda: gateway.ready, timeout_seconds=90)
        pid = gateway.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size // 2, hard))
        try:
            await self.world.client.upload(self.world.csv)
            self.world.findings.append("an upload to a full disk was accepted")
        except GatewayError as error:
            self.world.done.append(f"{'':9}  upload to a full disk: {error.status} {error}")
            if error.status is not None and error.status not in (FULL, 503):
                self.world.findings.append(f"an upload to a full disk was answered {error.status} {error}")
        except ClientError as error:
            self.world.findings.append(f"an upload to a full disk: {error!r}")
        finally:
            if gateway.running and gateway.pid == pid:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        left = self._stored() - before
        if left:
            self.world.findings.append(f"an upload to a full disk left {sorted(left)}")

    def _stored(self) -> set[str]:
        """What the storage holds, wherever it is just now."""
        return {
            path.name for name in ("storage", "storage-away") for path in (self.world.folder / name / "files").glob("*")
        }
