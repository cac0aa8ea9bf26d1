"""The claims of patients as they are kept: read with a trace, erased, held."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from rules_service.api import governance_schemas as g
from rules_service.api.describe import body_of, json_answer, problems, scoped
from rules_service.api.requests import LegalHoldBody, ReasonBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.retention import HoldRecord

router = APIRouter(tags=["stored claims"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("evaluations:read_input"))]
Eraser = Annotated[Principal, Depends(needs("evaluations:erase"))]
_REFUSALS = problems(400, 409, 413, 415, 422)


def _answer(record: HoldRecord) -> g.LegalHoldAnswer:
    return g.LegalHoldAnswer(**{name: getattr(record, name) for name in g.LegalHoldAnswer.model_fields})


@router.get("/v1/evaluations/{evaluation_id}/input", operation_id="getEvaluationInput", response_class=Response, responses=json_answer("Claim", "The claim as it was judged (PHI)") | problems(410), openapi_extra=scoped("evaluations:read_input"))  # fmt: skip
def get_input(evaluation_id: str, request: Request, caller: Reader) -> Response:
    """The stored claim. That it was read is an audit event before anything of it is sent."""
    return Response(state_of(request).retention.read_input(actor_of(request, caller), evaluation_id), media_type="application/json")


@router.post("/v1/evaluations/{evaluation_id}/erasure", operation_id="eraseEvaluationInput", status_code=204, responses=_REFUSALS | problems(410), openapi_extra=body_of(ReasonBody, "evaluations:erase"))  # fmt: skip
async def erase_input(evaluation_id: str, request: Request, caller: Eraser) -> Response:
    """Erase the stored claim. The evaluation stays; it can be verified, and no longer replayed."""
    body = await read_struct(request, ReasonBody)
    await asyncio.to_thread(state_of(request).retention.erase, actor_of(request, caller), evaluation_id, body.reason)
    return Response(status_code=204)


@router.post("/v1/legal-holds", operation_id="placeLegalHold", status_code=201, responses=_REFUSALS, openapi_extra=body_of(LegalHoldBody, "evaluations:erase"))  # fmt: skip
async def place_hold(request: Request, caller: Eraser) -> g.LegalHoldAnswer:
    """Keep stored claims from being erased, by request or retention, until the hold is released."""
    body = await read_struct(request, LegalHoldBody)
    record = await asyncio.to_thread(
        state_of(request).retention.place_hold, actor_of(request, caller), body.reason, body.lineage_id, body.payer_id, body.evaluated_from, body.evaluated_through
    )  # fmt: skip
    return _answer(record)


@router.get("/v1/legal-holds", operation_id="listLegalHolds", openapi_extra=scoped("audit:read"))
def list_holds(request: Request, caller: Annotated[Principal, Depends(needs("audit:read"))]) -> g.LegalHoldList:
    """Every legal hold, newest first."""
    return g.LegalHoldList(data=[_answer(record) for record in state_of(request).retention.holds(actor_of(request, caller))])


@router.post("/v1/legal-holds/{hold_id}/release", operation_id="releaseLegalHold", responses=_REFUSALS, openapi_extra=body_of(ReasonBody, "evaluations:erase"))  # fmt: skip
async def release_hold(hold_id: str, request: Request, caller: Eraser) -> g.LegalHoldAnswer:
    """Let the claims go their way again."""
    body = await read_struct(request, ReasonBody)
    return _answer(await asyncio.to_thread(state_of(request).retention.release_hold, actor_of(request, caller), hold_id, body.reason))
