"""Stored evaluations: one, its explanation and evidence; searching for them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.describe import body_of, json_answer, problems, query, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.queries import instant_in, number_in
from rules_service.api.requests import SearchBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.evidence import EvaluationSummary

router = APIRouter(tags=["evaluations"])
Caller = Annotated[Principal, Depends(needs("evaluations:read"))]
Auditor = Annotated[Principal, Depends(needs("audit:read"))]
PAGE, MAX_PAGE = 50, 200
OUTCOMES = ("findings", "not_covered", "incomplete", "clean")
_FILTERS = [
    query("rule_id", "Those in which this rule found something; seconds after they were judged"), query("payer", "Those of this payer id"),
    query("outcome", "Those with this outcome", OUTCOMES), query("lineage_id", "Those of one claim"),
    query("from", "Judged at this instant or later"), query("to", "Judged before this instant"),
    query("before", "Evaluations before this id"), query("limit", "How many, 50 unless given, at most 200"),
]  # fmt: skip
_ZIP: dict[int | str, dict[str, Any]] = {200: {"description": "A zip of JSON documents without PHI", "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


@router.get("/v1/evaluations/{evaluation_id}", operation_id="getEvaluation", summary="A stored evaluation, byte for byte", response_class=Response, responses=json_answer("Evaluation", "The evaluation as it was given, with the findings marked that are waived now") | problems(401, 403, 404), openapi_extra=scoped("evaluations:read"))  # fmt: skip
def get_evaluation(evaluation_id: str, request: Request, caller: Caller) -> Response:
    """The bytes that were answered when the claim was judged; waivers given since are marked."""
    # The control number is the sender's: those who send claims, or may read stored ones, see it.
    names_the_claim = bool(caller.scopes & {"claims:validate", "evaluations:read_input"})
    answered = state_of(request).validator.read(caller.tenant_id, evaluation_id, names_the_claim)
    request.scope["catalog_epoch"] = answered.epoch
    return Response(answered.body, media_type="application/json")


@router.get("/v1/evaluations/{evaluation_id}/explanation", operation_id="explainEvaluation", summary="Each condition of each rule, with the facts it saw", response_class=Response, responses=json_answer("Explanation", "Conditions with true, false or unknown; PHI is never shown") | problems(401, 403, 404, 410), openapi_extra=scoped("evaluations:read"))  # fmt: skip
def explain_evaluation(evaluation_id: str, request: Request, caller: Caller) -> Response:
    """Re-read from the stored claim with the rules and editions of its epoch."""
    return Response(state_of(request).validator.explain(caller.tenant_id, evaluation_id), media_type="application/json")


@router.get("/v1/evaluations/{evaluation_id}/evidence", operation_id="getEvidence", response_class=Response, responses=_ZIP | problems(401, 403, 404), openapi_extra=scoped("audit:read"))  # fmt: skip
def get_evidence(evaluation_id: str, request: Request, caller: Auditor) -> Response:
    """One file: the evaluation, its pins, the rules it speaks of with citations, who approved them, and the proof of its seal."""
    body = state_of(request).evidence.file(actor_of(request, caller), evaluation_id)
    return Response(body, media_type="application/zip", headers={"Content-Disposition": f'attachment; filename="{evaluation_id}.zip"'})


@router.get("/v1/evaluations", operation_id="listEvaluations", responses=problems(400, 401, 403), openapi_extra=scoped("evaluations:read", parameters=_FILTERS))  # fmt: skip
def list_evaluations(request: Request, caller: Caller) -> g.EvaluationPage:
    """Stored evaluations newest first, by rule, payer, outcome, claim and time."""
    only_query(request, *(one["name"] for one in _FILTERS))
    return _page(request, caller)


@router.post("/v1/evaluations/search", operation_id="searchEvaluations", responses=problems(400, 401, 403, 413, 415, 422), openapi_extra=body_of(SearchBody, "evaluations:read", _FILTERS))  # fmt: skip
async def search_evaluations(request: Request, caller: Caller) -> g.EvaluationPage:
    """The same for the claims of a patient control number, which is compared by its keyed hash."""
    only_query(request, *(one["name"] for one in _FILTERS))
    body = await read_struct(request, SearchBody)
    hashed = state_of(request).validator.cipher.control_hash(caller.tenant_id, body.patient_control_number)
    return await asyncio.to_thread(_page, request, caller, control_hash=hashed)


def _page(request: Request, caller: Principal, **more: Any) -> g.EvaluationPage:
    asked = request.query_params
    outcome = asked.get("outcome")
    if outcome is not None and outcome not in OUTCOMES:
        raise ProblemError("bad-request", f"outcome is one of: {', '.join(OUTCOMES)}.")
    limit = number_in(request, "limit", 1, MAX_PAGE) or PAGE
    found: list[EvaluationSummary] = state_of(request).evidence.search(
        caller.tenant_id, limit, before=asked.get("before"), start=instant_in(request, "from"), end=instant_in(request, "to"),
        payer_id=asked.get("payer"), outcome=outcome, rule_id=asked.get("rule_id"), lineage_id=asked.get("lineage_id"), **more,
    )  # fmt: skip
    data = [g.EvaluationSummaryAnswer(**{name: getattr(one, name) for name in one.__slots__}) for one in found]
    return g.EvaluationPage(data=data, next_before=data[-1].evaluation_id if len(data) == limit else None)
