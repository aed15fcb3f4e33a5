"""The terminal as a command sees it: tables for people or JSON for scripts, and exit codes that mean something.

stdout holds the answer: with `--json` one document (or one a line, for what goes on). Progress and errors go to stderr;
with `--json` an error is a JSON document there too.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.segment import Segment

from client.blocking import Client
from client.errors import (
    ClientError,
    GatewayError,
    GatewayFault,
    GatewayUnavailable,
    NoGateway,
    NotInstalled,
    Refused,
    RequestProblem,
    TaskFailed,
    TimedOut,
)
from schemas.http.shared import TaskStatus
from schemas.shown import printable

FAILED, USAGE, REFUSED, UNAVAILABLE, FAULT, TIMED_OUT, INTERRUPTED = 1, 2, 3, 4, 5, 6, 130
EXIT_CODES = """Exit codes: 0 done · 1 the task or a check failed · 2 wrong usage · 3 refused by the gateway (4xx) ·
4 gateway or a part of it unavailable · 5 gateway fault (please report) · 6 a wait timed out, the task goes on ·
130 interrupted"""

Json = Annotated[bool, typer.Option("--json", help="JSON on stdout, for scripts.")]


def exit_code(error: ClientError) -> int:
    """The exit code that says what happened."""
    kinds: dict[type[ClientError], int] = {
        TaskFailed: FAILED,
        NotInstalled: FAILED,
        TimedOut: TIMED_OUT,
        Refused: REFUSED,
        GatewayUnavailable: UNAVAILABLE,
        GatewayFault: FAULT,
    }
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), FAULT)


def as_document(error: ClientError) -> dict[str, Any]:
    """An error for scripts."""
    document: dict[str, Any] = {"error": type(error).__name__, "message": str(error)}
    if isinstance(error, GatewayError):
        document |= {
            "status": error.status,
            "problems": [
                {"field": problem.field, "message": problem.message, "type": problem.type} for problem in error.problems
            ],
            "retry_after": error.retry_after,
        }
    return document


def headline(error: ClientError) -> str:
    """What an error means, in a few words for a person."""
    if isinstance(error, GatewayUnavailable):
        return "The gateway cannot be reached" if error.status is None else "The gateway cannot do this now"
    if isinstance(error, Refused):
        return f"Refused ({error.status})"
    if isinstance(error, GatewayFault):
        return f"The gateway failed ({error.status}); please report this"
    return "Not finished in time" if isinstance(error, TimedOut) else "Failed"


def hint(error: ClientError) -> str | None:
    """What to do next, where that is known."""
    if isinstance(error, GatewayUnavailable) and error.status is None:
        return (
            "Start the stack with `intelliinspect up`, or name its address with --url. `intelliinspect doctor` looks"
            " for the cause."
        )
    if isinstance(error, GatewayUnavailable):
        return "Try again shortly. `intelliinspect status` says which part is down."
    return None


class PlainConsole(Console):
    """A console that writes of all texts only what can be seen: names and messages of others may hold what a terminal
    obeys."""

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        return super()._render_buffer(
            segment if segment.control else Segment(printable(segment.text), segment.style) for segment in buffer
        )


def end_quietly() -> NoReturn:
    """End the process as done; what is still to be flushed to stdout goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(0)


class _Out(PlainConsole):
    """stdout. Who reads it may have enough, as `head` has: that is no failure."""

    def on_broken_pipe(self) -> None:
        end_quietly()


class Terminal:
    """What a command writes to. As a context manager it turns an expected error into a message and an exit code."""

    def __init__(self, context: typer.Context, *, json: bool = False) -> None:
        self.json = json
        self.out = _Out(highlight=False)
        self.err = PlainConsole(stderr=True, highlight=False)
        self._url, self._workspace = context.obj

    def client(self) -> Client:
        """A client of the gateway that is meant. Raises `NoGateway` for an address that is none."""
        return Client(self._url, workspace=self._workspace)

    def show(self, answer: Any, render: Callable[[], RenderableType] | None = None) -> None:
        """Write the answer: its JSON, or what `render` draws."""
        if self.json:
            try:
                sys.stdout.write(as_json(answer) + "\n")
                sys.stdout.flush()
            except BrokenPipeError:
                self.out.on_broken_pipe()
        elif render is not None:
            self.out.print(render())

    def say(self, text: str) -> None:
        """A line for a person; nothing with `--json`."""
        if not self.json:
            self.out.print(text)

    def tell(self, text: str) -> None:
        """A line beside the answer, on stderr and never broken: it may be copied."""
        self.err.print(text, soft_wrap=True, markup=False)

    def next_step(self, command: str, what: str) -> None:
        """Tell a person what comes next."""
        if not self.json:
            self.err.print(f"next: [bold]{command}[/] {what}", style="dim", soft_wrap=True)

    def wait_for(self, client: Client, task_id: str, what: str) -> None:
        """Wait for a task with a bar. Ctrl-C ends the waiting only."""
        with self.percent_bar() as bar:
            shown = bar.add_task(what, total=100, detail="")

            def update(status: TaskStatus) -> None:
                progress = status.progress or {}
                bar.update(shown, completed=progress.get("percent", 0), detail=str(progress.get("status", "")))

            try:
                client.wait_for(task_id, on_status=update)
            except KeyboardInterrupt:
                self.tell(f"{what} goes on: intelliinspect status {task_id}")
                raise

    def bytes_bar(self) -> Progress:
        return self._progress(DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())

    def percent_bar(self) -> Progress:
        return self._progress(
            TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.fields[detail]}", markup=False)
        )

    def _progress(self, *columns: ProgressColumn) -> Progress:
        shown = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), *columns)
        return Progress(*shown, console=self.err, disable=self.json, transient=True)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, ClientError):
            return
        if self.json:
            sys.stderr.write(as_json(as_document(error)) + "\n")
        else:
            self.explain(error)
        raise typer.Exit(exit_code(error)) from error

    def explain(self, error: ClientError) -> None:
        """Say what is wrong and what to do, on stderr."""
        if isinstance(error, NoGateway):
            self.err.print(f"[bold red]{escape(str(error))}[/]", soft_wrap=True)
            return
        problems = error.problems if isinstance(error, GatewayError) else [RequestProblem(str(error))]
        self.err.print(f"[bold red]{escape(headline(error))}[/]")
        for problem in problems:
            where = (
                f"[bold]{escape(problem.field.removeprefix('body.'))}[/]: " if problem.field not in ("", "body") else ""
            )
            self.err.print(f"  • {where}{escape(problem.message)}")
        if (advice := hint(error)) is not None:
            self.err.print(f"[dim]{escape(advice)}[/]")


def as_json(answer: Any) -> str:
    """One line of JSON of a model, or of a structure of models; what a terminal obeys is escaped."""
    return "".join(
        one if printable(one) else f"\\u{ord(one):04x}"
        for one in json.dumps(answer, default=_plain, ensure_ascii=False)
    )


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Iterable):
        return list(value)
    return str(value)
