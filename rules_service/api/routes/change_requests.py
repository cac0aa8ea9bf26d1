"""Change requests: open, submit, review, schedule, publish, withdraw; rolling a rule set back."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.describe import body_of, problems, query, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.requests import (
    ApprovalsBody,
    ChangeRequestBody,
    ReasonBody,
    ReviewBody,
    RollbackBody,
    ScheduleBody,
    read_struct,
)
from rules_service.api.state import actor_of, needs, state_of
from rules_service.services.change_control import ChangeRequestView
from rules_service.services.publishing import Published
from rules_service.storage.change_requests import Control
from rules_service.storage.clients import Principal
from rules_service.workflow.lifecycle import STATES

router = APIRouter(tags=["change control"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("rules:read"))]
Writer = Annotated[Principal, Depends(needs("rules:write"))]
Reviewer = Annotated[Principal, Depends(needs("rules:review"))]
Publisher = Annotated[Principal, Depends(needs("rules:publish"))]
_ONE = "/v1/change-requests/{change_request_id}"
_REFUSALS = problems(400, 409, 413, 415, 422)
MAX_LISTED = 200


def change_request_answer(view: ChangeRequestView) -> g.ChangeRequestAnswer:
    """A change request as it is answered."""
    record = view.record
    names = set(g.ChangeRequestAnswer.model_fields) - {"authors", "reviews", "actions"}
    return g.ChangeRequestAnswer(
        **{name: getattr(record, name) for name in names},
        authors=list(view.authors),
        reviews=[g.ReviewAnswer(**{name: getattr(one, name) for name in g.ReviewAnswer.model_fields}) for one in view.reviews],
        actions=list(view.actions),
    )


def _published(published: Published) -> g.PublishedAnswer:
    return g.PublishedAnswer(
        rule_set_id=published.rule_set_id,
        number=published.number,
        catalog_epoch=published.epoch,
        retroactive_from=published.retroactive_from,
    )


@router.post("/v1/change-requests", operation_id="openChangeRequest", status_code=201, responses=_REFUSALS, openapi_extra=body_of(ChangeRequestBody, "rules:write"))  # fmt: skip
async def open_change_request(request: Request, caller: Writer) -> g.ChangeRequestAnswer:
    """Ask for the publication of a saved draft. A rule set has at most one request that stands."""
    body = await read_struct(request, ChangeRequestBody)
    control = state_of(request).change_control
    return change_request_answer(
        await asyncio.to_thread(control.open, actor_of(request, caller), body.rule_set_id, body.title, body.reason)
    )


@router.get("/v1/change-requests", operation_id="listChangeRequests", responses=problems(400), openapi_extra=scoped("rules:read", parameters=[query("state", "Those in this state", STATES), query("rule_set_id", "Those of this rule set")]))  # fmt: skip
def list_change_requests(request: Request, caller: Reader) -> g.ChangeRequestList:
    """Change requests, newest first, at most 200."""
    only_query(request, "state", "rule_set_id")
    state = request.query_params.get("state")
    if state is not None and state not in STATES:
        raise ProblemError("bad-request", f"state is one of: {', '.join(STATES)}.")
    views = state_of(request).change_control.listed(actor_of(request, caller), state, request.query_params.get("rule_set_id"), MAX_LISTED)
    return g.ChangeRequestList(data=[change_request_answer(view) for view in views])


@router.get(_ONE, operation_id="getChangeRequest", openapi_extra=scoped("rules:read"))
def get_change_request(change_request_id: str, request: Request, caller: Reader) -> g.ChangeRequestAnswer:
    """One change request with its authors and reviews."""
    return change_request_answer(state_of(request).change_control.read(actor_of(request, caller), change_request_id))


@router.post(f"{_ONE}/submission", operation_id="submitChangeRequest", responses=problems(409, 422), openapi_extra=scoped("rules:write"))
def submit_change_request(change_request_id: str, request: Request, caller: Writer) -> g.ChangeRequestAnswer:
    """Ask for review; the content is checked and its cases run, and faults refuse the submission."""
    return change_request_answer(state_of(request).change_control.submit(actor_of(request, caller), change_request_id))


@router.post(f"{_ONE}/reviews", operation_id="reviewChangeRequest", status_code=201, responses=_REFUSALS, openapi_extra=body_of(ReviewBody, "rules:review"))  # fmt: skip
async def review_change_request(change_request_id: str, request: Request, caller: Reviewer) -> g.ChangeRequestAnswer:
    """A verdict on the content you saw. Nobody reviews their own work."""
    body = await read_struct(request, ReviewBody)
    control = state_of(request).change_control
    view = await asyncio.to_thread(
        control.review, actor_of(request, caller), change_request_id, body.verdict, body.content_sha256, body.comment
    )
    return change_request_answer(view)


@router.post(f"{_ONE}/withdrawal", operation_id="withdrawChangeRequest", responses=_REFUSALS, openapi_extra=body_of(ReasonBody, "rules:write"))  # fmt: skip
async def withdraw_change_request(change_request_id: str, request: Request, caller: Writer) -> g.ChangeRequestAnswer:
    """End a change request without publishing it; the draft stays."""
    body = await read_struct(request, ReasonBody)
    control = state_of(request).change_control
    return change_request_answer(await asyncio.to_thread(control.withdraw, actor_of(request, caller), change_request_id, body.reason))


@router.post(f"{_ONE}/recall", operation_id="recallChangeRequest", responses=_REFUSALS, openapi_extra=body_of(ReasonBody, "rules:write"))
async def recall_change_request(change_request_id: str, request: Request, caller: Writer) -> g.ChangeRequestAnswer:
    """Take a change request you wrote back from review; approvals given are void, and it is submitted again."""
    body = await read_struct(request, ReasonBody)
    control = state_of(request).change_control
    return change_request_answer(await asyncio.to_thread(control.recall, actor_of(request, caller), change_request_id, body.reason))


@router.put(f"{_ONE}/schedule", operation_id="scheduleChangeRequest", responses=_REFUSALS, openapi_extra=body_of(ScheduleBody, "rules:publish"))  # fmt: skip
async def schedule_change_request(change_request_id: str, request: Request, caller: Publisher) -> g.ChangeRequestAnswer:
    """Publish an approved change request at an instant to come."""
    body = await read_struct(request, ScheduleBody)
    control = state_of(request).change_control
    return change_request_answer(await asyncio.to_thread(control.schedule, actor_of(request, caller), change_request_id, body.at))


@router.delete(f"{_ONE}/schedule", operation_id="unscheduleChangeRequest", responses=problems(409), openapi_extra=scoped("rules:publish"))
def unschedule_change_request(change_request_id: str, request: Request, caller: Publisher) -> g.ChangeRequestAnswer:
    """Take an approved change request off its schedule."""
    return change_request_answer(state_of(request).change_control.unschedule(actor_of(request, caller), change_request_id))


@router.post(f"{_ONE}/publication", operation_id="publishChangeRequest", status_code=201, responses=problems(409, 422), openapi_extra=scoped("rules:publish"))  # fmt: skip
def publish_change_request(change_request_id: str, request: Request, caller: Publisher) -> g.PublishedAnswer:
    """Publish an approved change request. From this answer on, no claim is judged by what was live before."""
    state = state_of(request)
    published = state.publishing.publish(actor_of(request, caller), change_request_id)
    request.scope["catalog_epoch"] = state.snapshots.refresh(caller.tenant_id).epoch
    return _published(published)


@router.post("/v1/rule-sets/{rule_set_id}/rollback", operation_id="rollBackRuleSet", status_code=201, responses=_REFUSALS, openapi_extra=body_of(RollbackBody, "rules:publish"))  # fmt: skip
async def roll_back(rule_set_id: str, request: Request, caller: Publisher) -> g.PublishedAnswer:
    """Publish the content of an earlier publication again; everything since stays in the history."""
    body = await read_struct(request, RollbackBody)
    state = state_of(request)
    published = await asyncio.to_thread(state.publishing.roll_back, actor_of(request, caller), rule_set_id, body.to, body.reason)
    request.scope["catalog_epoch"] = (await asyncio.to_thread(state.snapshots.refresh, caller.tenant_id)).epoch
    return _published(published)


@router.put("/v1/rule-sets/{rule_set_id}/approvals", operation_id="setRequiredApprovals", responses=_REFUSALS, openapi_extra=body_of(ApprovalsBody, "rules:publish"))  # fmt: skip
async def set_required_approvals(rule_set_id: str, request: Request, caller: Publisher) -> g.ApprovalsAnswer:
    """How many approvals a change of this rule set needs, from the next submission on."""
    body = await read_struct(request, ApprovalsBody)
    wanted = Control(body.required_approvals, Decimal(body.second_above_share), body.impact_required)
    await asyncio.to_thread(state_of(request).change_control.set_control, actor_of(request, caller), rule_set_id, wanted, body.reason)
    return g.ApprovalsAnswer(
        rule_set_id=rule_set_id,
        required_approvals=body.required_approvals,
        second_above_share=body.second_above_share,
        impact_required=body.impact_required,
    )
