"""Stored evaluations and their explanations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from rules_service.api.openapi import json_answer, problems, scoped
from rules_service.api.state import needs, state_of
from rules_service.storage.clients import Principal

router = APIRouter(tags=["evaluations"])
Caller = Annotated[Principal, Depends(needs("evaluations:read"))]


@router.get("/v1/evaluations/{evaluation_id}", operation_id="getEvaluation", summary="A stored evaluation, byte for byte", response_class=Response, responses=json_answer("Evaluation", "The evaluation as it was given") | problems(401, 403, 404), openapi_extra=scoped("evaluations:read"))  # fmt: skip
def get_evaluation(evaluation_id: str, request: Request, caller: Caller) -> Response:
    """The bytes that were answered when the claim was judged."""
    answered = state_of(request).validator.read(caller.tenant_id, evaluation_id)
    request.scope["catalog_epoch"] = answered.epoch
    return Response(answered.body, media_type="application/json")


@router.get("/v1/evaluations/{evaluation_id}/explanation", operation_id="explainEvaluation", summary="Each condition of each rule, with the facts it saw", response_class=Response, responses=json_answer("Explanation", "Conditions with true, false or unknown; PHI is never shown") | problems(401, 403, 404), openapi_extra=scoped("evaluations:read"))  # fmt: skip
def explain_evaluation(evaluation_id: str, request: Request, caller: Caller) -> Response:
    """Re-read from the stored claim with the rules and editions of its epoch."""
    return Response(state_of(request).validator.explain(caller.tenant_id, evaluation_id), media_type="application/json")
