"""Where the gateway is and whose objects are meant: `INTELLIINSPECT_URL`, `INTELLIINSPECT_WORKSPACE`, from the
environment or from `.env`.

Where no address is given, a stack that runs from this folder is meant, else `http://127.0.0.1:8000`.
"""

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from client.errors import GatewayUnavailable, RequestProblem

DEFAULT_URL = "http://127.0.0.1:8000"
RUNNING = ("starting", "ready")


def address(text: str) -> str:
    """The address as it is asked for: with a scheme, without a slash at its end."""
    text = text.strip()
    return (text if "://" in text or not text else f"http://{text}").rstrip("/")


class ClientSettings(BaseSettings):
    """Defaults of `Client`, `AsyncClient` and the `intelliinspect` command."""

    model_config = SettingsConfigDict(
        env_prefix="INTELLIINSPECT_", extra="ignore", env_ignore_empty=True, env_file=".env"
    )

    url: Annotated[str, AfterValidator(address)] = DEFAULT_URL
    workspace: str = "default"


def defaults() -> ClientSettings:
    """The settings, with the address of this folder's stack where none is given. Raises `GatewayUnavailable` where they
    cannot be read."""
    try:
        settings = ClientSettings()
    except ValidationError as error:
        wrong = "; ".join(f"INTELLIINSPECT_{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
        raise GatewayUnavailable(None, [RequestProblem(wrong)]) from error
    if "url" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"url": running_url() or settings.url})


def running_url(folder: Path | None = None) -> str | None:
    """The gateway of the stack that runs from this folder, as its state file says; null when none does."""
    folder = folder or Path(os.environ.get("DEVSTACK_FOLDER") or ".devstack")
    try:
        state = json.loads((folder / "state.json").read_bytes())
        return str(state["gateway_url"]) if state["phase"] in RUNNING else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
