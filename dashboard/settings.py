"""Settings of the dashboard: `DASHBOARD_…`.

The gateway's address and the workspace are the client's: `INTELLIINSPECT_URL`, `INTELLIINSPECT_WORKSPACE`.
"""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DashboardSettings(BaseSettings):
    """Read once at start."""

    model_config = SettingsConfigDict(env_prefix="DASHBOARD_", extra="ignore", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)
    upload_folder: Path | None = Field(
        None, description="where uploads lie on their way to the gateway; default: the system's"
    )
    kept_uploads: int = Field(3, ge=1, description="uploads that can be read again with other settings")
