"""POST /v1/x12/837/validate: an 837 file in, an evaluation a claim out."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import only_query, read_body
from rules_service.api.openapi import json_answer, problems, raw_body
from rules_service.api.routes.claims import CHUNK, judge_read
from rules_service.api.state import allowed, state_of
from rules_service.formats.x12.claims_837 import read_837

router = APIRouter(tags=["x12"])


@router.post(
    "/v1/x12/837/validate",
    operation_id="validateX12Claims",
    summary="Judge every claim of an 837 file (professional, institutional or dental)",
    response_class=Response,
    responses=json_answer("X12Result", "One result a claim, with its place in the file") | problems(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=raw_body("application/edi-x12", "claims:validate", "Interchanges of 005010X222A1 (837P), X223A2 (837I) or X224A2 (837D)"),
)
async def validate_837(request: Request) -> Response:
    """Many claims in; one bad claim fails alone with its position, a bad envelope refuses the file."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    only_query(request)
    body = await read_body(request, ("application/edi-x12",), state.settings.max_batch_bytes)
    read = await asyncio.to_thread(read_837, body)
    parts: list[bytes] = []
    for start in range(0, len(read), CHUNK):
        chunk = read[start : start + CHUNK]
        parts.extend(await judge_read([item.outcome for item in chunk], principal, state.validator, start))
    request.scope["catalog_epoch"] = state.validator.snapshot(principal.tenant_id).epoch
    return Response(b'{"evaluations":[' + b",".join(parts) + b"]}", 200, media_type="application/json")
