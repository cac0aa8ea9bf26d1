"""Waivers: a person's recorded choice to pass a finding."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.describe import body_of, problems, query, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.requests import ReasonBody, WaiverBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.waivers import WaiverRecord

router = APIRouter(tags=["waivers"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("evaluations:read"))]
Giver = Annotated[Principal, Depends(needs("waivers:write"))]
_REFUSALS = problems(400, 409, 413, 415, 422)
MAX_LISTED = 1_000


def _answer(record: WaiverRecord) -> g.WaiverAnswer:
    names = set(g.WaiverAnswer.model_fields)
    own = {name: getattr(record, name) for name in names & set(record.__slots__)}
    return g.WaiverAnswer(**own, **{name: getattr(record.waiver, name) for name in names - set(own)})


@router.post("/v1/evaluations/{evaluation_id}/waivers", operation_id="giveWaiver", status_code=201, responses=_REFUSALS, openapi_extra=body_of(WaiverBody, "waivers:write"))  # fmt: skip
async def give_waiver(evaluation_id: str, request: Request, caller: Giver) -> g.WaiverAnswer:
    """Pass a finding: it stays in every answer, marked, and no longer holds the claim. `standing` needs waivers:standing too."""
    body = await read_struct(request, WaiverBody)
    state = state_of(request)
    record = await asyncio.to_thread(
        state.waivers.give, actor_of(request, caller), evaluation_id, body.finding_id, body.scope, body.reason_code, body.expires_on, body.on_behalf_of
    )  # fmt: skip
    return _answer(record)


@router.get("/v1/waivers", operation_id="listWaivers", responses=problems(400), openapi_extra=scoped("evaluations:read", parameters=[query("unused", "Those that marked no evaluation yet, or only the others", ("true", "false"))]))  # fmt: skip
def list_waivers(request: Request, caller: Reader) -> g.WaiverList:
    """Waivers newest first, at most 1000, with how often each was used."""
    only_query(request, "unused")
    wanted = request.query_params.get("unused")
    if wanted not in (None, "true", "false"):
        raise ProblemError("bad-request", "unused is true or false.")
    found = state_of(request).waivers.listed(actor_of(request, caller), None if wanted is None else wanted == "true", MAX_LISTED)
    return g.WaiverList(data=[_answer(record) for record in found])


@router.post("/v1/waivers/{waiver_id}/ending", operation_id="endWaiver", responses=_REFUSALS, openapi_extra=body_of(ReasonBody, "waivers:write"))  # fmt: skip
async def end_waiver(waiver_id: str, request: Request, caller: Giver) -> g.WaiverAnswer:
    """End a waiver before its day; its finding holds claims again."""
    body = await read_struct(request, ReasonBody)
    return _answer(await asyncio.to_thread(state_of(request).waivers.end, actor_of(request, caller), waiver_id, body.reason))
