"""Commands about models: train, models, champion."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from client.command import show
from client.command.data import DATA, Cursor, Limit
from client.command.terminal import Json, Terminal
from schemas.http.v1 import Objective, TrainingCreate


def train(
    context: typer.Context,
    split_id: Annotated[str | None, typer.Argument(help="[default: the latest]")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="A parameter of the model; repeatable."),
    ] = None,
    objective: Annotated[Objective, typer.Option(help="What the threshold is chosen by.")] = "mcc",
    threshold: Annotated[float | None, typer.Option(min=0.0, max=1.0, help="With objective fixed.")] = None,
    cost_false_positive: Annotated[float | None, typer.Option(help="With objective cost.")] = None,
    cost_false_negative: Annotated[float | None, typer.Option(help="With objective cost.")] = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    exclude: Annotated[
        list[str] | None, typer.Option(help="A feature that the model does not get; repeatable.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the model.")] = True,
    json: Json = False,
) -> None:
    """Train a model on a split. Ctrl-C ends the waiting, not the training."""
    try:
        request = TrainingCreate(
            split_id=split_id,
            parameters=dict(_parameter(text) for text in parameter or ()),
            objective=objective,
            threshold=threshold,
            cost_false_positive=cost_false_positive,
            cost_false_negative=cost_false_negative,
            seed=seed,
            exclude=exclude or [],
        )
    except ValidationError as error:
        raise typer.BadParameter("; ".join(problem["msg"] for problem in error.errors())) from None
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        started = client.train(request)
        if wait:
            terminal.say(f"training {started.task_id}")
            terminal.wait_for(client, started.task_id, "training")
            started = client.training(started.task_id)
        terminal.show(started, lambda: show.training(started))
        if started.result is not None:
            command = f"intelliinspect simulate --model {started.result.model_version}"
            terminal.next_step(command, "replays the simulation set through Kafka and scores it")


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE")
    for kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            continue
    return name, value


def models(
    context: typer.Context,
    model_version: Annotated[str | None, typer.Argument(help="Show this one.")] = None,
    limit: Limit = 20,
    cursor: Cursor = None,
    json: Json = False,
) -> None:
    """List the model versions, or show one."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        if model_version is not None:
            one = client.model(model_version)
            return terminal.show(one, lambda: show.model(one))
        page = client.models(cursor=cursor, limit=limit)
        terminal.show(page, lambda: show.models(page))
    return None


def champion(
    context: typer.Context,
    model_version: Annotated[str | None, typer.Argument(help="Make this one the champion. [default: show it]")] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also one that its test set does not show to be better than calling every row PASS."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Show or choose the model version that scores rows which name none."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        alias = client.champion() if model_version is None else client.set_champion(model_version, force=force)
        terminal.show(alias, lambda: f"champion: {alias.model_version}, since {show.when(alias.set_at)}")


def unset_champion(context: typer.Context, json: Json = False) -> None:
    """Have no champion: the latest model scores rows which name none."""
    with Terminal(context, json=json) as terminal, terminal.client() as client:
        client.unset_champion()
        terminal.show({"champion": None}, lambda: "no champion: the latest model scores rows that name none")


def register(app: typer.Typer) -> None:
    for command in (train, models, champion, unset_champion):
        app.command(rich_help_panel=DATA)(command)
