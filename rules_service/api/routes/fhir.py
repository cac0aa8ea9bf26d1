"""FHIR R4: `POST /fhir/Claim/$validate-policy` and `GET /fhir/metadata`. Every fault is answered as an OperationOutcome."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from rules_service.api.bodies import REPLAYED, accepted_media, header, idempotency_key, not_acceptable, only_query, read_body
from rules_service.api.describe import FORM, fhir_answers, fhir_body, query
from rules_service.api.problems import FHIR_MEDIA, ProblemError
from rules_service.api.state import allowed, state_of
from rules_service.formats.fhir.answers import claim_response, operation_outcome
from rules_service.formats.fhir.capability import capability_statement
from rules_service.formats.fhir.claims import FhirClaim, read_fhir

router = APIRouter(tags=["fhir"])
OFFERED = (FHIR_MEDIA, "application/json")
CLAIM_RESPONSE = "http://hl7.org/fhir/StructureDefinition/ClaimResponse"


@router.get(
    "/fhir/metadata",
    operation_id="fhirMetadata",
    response_class=Response,
    openapi_extra={"security": [], "x-scope": "none", "parameters": [*FORM, query("mode", "As FHIR has it", ["full", "normative"])]},
    responses=fhir_answers(400, 406),
)
def metadata(request: Request) -> Response:
    """What is offered in FHIR, in whatever mode it is asked for but that of terminologies."""
    if request.query_params.get("mode", "full") not in ("full", "normative"):
        raise ProblemError("bad-request", "mode is full or normative.")
    return Response(msgspec.json.encode(capability_statement()), 200, None, _media(request, "mode"))


@router.post(
    "/fhir/Claim/$validate-policy",
    operation_id="validateFhirClaim",
    summary="Judge a FHIR Claim, alone or in a Bundle with what it refers to",
    response_class=Response,
    responses=fhir_answers(400, 401, 403, 406, 409, 413, 415, 422, 500, 503),
    openapi_extra=fhir_body(
        "claims:validate", f'`{FHIR_MEDIA}` answers an OperationOutcome; with `; profile="{CLAIM_RESPONSE}"` a ClaimResponse.'
    ),
)
async def validate_fhir(request: Request) -> Response:
    """A claim in, an OperationOutcome or ClaimResponse out; the evaluation is stored as any other."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    media = _media(request)
    key = idempotency_key(request)
    body = await read_body(request, (FHIR_MEDIA, "application/json"), state.settings.max_validate_bytes)
    read = await asyncio.to_thread(read_fhir, body)
    answered = await state.validator.validate(read.claim, principal, key)
    request.scope["catalog_epoch"] = answered.epoch
    headers = {"Content-Location": f"/v1/evaluations/{answered.evaluation_id}"} | (REPLAYED if answered.replayed else {})
    resource = _answer(read, msgspec.json.decode(answered.body), header(request, b"accept") or "")
    return Response(msgspec.json.encode(resource), 200, headers, media)


def _answer(read: FhirClaim, evaluation: dict[str, Any], accept: str) -> dict[str, Any]:
    if CLAIM_RESPONSE in accept:
        return claim_response(evaluation, read.type, read.use, read.patient, read.insurer)
    return operation_outcome(evaluation, read.diagnoses, read.place)


def _media(request: Request, *known: str) -> str:
    """The media type of the answer; `_format` overrules Accept, and 406 for one that is not JSON. `known` are other parameters of the query
    that are read (FHIR R4, 3.1.0.1.5 to 3.1.0.1.11)."""
    only_query(request, *(one["name"] for one in FORM), *known)
    wanted = request.query_params.get("_format")
    if wanted is None:
        return accepted_media(request, OFFERED)
    if wanted.lower().replace(" ", "+").partition(";")[0] not in ("json", *OFFERED):  # a + that nobody escaped is a space
        raise not_acceptable(OFFERED)
    return FHIR_MEDIA
