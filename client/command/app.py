"""The `intelliinspect` command: its options for all commands, and the commands by group."""

from importlib.metadata import version
from typing import Annotated

import typer

from client.command import data as commands_data
from client.command import dead_letters as commands_dead_letters
from client.command import models as commands_models
from client.command import play as commands_play
from client.command import poison as commands_poison
from client.command import runs as commands_runs
from client.command import stack as commands_stack
from client.command.terminal import EXIT_CODES

app = typer.Typer(
    name="intelliinspect",
    help="Upload inspection rows, train a model, replay the rows through Kafka and watch every row being scored.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("intelliinspect"))
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option(
            envvar="INTELLIINSPECT_URL",
            help="The gateway's address. [default: of the stack in this folder, else http://127.0.0.1:8000]",
        ),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option(envvar="INTELLIINSPECT_WORKSPACE", help="Whose objects. [default: default]")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    context.obj = (url, workspace)


for group in (
    commands_stack,
    commands_data,
    commands_models,
    commands_runs,
    commands_play,
    commands_dead_letters,
    commands_poison,
):
    group.register(app)
