"""`python -m gateway.documents`: write the OpenAPI and the AsyncAPI document to `docs/`, where tests/contract compares
them."""

import json
from pathlib import Path
from typing import Any

from gateway.app import create_app
from gateway.settings import GatewaySettings
from schemas import asyncapi

FOLDER = Path(__file__).parent.parent / "docs"


def documents() -> dict[str, dict[str, Any]]:
    """Both documents by file name; they depend on nothing but the code."""
    app = create_app(GatewaySettings())
    return {"openapi.json": app.openapi(), "asyncapi.json": asyncapi.document(app.version)}


def text(document: dict[str, Any]) -> str:
    """A document as it lies in `docs/`."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, document in documents().items():
        (FOLDER / name).write_text(text(document), encoding="utf-8")
