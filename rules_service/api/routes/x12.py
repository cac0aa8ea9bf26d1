"""POST /v1/x12/837/validate: an 837 file in, an evaluation a claim out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import accepted_media, idempotency_key, only_query, read_body
from rules_service.api.describe import BY_CLAIM, accepts, idempotency, json_answer, problems, raw_body
from rules_service.api.problems import TITLES, problem_of
from rules_service.api.routes.claims import CHUNK, judge_read, replayed, results_of
from rules_service.api.state import allowed, state_of
from rules_service.formats.x12.acknowledgment import Answered as Acknowledged
from rules_service.formats.x12.acknowledgment import acknowledgment
from rules_service.formats.x12.claims_837 import read_837
from rules_service.formats.x12.parties import ReadClaim
from rules_service.formats.x12.places import finding_places, pointers_in
from rules_service.primitives.errors import RulesServiceError, StorageUnavailable
from rules_service.services.validate_claim import Answered

router = APIRouter(tags=["x12"])
MEDIA = "application/edi-x12"


@router.post(
    "/v1/x12/837/validate",
    operation_id="validateX12Claims",
    summary="Judge every claim of an 837 file (professional, institutional or dental)",
    response_class=Response,
    responses=json_answer(
        "X12Result", "One result a claim, with its place in the file; or a simulated 277CA", or_media="application/edi-x12"
    )
    | problems(400, 401, 403, 406, 409, 413, 415, 422, 503),
    openapi_extra=raw_body(
        "application/edi-x12",
        "claims:validate",
        "Interchanges of 005010X222A1 (837P), X223A2 (837I) or X224A2 (837D)",
        [accepts("`application/edi-x12`: answer a simulated 277CA"), idempotency(BY_CLAIM)],
    ),
)
async def validate_837(request: Request) -> Response:
    """Many claims in; one bad claim fails alone with its position, a bad envelope refuses the file. A 277CA of ours is no proof of filing."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    only_query(request)
    media = accepted_media(request, ("application/json", MEDIA))
    key = idempotency_key(request)
    body = await read_body(request, (MEDIA,), state.settings.max_batch_bytes)
    read = await asyncio.to_thread(read_837, body)
    answers: list[Answered | RulesServiceError] = []
    for start in range(0, len(read), CHUNK):
        chunk = read[start : start + CHUNK]
        answers.extend(await judge_read([item.outcome for item in chunk], principal, state.validator, start, key))
    headers = replayed(answers)
    request.scope["catalog_epoch"] = state.validator.snapshot(principal.tenant_id).epoch
    if media == MEDIA:
        told = [Acknowledged(item, _evaluation(answer)) for item, answer in zip(read, answers, strict=True)]
        return Response(acknowledgment(told, datetime.now(UTC)), 200, headers, MEDIA)
    placed = [_placed(*one) for one in zip(read, answers, results_of(answers), strict=True)]
    return Response(b'{"evaluations":[' + b",".join(placed) + b"]}", 200, headers, "application/json")


def _evaluation(answer: Answered | RulesServiceError) -> dict[str, Any] | None:
    """The evaluation of an answer; None when the claim is at fault. A fault of ours or of the request refuses the file: no claim is returned for it."""
    if isinstance(answer, Answered):
        return dict(msgspec.json.decode(answer.body))
    problem = problem_of(answer)
    if problem.slug in ("idempotency-in-progress", "idempotency-key-reused"):
        raise problem
    if TITLES[problem.slug][0] >= 500:
        raise StorageUnavailable("not every claim of the file could be judged now")
    return None


def _placed(item: ReadClaim, answer: Answered | RulesServiceError, result: bytes) -> bytes:
    """The result with the segment its claim starts at and, of each finding, the segment it points to."""
    places = finding_places(item.places, pointers_in(answer.body)) if isinstance(answer, Answered) else {}
    return result[:-1] + b',"segment":%d,"places":' % item.segment + msgspec.json.encode(places) + b"}"
