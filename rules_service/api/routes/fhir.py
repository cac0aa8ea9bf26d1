"""FHIR R4: `POST /fhir/Claim/$validate-policy` and `GET /fhir/metadata`. Every fault is answered as an OperationOutcome."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import REPLAYED, header, idempotency_key, only_query, read_body
from rules_service.api.describe import fhir_answers, fhir_body
from rules_service.api.problems import TITLES, ProblemError, problem_of
from rules_service.api.state import allowed, state_of
from rules_service.formats.fhir.answers import claim_response, operation_outcome, refused
from rules_service.formats.fhir.capability import capability_statement
from rules_service.formats.fhir.claims import FhirClaim, read_fhir
from rules_service.primitives.errors import RulesServiceError

router = APIRouter(tags=["fhir"])
MEDIA = "application/fhir+json"
CLAIM_RESPONSE = "http://hl7.org/fhir/StructureDefinition/ClaimResponse"


@router.get(
    "/fhir/metadata",
    operation_id="fhirMetadata",
    response_class=Response,
    openapi_extra={"security": [], "x-scope": "none"},
    responses=fhir_answers(),
)
def metadata() -> Response:
    """What is offered in FHIR."""
    return _resource(capability_statement())


@router.post(
    "/fhir/Claim/$validate-policy",
    operation_id="validateFhirClaim",
    summary="Judge a FHIR Claim, alone or in a Bundle with what it refers to",
    response_class=Response,
    responses=fhir_answers(400, 401, 403, 409, 413, 415, 422, 500, 503),
    openapi_extra=fhir_body(
        "claims:validate", f'`{MEDIA}` answers an OperationOutcome; with `; profile="{CLAIM_RESPONSE}"` a ClaimResponse.'
    ),
)
async def validate_fhir(request: Request) -> Response:
    """A claim in, an OperationOutcome or ClaimResponse out; the evaluation is stored as any other."""
    try:
        principal = allowed(request, "claims:validate")
        state = state_of(request)
        only_query(request)
        key = idempotency_key(request)
        body = await read_body(request, (MEDIA, "application/json"), state.settings.max_validate_bytes)
        read = await asyncio.to_thread(read_fhir, body)
        answered = await state.validator.validate(read.claim, principal, key)
    except RulesServiceError as error:
        return _refusal(problem_of(error))
    except ProblemError as error:
        return _refusal(error)
    request.scope["catalog_epoch"] = answered.epoch
    headers = {"Content-Location": f"/v1/evaluations/{answered.evaluation_id}"} | (REPLAYED if answered.replayed else {})
    return _resource(_answer(read, msgspec.json.decode(answered.body), header(request, b"accept") or ""), 200, headers)


def _answer(read: FhirClaim, evaluation: dict[str, Any], accept: str) -> dict[str, Any]:
    if CLAIM_RESPONSE in accept:
        return claim_response(evaluation, read.type, read.use, read.patient, read.insurer)
    return operation_outcome(evaluation, read.diagnoses)


def _refusal(problem: ProblemError) -> Response:
    status, title = TITLES[problem.slug]
    return _resource(refused(status, problem.detail or title, problem.issues), status, problem.headers)


def _resource(resource: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(resource), status, headers, MEDIA)
