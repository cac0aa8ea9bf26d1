"""CDS Hooks 2.0: discovery, `order-sign`, `order-select`, `appointment-book`, and feedback. Callers send a credential of ours or a signed JWT of their own."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import header, only_query, read_body
from rules_service.api.describe import body_of, json_answer, json_body, problems
from rules_service.api.problems import ProblemError
from rules_service.api.requests import CardFeedback, FeedbackBody, OverrideReason, read_struct
from rules_service.api.state import allowed, state_of
from rules_service.formats.fhir.cards import fixes_taken
from rules_service.formats.fhir.orders import HOOKS, read_call
from rules_service.primitives.errors import NotFound
from rules_service.services.assertions import AssertionRefused
from rules_service.storage.advice import Feedback
from rules_service.storage.clients import Principal

router = APIRouter(tags=["cds hooks"])
SCOPE = "claims:validate"
SECONDS = 4.0
"""An EHR waits for advice, a clinician does not: then there are no cards."""


@router.get(
    "/cds-services",
    operation_id="discoverCdsServices",
    openapi_extra={"security": [], "x-scope": "none"},
    response_class=Response,
    responses=json_answer("CdsServices", "The services"),
)
def discover(request: Request) -> Response:
    """The services, with what they ask the EHR to prefetch."""
    return _json(state_of(request).advice.discovery())


@router.post(
    "/cds-services/{id}",
    operation_id="callCdsService",
    response_class=Response,
    responses=json_answer("CdsCards", "Cards; none when the call says too little") | problems(400, 401, 403, 404, 413, 415, 422),
    openapi_extra=json_body("CdsCall", SCOPE, []),
)
async def call(id: str, request: Request) -> Response:
    """Authorization, coverage and frequency of draft orders or appointments as cards. Always in time: no cards rather than late ones."""
    until = time.monotonic() + SECONDS
    try:
        async with asyncio.timeout(SECONDS):
            return _json(await _cards(id, request, until))
    except TimeoutError:
        return _json({"cards": []})


async def _cards(id: str, request: Request, until: float) -> dict[str, Any]:
    principal = await _caller(request, id)
    state = state_of(request)
    only_query(request)
    body = await read_body(request, ("application/json",), state.settings.max_validate_bytes)
    read = await asyncio.to_thread(read_call, body, id)
    return await asyncio.to_thread(state.advice.advise, principal, read, until)


@router.post(
    "/cds-services/{id}/feedback",
    operation_id="sendCdsFeedback",
    response_class=Response,
    responses=problems(400, 401, 403, 404, 413, 415, 422, 503),
    openapi_extra=body_of(FeedbackBody, SCOPE),
)
async def feedback(id: str, request: Request) -> Response:
    """What became of cards, for the quality of the rules that said them."""
    principal = await _caller(request, f"{id}/feedback")
    only_query(request)
    body = await read_struct(request, FeedbackBody)
    told = [one for item in body.feedback if (one := _told(item)) is not None]
    if body.feedback and not told:
        raise ProblemError("not-found")
    await asyncio.to_thread(state_of(request).advice.feedback, principal, id, told)
    return Response(status_code=200)


def _told(item: CardFeedback) -> Feedback | None:
    """What is kept of one card's feedback; None when its UUIDs are not ours."""
    card = item.card.lower()
    try:
        taken = fixes_taken(card, (one.id for one in item.accepted_suggestions or ()))
    except NotFound:
        return None
    return Feedback(card, item.outcome, _reason(item.override_reason), taken)


def _reason(override: OverrideReason | None) -> str | None:
    code = override.reason.get("code") if override is not None and override.reason is not None else None
    return code if isinstance(code, str) else None


async def _caller(request: Request, path: str) -> Principal:
    """The caller by a credential of ours, or by a JWT signed with a registered key for exactly this address; then 404 for no hook of ours."""
    scheme, _, token = (header(request, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or token.strip().count(".") != 2:
        principal = await asyncio.to_thread(allowed, request, SCOPE)
    else:
        try:
            principal = await asyncio.to_thread(state_of(request).hook_callers.caller, token.strip(), f"/cds-services/{path}")
        except AssertionRefused as refused:
            raise ProblemError(
                "unauthenticated", refused.description, headers={"WWW-Authenticate": 'Bearer error="invalid_token"'}
            ) from None
    if SCOPE not in principal.scopes:
        raise ProblemError("insufficient-scope", f"This needs the scope {SCOPE}.")
    if path.removesuffix("/feedback") not in HOOKS:
        raise ProblemError("not-found")
    return principal


def _json(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), 200, media_type="application/json")
