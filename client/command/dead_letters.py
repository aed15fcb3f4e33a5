"""Commands about records that could not be scored: dead-letters list, show, redrive, purge."""

from pathlib import Path
from typing import Annotated

import typer

from client.command import show_dead_letters
from client.command.data import Cursor, Limit
from client.command.terminal import FAILED, Json, Terminal
from schemas.http.dead_letters import LetterState, PurgeMatching, RedriveMatching
from schemas.messages import Reason

letters = typer.Typer(
    name="dead-letters", help="Records that could not be scored: look at them, repair them, send them again."
)
Run = Annotated[str | None, typer.Option("--run", help="Only those of this run.")]
OfReason = Annotated[Reason | None, typer.Option("--reason", help="Only those of this reason.")]
Topic = Annotated[str | None, typer.Option(help="Only those from this topic.")]
Every = Annotated[bool, typer.Option("--all", help="All that match the filters; without any: all there are.")]


@letters.command(name="list")
def list_letters(
    context: typer.Context,
    run_id: Run = None,
    reason: OfReason = None,
    topic: Topic = None,
    state: Annotated[LetterState | None, typer.Option(help="[default: all that are not purged]")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
) -> None:
    """List dead letters, newest first, and how many there are by reason."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        page = client.dead_letters(cursor=cursor, limit=limit, run_id=run_id, reason=reason, topic=topic, state=state)
        terminal.show(page, lambda: show_dead_letters.letters(page))


@letters.command()
def show(context: typer.Context, letter: Annotated[str, typer.Argument(metavar="LETTER")], json: Json = False) -> None:
    """Show one: its bytes, where it came from, what is wrong, what became of it."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.dead_letter(letter)
        terminal.show(found, lambda: show_dead_letters.letter(found))


@letters.command()
def redrive(
    context: typer.Context,
    letter: Annotated[str | None, typer.Argument(metavar="[LETTER]")] = None,
    value: Annotated[
        Path | None, typer.Option("--value", exists=True, dir_okay=False, help="A file with the repaired row (JSON).")
    ] = None,
    every: Every = False,
    run_id: Run = None,
    reason: OfReason = None,
    topic: Topic = None,
    json: Json = False,
) -> None:
    """Send one again, repaired or as it was, or all that match. A row counts once, however often it is sent."""
    if (
        (letter is None) != every
        or (every and value is not None)
        or (letter is not None and (run_id or reason or topic))
    ):
        raise typer.BadParameter("name one letter, with or without --value, or say --all, with or without filters")
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        if letter is not None:
            found = client.redrive(letter, value.read_text() if value else None)
            return terminal.show(found, lambda: show_dead_letters.letter(found))
        sent = client.redrive_matching(RedriveMatching(run_id=run_id, reason=reason, topic=topic))
        terminal.show(sent, lambda: show_dead_letters.sent("sent again", sent))
    if sent.failed:
        raise typer.Exit(FAILED)
    return None


@letters.command()
def purge(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...")] = None,
    every: Every = False,
    run_id: Run = None,
    reason: OfReason = None,
    topic: Topic = None,
    json: Json = False,
) -> None:
    """Take letters off the list for good: their rows cannot be sent again. The counts of their runs stay."""
    if bool(ids) == every or (ids and (run_id or reason or topic)):
        raise typer.BadParameter("name letters, or say --all, with or without filters")
    filtered = bool(run_id or reason or topic)
    request = (
        PurgeMatching(ids=ids) if ids else PurgeMatching(run_id=run_id, reason=reason, topic=topic, all=not filtered)
    )
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        sent = client.purge(request)
        terminal.show(sent, lambda: show_dead_letters.sent("purged", sent))
    if sent.failed:
        raise typer.Exit(FAILED)


def register(app: typer.Typer) -> None:
    app.add_typer(letters, rich_help_panel="Runs")
