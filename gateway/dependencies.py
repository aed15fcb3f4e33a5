"""What routes take from the application: each part by its type, through `Depends`.

`gateway.parts.open_parts` makes the parts; the application keeps them in `app.state` under these names: `settings`, `views`, `commands`,
`history`, `changes`, `style`.
"""

import re
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.exceptions import RequestValidationError

from gateway.commands import Commands
from gateway.presentation import Style
from gateway.settings import GatewaySettings
from schemas.api import WORKSPACE_PATTERN
from storage.views import Views


def _settings(request: Request) -> GatewaySettings:
    settings: GatewaySettings = request.app.state.settings
    return settings


def _views(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


def _commands(request: Request) -> Commands:
    commands: Commands = request.app.state.commands
    return commands


def _style(request: Request) -> Style:
    style: Style = request.app.state.style
    return style


def _workspace(x_workspace: Annotated[str, Header(description="the caller's workspace")] = "default") -> str:
    if re.fullmatch(WORKSPACE_PATTERN, x_workspace) is None:
        message = f"Workspace must match {WORKSPACE_PATTERN}"
        raise RequestValidationError([{"loc": ("header", "X-Workspace"), "msg": message, "type": "value_error.workspace"}])
    return x_workspace


TheSettings = Annotated[GatewaySettings, Depends(_settings)]
TheViews = Annotated[Views, Depends(_views)]
TheCommands = Annotated[Commands, Depends(_commands)]
TheStyle = Annotated[Style, Depends(_style)]
Workspace = Annotated[str, Depends(_workspace)]
