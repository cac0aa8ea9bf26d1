"""Health, version, metrics and the OpenAPI document."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import generate_latest

from rules_service import __version__
from rules_service.api import schemas as s
from rules_service.api.describe import problems, scoped, text_answer
from rules_service.api.openapi import openapi_document
from rules_service.api.state import allowed, state_of
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import catalog

router = APIRouter(tags=["operations"])
_OPEN = {"security": [], "x-scope": "none"}


@router.get("/livez", operation_id="livez", openapi_extra=_OPEN)
def livez() -> s.Health:
    """The process answers."""
    return s.Health(status="ok")


@router.get("/readyz", operation_id="readyz", openapi_extra=_OPEN, responses=problems(503))
def readyz(request: Request) -> s.Health:
    """The database answers; 503 when it does not."""
    state = state_of(request)
    with state.database.reading() as connection:
        catalog.ping(connection)
    return s.Health(status="ok")


@router.get("/version", operation_id="version", openapi_extra=_OPEN)
def version() -> s.Version:
    """Release and engine version."""
    return s.Version(version=__version__, engine_version=ENGINE_VERSION)


@router.get("/metrics", operation_id="metrics", response_class=Response, openapi_extra=scoped("metrics:read"), responses=text_answer("text/plain", "Prometheus text format") | problems(401, 403))  # fmt: skip
def metrics(request: Request) -> Response:
    """Counters of this process, without anything of a claim."""
    allowed(request, "metrics:read")
    return Response(generate_latest(state_of(request).metrics.registry), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/openapi.json", operation_id="openapi", include_in_schema=False)
def openapi(request: Request) -> dict[str, object]:
    """The contract."""
    return openapi_document(request.app)
