"""Pure ASGI middleware: request id, version headers, metrics. Nothing of a body or query passes through a log."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rules_service.services.validate_claim import ENGINE_VERSION

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}\Z")
_FIXED = [
    (b"engine-version", ENGINE_VERSION.encode()),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
]


class BrowserHooks:
    """Lets EHRs that run in a browser call the CDS Hooks from their origins (CDS Hooks 2.0, "Cross-Origin Resource Sharing"); no other path
    answers to another origin."""

    def __init__(self, app: ASGIApp, origins: tuple[str, ...]) -> None:
        self.app = app
        self.shared = CORSMiddleware(app, origins, allow_methods=("GET", "POST"), allow_headers=("Authorization", "Content-Type"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, a hook's with its origin judged."""
        is_hook = scope["type"] == "http" and scope["path"].startswith("/cds-services")
        await (self.shared if is_hook else self.app)(scope, receive, send)


class RequestMiddleware:
    """Takes a well-formed `Request-Id` or gives one; adds `Engine-Version`, `Catalog-Epoch`; counts and times."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wrap one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if "\x00" in scope["path"]:
            scope["path"] = "/"  # no resource has such a name, and PostgreSQL would not even take it
        given = next((value for name, value in scope["headers"] if name == b"request-id"), b"")
        request_id = given if _REQUEST_ID.match(given) else secrets.token_hex(16).encode()
        scope["request_id"] = request_id.decode()
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers: list[Any] = message["headers"]
                headers.append((b"request-id", request_id))
                headers.extend(_FIXED)
                epoch = scope.get("catalog_epoch")
                if epoch is not None:
                    headers.append((b"catalog-epoch", str(epoch).encode()))
            await send(message)

        try:
            await self.app(scope, receive, answer)
        finally:
            metrics = scope["app"].state.parts.metrics if "app" in scope else None
            if metrics is not None:
                route = getattr(scope.get("route"), "path", "unmatched")
                metrics.observe(route, status, time.perf_counter() - started)
