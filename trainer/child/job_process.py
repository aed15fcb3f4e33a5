"""A child process for each job: a crash, a kill or running out of memory there does not harm the trainer."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from trainer.child.wire import Failed, Job, Report, decode_report, encode

LONGEST_REPORT = 64 << 20
END_TIMEOUT_SECONDS = 10.0


class JobProcess:
    """A running job. Reports come in order; the last one is an outcome, whatever happens to the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def report(self) -> Report:
        """Return the next report; may be cancelled without losing one."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if line.endswith(b"\n"):
            return decode_report(line)
        return Failed(describe_exit(await self._process.wait()))


@asynccontextmanager
async def job_process(job: Job) -> AsyncIterator[JobProcess]:
    """Start the job; it is dead when the block is left, however it is left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "trainer.child.process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LONGEST_REPORT,
        env=job_environment(),
        start_new_session=True,  # Ctrl-C in a terminal is for the trainer
    )
    try:
        assert process.stdin is not None
        process.stdin.write(encode(job) + b"\n")  # stays open: its end would tell the job that we are gone
        yield JobProcess(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        async with asyncio.timeout(END_TIMEOUT_SECONDS):
            await process.wait()


def job_environment() -> dict[str, str]:
    """The environment of a job: threads that spin while they wait lose tenfold where others work too."""
    return {"OMP_WAIT_POLICY": "passive"} | os.environ


def describe_exit(code: int) -> str:
    """Why a job ended without an outcome, in words for a person."""
    if code == -signal.SIGKILL:
        return "The job's process was killed by the system, most likely because the machine ran out of memory."
    if code < 0:
        return f"The job's process crashed ({signal.Signals(-code).name})."
    return f"The job's process ended with code {code} before it was done; see the trainer's log."
