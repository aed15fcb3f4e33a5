"""Where the gateway is and whose objects are meant, from the environment: `INTELLIINSPECT_URL`, `INTELLIINSPECT_WORKSPACE`."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class ClientSettings(BaseSettings):
    """Defaults of `Client`, `AsyncClient` and the `intelliinspect` command."""

    model_config = SettingsConfigDict(env_prefix="INTELLIINSPECT_", extra="ignore", env_ignore_empty=True)

    url: str = "http://127.0.0.1:8000"
    workspace: str = "default"
