"""The hot route goes past the framework's router, exit stacks and dependency solving, which cost more than reading the claim.

The route stays declared in FastAPI, which documents it and answers every other method; the same function handles it here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute, APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send

from rules_service.api.problems import answer_to

Endpoint = Callable[[Request], Awaitable[Response]]


class DirectRoutes:
    """Handles POST to the chosen endpoints of a router itself; everything else goes on to the application."""

    def __init__(self, app: ASGIApp, router: APIRouter, endpoints: frozenset[Any]) -> None:
        self.app = app
        self._routes = {route.path: route for route in router.routes if isinstance(route, APIRoute) and route.endpoint in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self.app(scope, receive, send)
            return
        scope["route"] = route
        request = Request(scope, receive)
        endpoint: Endpoint = route.endpoint
        try:
            response = await endpoint(request)
        except Exception as error:
            answer = answer_to(request, error)
            if answer is None:
                raise
            response = answer
        await response(scope, receive, send)
