"""Errors of the .NET routes as the web client shows them: plain text, a problem a line. The check of ranges stays JSON,
which it reads."""

import json

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.web.operations import route_path

PLAIN = "/api/"
JSON_STAYS = "/api/Dataset/validate-ranges"


def is_plain(path: str) -> bool:
    """Whether the errors of this path are plain text for the web client."""
    return path.startswith(PLAIN) and path != JSON_STAYS


class PlainErrors:
    """Rewrites the JSON of errors below `/api/`; everything else passes untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_plain(route_path(scope)):
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        body = b""

        async def sending(message: Message) -> None:
            nonlocal held, body
            if message["type"] == "http.response.start" and _is_json_error(message):
                held = message
                return
            if held is None:
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                text = _text(body).encode()
                headers = MutableHeaders(raw=held["headers"])
                headers["content-type"], headers["content-length"] = "text/plain; charset=utf-8", str(len(text))
                await send(held)
                await send({"type": "http.response.body", "body": text})

        await self._app(scope, receive, sending)


def _is_json_error(message: Message) -> bool:
    return message["status"] >= 400 and "json" in MutableHeaders(raw=message["headers"]).get("content-type", "")


def _text(body: bytes) -> str:
    """The sentences of an error in any of the gateway's forms."""
    said = json.loads(body)
    detail = said.get("errors") or said.get("message") or said.get("detail")
    if isinstance(detail, str):
        return detail
    lines = (one["msg"] if isinstance(one, dict) else str(one) for one in detail)
    return "\n".join(dict.fromkeys(lines))
