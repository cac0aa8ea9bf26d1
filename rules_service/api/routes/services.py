"""POST /v1/services/check: before there is a claim, is authorization needed, is it covered, is it too soon."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import only_query, read_body
from rules_service.api.describe import json_answer, json_body, problems
from rules_service.api.state import allowed, state_of
from rules_service.claim.codec import StrictDecoder, encode_json
from rules_service.claim.service_check import ServiceCheck

router = APIRouter(tags=["claims"])
_decoder = StrictDecoder(ServiceCheck, "service check")


@router.post(
    "/v1/services/check",
    operation_id="checkServices",
    summary="Authorization, coverage and frequency of planned services",
    response_class=Response,
    responses=json_answer("ServiceCheckAnswer", "What is known of each service; nothing is stored")
    | problems(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=json_body("ServiceCheck", "claims:validate", []),
)
async def check_services(request: Request) -> Response:
    """The payer's rules that speak of planned services, by the same engine as a claim's. Statuses are those of Da Vinci CRD."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    only_query(request)
    check = _decoder.decode(await read_body(request, ("application/json",), state.settings.max_validate_bytes))
    answer = await asyncio.to_thread(state.service_checks.check, principal.tenant_id, check)
    request.scope["catalog_epoch"] = answer.pins.catalog_epoch
    return Response(encode_json(answer), 200, media_type="application/json")
