"""Commands about records that their readers pass over: poison list, show, skip."""

from typing import Annotated

import typer

from client.command import show_poison
from client.command.data import Limit
from client.command.stack import STACK
from client.command.terminal import Json, Terminal

poison = typer.Typer(
    name="poison",
    help="Records of the topics that no reader takes: look at them, pass over what ends a process again and again.",
)
Place = Annotated[str, typer.Argument(metavar="PLACE", help="topic:partition:offset")]


@poison.command(name="list")
def list_poison(
    context: typer.Context,
    topic: Annotated[str | None, typer.Option(help="Only those from this topic.")] = None,
    limit: Limit = 20,
    json: Json = False,
) -> None:
    """List records in quarantine, newest first, and how many there are by topic."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.quarantine(topic=topic, limit=limit)
        terminal.show(found, lambda: show_poison.records(found))


@poison.command()
def show(context: typer.Context, place: Place, json: Json = False) -> None:
    """Show one: where it stands, why no reader takes it, its bytes."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.quarantined(place)
        terminal.show(found, lambda: show_poison.record(found))


@poison.command()
def skip(context: typer.Context, place: Place, json: Json = False) -> None:
    """Have an order passed over that ends its process again and again; it takes effect when that process starts the
    next time."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        found = client.skip(place)
        terminal.show(found, lambda: show_poison.record(found))


def register(app: typer.Typer) -> None:
    app.add_typer(poison, rich_help_panel=STACK)
