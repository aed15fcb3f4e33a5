"""One game of chaos: make a world, set users and disturbers on it, mend everything, wait until all is at rest,
judge."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path

from devstack.recount import ExpectedAnswer as Expected
from devstack.recount import recount
from runtime.tasks import cancel_all
from schemas.http.runs import Run
from schemas.messages import TERMINAL
from tests.chaos import judge
from tests.chaos.disturbances import Disturber
from tests.chaos.evidence import Evidence, gather
from tests.chaos.followers import Witness
from tests.chaos.hostile_records import Blocker
from tests.chaos.load import Load, Ordered
from tests.chaos.outsiders import Impostor, OtherSystem
from tests.chaos.plan import Disturbance
from tests.chaos.rebuilding import compare
from tests.chaos.repairs import Repairer
from tests.chaos.world import World, world
from tests.support.waiting import eventually

REST_SECONDS = 120.0
BUG = "Traceback (most recent call last)"
EXPECTED_ERRORS = ("Fenced", "Unavailable", "aiokafka.errors.", "asyncio.exceptions.CancelledError")
"""What a trace may end in: a process that was frozen, or whose Kafka or storage is away, says so. Exit codes tell the
rest."""
NOT_OURS = ("Unexpected error in sender routine", "was never retrieved", "Exception in callback")
"""What aiokafka and asyncio log of an error that reaches us by another way too."""


@dataclass
class Outcome:
    """What was done and found."""

    seed: int
    seconds: float
    disturbances: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    done: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    exits: Counter[str] = field(default_factory=Counter)
    runs: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int] = field(default_factory=dict)


async def play(folder: Path, seed: int, schedule: Sequence[Disturbance], *, seconds: float, rows: int) -> Outcome:
    """Carry the schedule out for `seconds` and judge. The folder keeps logs and data."""
    outcome = Outcome(seed, seconds)
    async with world(folder, rows=rows, seed=seed, workers=2, producers=2) as place:
        began = time.monotonic()
        load, others, impostor, witness = (
            Load(place, seed),
            OtherSystem(place, seed),
            Impostor(place, seed),
            Witness(place.kafka),
        )
        disturber, repairer, blocker = Disturber(place, began), Repairer(place, others, seed), Blocker(place, seed)
        watching = asyncio.gather(witness.watch(), place.note_exits())
        outsiders = [
            asyncio.create_task(work)
            for work in (
                others.send_forever(),
                impostor.send_forever(),
                repairer.mend_forever(),
                blocker.block_forever(),
            )
        ]
        try:
            async with load.at_work():
                await asyncio.gather(disturber.carry_out(schedule), asyncio.sleep(seconds))
            place.findings += [f"an outsider gave up: {task.exception()!r}" for task in outsiders if task.done()]
            await cancel_all(*outsiders)
            await place.all_ready()
            await load.stop_unknown()
            ended = await load.finish()
            await load.trainings_end()
            evidence = await _at_rest(place, others, witness)
        except AssertionError as error:
            place.findings.append(f"the stack did not come to rest: {error}")
        else:
            shown = {run_id: await place.patient.run(run_id) for run_id in ended}
            place.findings += _verdict(place, load, others, witness, evidence, shown)
            place.findings += [finding async for finding in compare(place)]
            outcome.runs = Counter(run.status for run in shown.values())
            outcome.figures = {
                "predictions": evidence.predictions,
                "dead letters": sum(map(len, evidence.letters.values())),
                "redriven": sum(answer.redriven for found in evidence.answers.values() for answer in found),
                "records on rows.v1": evidence.rows,
                "rows of another system": len(others.sent),
                "imitations": impostor.sent,
                "open transactions": blocker.opened,
                "connections of followers": sum(follower.connections for follower in load.followers),
                "attempts": len({key for key in evidence.answers if not key[0].startswith("ext-")}),
            }
        finally:
            await cancel_all(watching, *outsiders)
            outcome.exits = place.exits
            outcome.disturbances, outcome.orders = disturber.counts, load.orders + repairer.counts
            outcome.findings, outcome.done = place.findings, place.done
            if place.stack.supervisor.state.failure:
                place.findings.append(f"the supervisor gave up: {place.stack.supervisor.state.failure}")
            place.findings += bugs_logged(folder / "stack" / "logs")
    return outcome


async def _at_rest(place: World, others: OtherSystem, witness: Witness) -> Evidence:
    """Wait until every record of the other system is answered and the witness stands at the end."""

    async def answered() -> Evidence | None:
        evidence = await gather(place.kafka)
        places = {(at.partition, at.offset) for found in evidence.tokens.values() for at in found}
        done = {(a.source.partition, a.source.offset) for found in evidence.answers.values() for a in found}
        done |= {(letter.partition, letter.offset) for found in evidence.letters.values() for letter in found}
        missing = places - done
        assert not missing, f"{len(missing)} records of another system are not handled: {sorted(missing)[:5]}"
        unseen = evidence.predictions - len(witness.seen)
        assert unseen <= 0, f"the consumer has {unseen} predictions to go"
        return evidence

    evidence = await eventually(answered, timeout_seconds=REST_SECONDS, message="every record handled")
    assert evidence is not None
    return evidence


def _verdict(
    place: World, load: Load, others: OtherSystem, witness: Witness, evidence: Evidence, shown: dict[str, Run]
) -> list[str]:
    findings: list[str] = []

    expected = cache(partial(recounted, place))
    for run_id, ordered in load.runs.items():
        attempts = {attempt for found, attempt in evidence.answers if found == run_id}
        attempts |= {lane.attempt for lane in evidence.lanes.values() if lane.run_id == run_id}
        last = shown[run_id].attempt if run_id in shown else max(attempts, default=1)
        rows = _expected_of(ordered, evidence, expected)
        for attempt in sorted(attempts):
            lanes = evidence.stats(run_id, attempt)
            letters = evidence.letters.get((run_id, attempt), [])
            case = judge.Case(ordered, attempt, evidence.answers.get((run_id, attempt), []), letters, lanes)
            status = shown[run_id].status if run_id in shown and attempt == last else ""
            findings += judge.judge_attempt(case, rows, status)
            if run_id in shown and attempt == last:
                findings += judge.judge_shown(shown[run_id], lanes.values())
        if run_id in shown and shown[run_id].status == "FAILED":
            findings.append(f"run {run_id} ended FAILED: {shown[run_id].error}")
    findings += [
        f"task {task.task_id} is {task.status}" for task in evidence.tasks.values() if task.status not in TERMINAL
    ]
    models = {version: place.storage.read_bytes(f"models/{version}/manifest.json") for version in place.models}
    thresholds = {version: float(json.loads(text)["threshold"]) for version, text in models.items()}
    findings += judge.judge_others(others.sent, evidence, thresholds)
    findings += judge.judge_witness(witness, evidence)
    for follower in load.followers:
        findings += judge.judge_follower(follower, evidence)
    return findings


def recounted(place: World, model_version: str) -> list[Expected]:
    """What a model must say of each row of the simulation set."""
    return recount(place.storage, model_version, place.split.simulation.path).answers


def _expected_of(ordered: Ordered, evidence: Evidence, expected: Callable[[str], list[Expected]]) -> list[Expected]:
    """What each row must say: of a replay, the answered rows of its source, numbered anew."""
    rows = expected(ordered.model_version)
    if ordered.replays is None:
        return rows
    source, attempt, from_row = ordered.replays
    there = sorted(
        {answer.row_index for answer in evidence.answers.get((source, attempt), []) if answer.row_index >= from_row}
    )
    return [replace(rows[row], row_index=number) for number, row in enumerate(there)]


def bugs_logged(logs: Path) -> list[str]:
    """Lines that no process may ever write, whatever is done to it."""
    found = []
    for log in sorted(logs.glob("*.log")):
        if log.stem in ("kafka", "redis"):
            continue
        lines = log.read_text(errors="replace").splitlines()
        traces = [
            _trace(lines[number:])
            for number, line in enumerate(lines)
            if BUG in line and not any(name in line for name in NOT_OURS)
        ]
        found += [f"{log.name}: {trace}" for trace in traces if not any(error in trace for error in EXPECTED_ERRORS)][
            :3
        ]
    return found


def _trace(lines: Sequence[str]) -> str:
    """A line of JSON with its trace in it, or the last line of a plain trace."""
    if lines[0].startswith("{"):
        return f"{lines[0][:400]} … {lines[0][-400:]}"
    return next((line for line in lines[1:] if not line.startswith(" ")), lines[-1])[:600]
