"""Commands about the machine: up, down, demo, doctor. The stack itself is `python -m devstack`, started as a process of
its own."""

import os
import subprocess
import sys
from typing import Annotated

import typer

from client.command import doctor as examination
from client.command import show, show_runs, show_system
from client.command.terminal import FAILED, INTERRUPTED, UNAVAILABLE, Json, Terminal
from client.errors import NotInstalled
from client.installed import missing
from schemas.ids import RUN_PREFIX

STACK = "Stack on this machine"


def up(context: typer.Context, json: Json = False) -> None:
    """Start Kafka, Redis and every process in the background; return when all are ready."""
    with Terminal(context, json=json) as terminal:
        _devstack(terminal, "up")
        if json:
            _devstack(terminal, "status", "--json", answers=True)


def down(context: typer.Context, json: Json = False) -> None:
    """Stop everything; data stays."""
    with Terminal(context, json=json) as terminal:
        _devstack(terminal, "down")
        if json:
            terminal.show({"stopped": True})


def demo(
    context: typer.Context,
    rows: Annotated[int | None, typer.Option(min=1, help="End the simulation after so many rows.")] = None,
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything after the summary instead of going on until Ctrl-C.")
    ] = False,
    json: Json = False,
) -> None:
    """The whole job on generated data: upload, split, train, simulate, compare with an offline recount."""
    with Terminal(context, json=json) as terminal:
        wanted = {"DEMO_ROWS": "" if rows is None else str(rows), "DEMO_EXIT": "1" if leave else ""}
        _devstack(terminal, "demo", environment={name: value for name, value in wanted.items() if value})
        if json:
            terminal.show({"completed": True})


def _devstack(
    terminal: Terminal, *words: str, answers: bool = False, environment: dict[str, str] | None = None
) -> None:
    """Run it to its end with its output on the terminal (with `--json` on stderr, unless it answers).

    Raises `typer.Exit` when it fails, `NotInstalled` where there is only the client.

    Ctrl-C reaches it as it reaches us; it puts things in order and ends, so we wait for it.
    """
    if absent := missing("devstack"):
        raise NotInstalled(
            f"The stack is not installed here ({', '.join(absent)}): pip install 'intelliinspect[devstack]'"
        )
    process = subprocess.Popen(
        [sys.executable, "-m", "devstack", *words],
        env={**os.environ, **(environment or {})},
        stdout=sys.stderr if terminal.json and not answers else None,
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise typer.Exit(INTERRUPTED) from None
    if code != 0:
        raise typer.Exit(FAILED)


def doctor(context: typer.Context, json: Json = False) -> None:
    """Check this machine and the stack, and say how to mend what is wrong."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        findings = [*examination.machine(), *examination.gateway(client)]
        terminal.show([finding.document() for finding in findings], lambda: examination.table(findings))
        if any(finding.state == "failed" for finding in findings):
            raise typer.Exit(FAILED)


def status(
    context: typer.Context,
    task_id: Annotated[str | None, typer.Argument(help="A task. [default: the gateway and its parts]")] = None,
    json: Json = False,
) -> None:
    """Show how a task stands, or the gateway and its parts."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        if task_id is not None and task_id.startswith(RUN_PREFIX):
            run = client.run(task_id)
            return terminal.show(run, lambda: show_runs.run(run))
        if task_id is not None:
            task = client.task(task_id)
            return terminal.show(task, lambda: show.task(task))
        ready = client.ready()
        terminal.show(ready, lambda: show.readiness(ready, client.url))
        if ready.status != "ready":
            raise typer.Exit(UNAVAILABLE)
    return None


def system(context: typer.Context, json: Json = False) -> None:
    """Show the whole system: parts, lag, throughput, latency, topics, Redis."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.system()
        terminal.show(found, lambda: show_system.system(found, client.url))


def register(app: typer.Typer) -> None:
    for command in (up, down, status, system, doctor, demo):
        app.command(rich_help_panel=STACK)(command)
