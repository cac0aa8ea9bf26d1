"""The FastAPI application."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from rules_service.api import problems
from rules_service.api.direct import DirectRoutes
from rules_service.api.middleware import BrowserHooks, RequestMiddleware
from rules_service.api.openapi import openapi_document
from rules_service.api.routes import (
    audit,
    catalog,
    cds_hooks,
    change_requests,
    claims,
    drafts,
    emergencies,
    evaluations,
    fhir,
    history,
    impact,
    jobs,
    oauth,
    operations,
    reference,
    services,
    stored_claims,
    waivers,
    webhooks,
    x12,
)
from rules_service.api.state import AppState
from rules_service.services.settings import Settings, load_settings

SUBJECTS = (
    claims,
    services,
    x12,
    fhir,
    cds_hooks,
    evaluations,
    waivers,
    stored_claims,
    catalog,
    drafts,
    impact,
    change_requests,
    emergencies,
    history,
    jobs,
    webhooks,
    audit,
    reference,
    oauth,
    operations,
)
"""Modules of routes, in the order of the contract."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application with its parts; they are opened when it starts and closed, with nothing lost, when it stops."""
    chosen = settings or load_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.parts = AppState.build(chosen)
        # What is loaded stays: collecting it again and again costs a quarter of a request.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        sys.setswitchinterval(0.0005)
        try:
            yield
        finally:
            app.state.parts.close()

    app = FastAPI(title="Payer rules service", lifespan=lifespan, openapi_url=None, redirect_slashes=False, docs_url=None, redoc_url=None)
    for subject in SUBJECTS:
        app.include_router(subject.router)
    app.openapi = lambda: openapi_document(app)  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(DirectRoutes, router=claims.router, endpoints=frozenset([claims.validate_claim]))
    if chosen.hook_origins:
        app.add_middleware(BrowserHooks, origins=chosen.hook_origins)
    app.add_middleware(RequestMiddleware)
    return app
