"""What routes take from the application: each part by its type, through `Depends`.

`gateway.parts.open_parts` makes the parts; the application keeps them in `app.state` under these names: `settings`,
`views`, `commands`, `outbox`, `changes`, `feed`, `pages`, `letters`, `ranges`, `comparisons`, `redriver`, `poison`,
`workshop`, and the dialects `dotnet_dialect` and `ml_dialect`. The functions are `async` because FastAPI runs plain
ones in threads, which was half of what a status request cost.
"""

from typing import Annotated

from fastapi import Depends, Header, Query, Request

from gateway.datasets.outbox import Outbox
from gateway.dead_letters.letters import Letters
from gateway.dead_letters.redrive import Redriver
from gateway.errors import DOTNET_PREFIX
from gateway.notifications import Changes
from gateway.predictions.comparisons import Comparisons
from gateway.predictions.pages import PredictionPages
from gateway.runs.events import Feed
from gateway.runs.offset_ranges import OffsetRanges
from gateway.settings import GatewaySettings
from gateway.system.quarantine import Poison
from gateway.web.operations import route_path
from gateway.web.style import Dialect
from gateway.web.threads import Workshop
from gateway.writer import Commands
from schemas.http.shared import WORKSPACE_PATTERN
from storage.view.views import Views


async def _settings(request: Request) -> GatewaySettings:
    settings: GatewaySettings = request.app.state.settings
    return settings


async def _views(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


async def _commands(request: Request) -> Commands:
    commands: Commands = request.app.state.commands
    return commands


async def _outbox(request: Request) -> Outbox:
    outbox: Outbox = request.app.state.outbox
    return outbox


async def _changes(request: Request) -> Changes:
    changes: Changes = request.app.state.changes
    return changes


async def _feed(request: Request) -> Feed:
    feed: Feed = request.app.state.feed
    return feed


async def _pages(request: Request) -> PredictionPages:
    pages: PredictionPages = request.app.state.pages
    return pages


async def _letters(request: Request) -> Letters:
    letters: Letters = request.app.state.letters
    return letters


async def _comparisons(request: Request) -> Comparisons:
    comparisons: Comparisons = request.app.state.comparisons
    return comparisons


async def _ranges(request: Request) -> OffsetRanges:
    ranges: OffsetRanges = request.app.state.ranges
    return ranges


async def _redriver(request: Request) -> Redriver:
    redriver: Redriver = request.app.state.redriver
    return redriver


async def _poison(request: Request) -> Poison:
    poison: Poison = request.app.state.poison
    return poison


async def _dialect(request: Request) -> Dialect:
    dotnet = route_path(request.scope).startswith(DOTNET_PREFIX)
    dialect: Dialect = request.app.state.dotnet_dialect if dotnet else request.app.state.ml_dialect
    return dialect


async def _workshop(request: Request) -> Workshop:
    workshop: Workshop = request.app.state.workshop
    return workshop


async def _workspace(
    x_workspace: Annotated[
        str, Header(description="the caller's workspace", pattern=f"^{WORKSPACE_PATTERN}$")
    ] = "default",
) -> str:
    return x_workspace


TheSettings = Annotated[GatewaySettings, Depends(_settings)]
TheViews = Annotated[Views, Depends(_views)]
TheCommands = Annotated[Commands, Depends(_commands)]
TheOutbox = Annotated[Outbox, Depends(_outbox)]
TheChanges = Annotated[Changes, Depends(_changes)]
TheFeed = Annotated[Feed, Depends(_feed)]
ThePages = Annotated[PredictionPages, Depends(_pages)]
TheLetters = Annotated[Letters, Depends(_letters)]
TheComparisons = Annotated[Comparisons, Depends(_comparisons)]
TheRanges = Annotated[OffsetRanges, Depends(_ranges)]
TheRedriver = Annotated[Redriver, Depends(_redriver)]
ThePoison = Annotated[Poison, Depends(_poison)]
TheDialect = Annotated[Dialect, Depends(_dialect)]
TheWorkshop = Annotated[Workshop, Depends(_workshop)]
Workspace = Annotated[str, Depends(_workspace)]
Cursor = Annotated[str | None, Query(max_length=200, description="`next_cursor` of the former page")]
Limit = Annotated[int, Query(ge=1, le=500)]
