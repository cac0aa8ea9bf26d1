"""Webhook endpoints: who is told of publications, jobs, affected evaluations and failed integrity, and what became of each message."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import REPLAYED, idempotency_key, keyed, only_query, precondition
from rules_service.api.describe import body_of, idempotency, if_match, problems, query, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.queries import number_in
from rules_service.api.requests import WebhookChangeBody, WebhookEndpointBody, read_struct, read_struct_and_bytes
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.webhooks import DeliveryRecord, EndpointRecord

router = APIRouter(tags=["webhooks"], responses=problems(401, 403, 404))
SCOPE = "webhooks:manage"
Manager = Annotated[Principal, Depends(needs(SCOPE))]
_ONE = "/v1/webhook-endpoints/{endpoint_id}"
_STATES = ("waiting", "delivered", "failed")
MAX_LISTED = 200
_IF_MATCH = if_match("The ETag of the endpoint you read.")


def _values(record: EndpointRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in g.WebhookEndpointAnswer.model_fields}


def _answer(record: EndpointRecord, status: int = 200) -> Response:
    answer = g.WebhookEndpointAnswer(**_values(record))
    return JSONResponse(answer.model_dump(mode="json"), status, {"ETag": record.etag})


def _with_secret(made: tuple[EndpointRecord, str], status: int) -> Response:
    record, secret = made
    answer = g.WebhookSecretAnswer(**_values(record), secret=secret)
    headers = {"ETag": record.etag, "Location": f"/v1/webhook-endpoints/{record.endpoint_id}"}
    return JSONResponse(answer.model_dump(mode="json"), status, headers)


def _delivery(record: DeliveryRecord) -> g.WebhookDeliveryAnswer:
    return g.WebhookDeliveryAnswer(**{name: getattr(record, name) for name in g.WebhookDeliveryAnswer.model_fields})


@router.post("/v1/webhook-endpoints", operation_id="createWebhookEndpoint", status_code=201, response_model=g.WebhookSecretAnswer, responses=problems(400, 409, 413, 415, 422), openapi_extra=body_of(WebhookEndpointBody, SCOPE, [idempotency()]))  # fmt: skip
async def create_endpoint(request: Request, caller: Manager) -> Response:
    """Have events sent to a URL. The answer holds the secret messages are signed with (Standard Webhooks); it is not
    shown again but to who repeats the request under its idempotency key."""
    key = idempotency_key(request)
    body, sent = await read_struct_and_bytes(request, WebhookEndpointBody)
    again = None if key is None else keyed(key, sent)
    record, secret, was_made = await asyncio.to_thread(
        state_of(request).webhooks.create, actor_of(request, caller), body.url, body.events, body.description, again
    )  # fmt: skip
    answer = _with_secret((record, secret), 201)
    if was_made:
        answer.headers.update(REPLAYED)
    return answer


@router.get("/v1/webhook-endpoints", operation_id="listWebhookEndpoints", openapi_extra=scoped(SCOPE))
def list_endpoints(request: Request, caller: Manager) -> g.WebhookEndpointList:
    """Endpoints, oldest first; at most 50 can be made."""
    found = state_of(request).webhooks.listed(actor_of(request, caller))
    return g.WebhookEndpointList(data=[g.WebhookEndpointAnswer(**_values(record)) for record in found])


@router.get(_ONE, operation_id="getWebhookEndpoint", response_model=g.WebhookEndpointAnswer, openapi_extra=scoped(SCOPE))
def get_endpoint(endpoint_id: str, request: Request, caller: Manager) -> Response:
    """One endpoint; its ETag is needed to change it."""
    return _answer(state_of(request).webhooks.read(actor_of(request, caller), endpoint_id))


@router.patch(_ONE, operation_id="changeWebhookEndpoint", response_model=g.WebhookEndpointAnswer, responses=problems(400, 409, 412, 413, 415, 422, 428), openapi_extra=body_of(WebhookChangeBody, SCOPE, [_IF_MATCH]))  # fmt: skip
async def change_endpoint(endpoint_id: str, request: Request, caller: Manager) -> Response:
    """Change what is sent and where, or stop and go on. What waits goes to the new URL."""
    tag = precondition(request, "endpoint")
    body = await read_struct(request, WebhookChangeBody)
    changes = {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not msgspec.UNSET}
    return _answer(await asyncio.to_thread(state_of(request).webhooks.change, actor_of(request, caller), endpoint_id, tag, changes))


@router.delete(_ONE, operation_id="removeWebhookEndpoint", status_code=204, openapi_extra=scoped(SCOPE))
def remove_endpoint(endpoint_id: str, request: Request, caller: Manager) -> Response:
    """Forget an endpoint, and what was or was to be sent to it."""
    state_of(request).webhooks.remove(actor_of(request, caller), endpoint_id)
    return Response(status_code=204)


@router.post(f"{_ONE}/secret-rotation", operation_id="rotateWebhookSecret", status_code=201, response_model=g.WebhookSecretAnswer, openapi_extra=scoped(SCOPE))  # fmt: skip
def rotate_secret(endpoint_id: str, request: Request, caller: Manager) -> Response:
    """A new secret. Until `earlier_until` messages carry a signature by the one before it too, so that none is refused meanwhile."""
    return _with_secret(state_of(request).webhooks.rotate_secret(actor_of(request, caller), endpoint_id), 201)


@router.post(f"{_ONE}/test", operation_id="testWebhookEndpoint", status_code=202, responses=problems(409), openapi_extra=scoped(SCOPE))
def test_endpoint(endpoint_id: str, request: Request, caller: Manager) -> g.WebhookDeliveryAnswer:
    """Send a `webhook.test` event, whatever the endpoint asked for; its deliveries tell what became of it."""
    return _delivery(state_of(request).webhooks.test(actor_of(request, caller), endpoint_id))


@router.get(f"{_ONE}/deliveries", operation_id="listWebhookDeliveries", responses=problems(400), openapi_extra=scoped(SCOPE, parameters=[query("state", "Those in this state", _STATES), query("before", "next_before of the page before"), query("limit", "At most so many, up to 200")]))  # fmt: skip
def list_deliveries(endpoint_id: str, request: Request, caller: Manager) -> g.WebhookDeliveryPage:
    """What was, or is to be, sent to an endpoint, for thirty days."""
    only_query(request, "state", "before", "limit")
    state = request.query_params.get("state")
    if state is not None and state not in _STATES:
        raise ProblemError("bad-request", f"state is {', '.join(_STATES)}.")
    limit = number_in(request, "limit", 1, MAX_LISTED) or MAX_LISTED
    before = request.query_params.get("before")
    found = state_of(request).webhooks.deliveries(actor_of(request, caller), endpoint_id, state, before, limit)
    rest = found[-1].message_id if len(found) == limit else None
    return g.WebhookDeliveryPage(data=[_delivery(record) for record in found], next_before=rest)


@router.post(f"{_ONE}/deliveries/{{message_id}}/redelivery", operation_id="redeliverWebhook", status_code=202, responses=problems(409), openapi_extra=scoped(SCOPE))  # fmt: skip
def redeliver(endpoint_id: str, message_id: str, request: Request, caller: Manager) -> g.WebhookDeliveryAnswer:
    """Send a message again, under the same webhook-id."""
    return _delivery(state_of(request).webhooks.redeliver(actor_of(request, caller), endpoint_id, message_id))
