"""Impact of a draft on many claims, as a job."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import media_type, read_body
from rules_service.api.describe import body_of, problems
from rules_service.api.problems import ProblemError
from rules_service.api.requests import ImpactBody, read_struct
from rules_service.api.routes.jobs import accepted
from rules_service.api.state import actor_of, needs, state_of
from rules_service.claim.claim import Claim
from rules_service.formats.native.json_claims import lines_of, read_claims
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import RulesServiceError
from rules_service.services.acting import now_utc
from rules_service.services.impact import Window
from rules_service.storage.clients import Principal

router = APIRouter(tags=["drafts"], responses=problems(401, 403, 404))
Writer = Annotated[Principal, Depends(needs("rules:write"))]
IMPACT_DAYS = 30
_TEXT = {"schema": {"type": "string"}}
_BODY = body_of(ImpactBody, "rules:write")
_BODY["requestBody"]["content"] |= {"application/x-ndjson": _TEXT, "application/edi-x12": _TEXT}


@router.post("/v1/rule-sets/{rule_set_id}/draft/impact", operation_id="analyseImpact", status_code=202, response_model=g.JobAnswer, responses=problems(400, 413, 415, 422), openapi_extra=_BODY)  # fmt: skip
async def analyse_impact(rule_set_id: str, request: Request, caller: Writer) -> Response:
    """Judge many claims by the draft and by what is live: stored evaluations chosen by the JSON body, or the claims sent as NDJSON or 837.

    Answers with a job; its result counts the claims that change, by rule, payer, provider and code, with the dollars at risk.
    """
    state, actor = state_of(request), actor_of(request, caller)
    media = media_type(request)
    if media == "application/json":
        body = await read_struct(request, ImpactBody)
        end = body.to or now_utc()
        window = Window(body.from_ or end - timedelta(days=IMPACT_DAYS), end, body.sample, body.seed)
        if window.start >= window.end:
            raise ProblemError("bad-request", "from lies before to.")
        return accepted(request, caller, await asyncio.to_thread(state.impact.of_evaluations, actor, rule_set_id, window))
    raw = await read_body(request, ("application/json", "application/x-ndjson", "application/edi-x12"), state.settings.max_corpus_bytes)
    read = await asyncio.to_thread(_claims_sent, media, raw)
    read = [state.validator.received(one) if isinstance(one, Claim) else one for one in read]
    return accepted(request, caller, await asyncio.to_thread(state.impact.of_corpus, actor, rule_set_id, read))


def _claims_sent(media: str, raw: bytes) -> list[Claim | RulesServiceError]:
    return [item.outcome for item in read_837(raw)] if media == "application/edi-x12" else read_claims(lines_of(raw))
