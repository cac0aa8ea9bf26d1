"""The audit log: read, verify, checkpoint, export."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.describe import body_of, problems, query, scoped, text_answer
from rules_service.api.queries import number_in
from rules_service.api.requests import VerifyBody, VerifyEvaluationsBody, read_struct
from rules_service.api.routes.jobs import accepted
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal

router = APIRouter(tags=["audit"], responses=problems(401, 403))
Auditor = Annotated[Principal, Depends(needs("audit:read"))]
Verifier = Annotated[Principal, Depends(needs("audit:verify"))]
_FILTERS = ("actor", "action", "object_type", "object_id")
PAGE, MAX_PAGE = 50, 200


@router.get("/v1/audit-events", operation_id="listAuditEvents", responses=problems(400), openapi_extra=scoped("audit:read", parameters=[query("before", "Events below this number"), query("limit", "How many, 50 unless given, at most 200"), *(query(name, f"Those with this {name}") for name in _FILTERS)]))  # fmt: skip
def list_events(request: Request, caller: Auditor) -> g.AuditPage:
    """Who did what to which object, when and why; newest first."""
    only_query(request, "before", "limit", *_FILTERS)
    limit = number_in(request, "limit", 1, MAX_PAGE) or PAGE
    filters = {name: request.query_params.get(name) for name in _FILTERS}
    found = state_of(request).audit.events(actor_of(request, caller), number_in(request, "before", 1), limit, filters)
    data = [g.AuditEventAnswer(seq=one.seq, prev_hash=one.prev_hash, hash=one.hash, event=msgspec.json.decode(one.body)) for one in found]
    return g.AuditPage(data=data, next_before=found[-1].seq if len(found) == limit else None)


@router.post("/v1/audit/verify", operation_id="verifyAuditLog", responses=problems(400, 413, 415, 422), openapi_extra=body_of(VerifyBody, "audit:verify"))  # fmt: skip
async def verify(request: Request, caller: Verifier) -> g.VerificationAnswer:
    """Read the whole chain and name the first event that is not what was written; checkpoints kept outside find a log that was cut or made anew."""
    body = await read_struct(request, VerifyBody)
    kept = {one.seq: one.hash for one in body.checkpoints}
    found = await asyncio.to_thread(state_of(request).audit.verify, actor_of(request, caller), kept)
    broken = found.broken
    return g.VerificationAnswer(
        holds=broken is None,
        events=found.events,
        head_hash=found.head_hash,
        base_seq=found.base_seq,
        base_hash=found.base_hash,
        unheld_checkpoints=list(found.unheld_checkpoints),
        broken_at=broken.seq if broken else None,
        why=broken.why if broken else None,
    )


@router.post("/v1/audit/verify-evaluations", operation_id="verifyEvaluations", status_code=202, response_model=g.JobAnswer, responses=problems(400, 413, 415, 422), openapi_extra=body_of(VerifyEvaluationsBody, "audit:verify"))  # fmt: skip
async def verify_evaluations(request: Request, caller: Verifier) -> Response:
    """Hold every sealed evaluation to its seal, in a job whose result names the first that is not what was sealed."""
    body = await read_struct(request, VerifyEvaluationsBody)
    kept = {one.number: one.hash for one in body.seals}
    return accepted(request, caller, await asyncio.to_thread(state_of(request).sealing.start_verification, actor_of(request, caller), kept))


@router.get("/v1/audit/checkpoint", operation_id="getAuditCheckpoint", openapi_extra=scoped("audit:verify"))
def checkpoint(request: Request, caller: Verifier) -> g.CheckpointAnswer:
    """The heads of the log and of the seals, signed: keep them outside, and hold both to them later."""
    found = state_of(request).audit.checkpoint(actor_of(request, caller))
    return g.CheckpointAnswer(**{name: getattr(found, name) for name in g.CheckpointAnswer.model_fields})


@router.get("/v1/audit/export", operation_id="exportAuditLog", response_class=StreamingResponse, responses=text_answer("application/x-ndjson", "One event a line, then a line that counts them"), openapi_extra=scoped("audit:read"))  # fmt: skip
def export(request: Request, caller: Auditor) -> StreamingResponse:
    """Every event, to be verified offline; the last line counts them, so that a cut file is seen."""
    return StreamingResponse(state_of(request).audit.export(actor_of(request, caller)), media_type="application/x-ndjson")
