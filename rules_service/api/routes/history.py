"""What applied when, as known then: resolution, difference, history of a rule, replay of an evaluation."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.describe import body_of, problems, query, scoped
from rules_service.api.problems import ProblemError
from rules_service.api.queries import day_in, instant_in, number_in
from rules_service.api.requests import ReplayBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal

router = APIRouter(tags=["history"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("rules:read"))]
Auditor = Annotated[Principal, Depends(needs("audit:read"))]
Verifier = Annotated[Principal, Depends(needs("audit:verify"))]


@router.get("/v1/rule-sets/{rule_set_id}/resolve", operation_id="resolveRuleSet", responses=problems(400, 422), openapi_extra=scoped("rules:read", parameters=[query("policy_date", "The day whose policy is asked for", required=True), query("known_at", "As known at this instant"), query("epoch", "As known at this catalog epoch")]))  # fmt: skip
def resolve(rule_set_id: str, request: Request, caller: Reader) -> g.ResolutionAnswer:
    """Which rule versions apply on a day, as known now, at an instant or at an epoch."""
    only_query(request, "policy_date", "known_at", "epoch")
    day, known_at, epoch = day_in(request, "policy_date"), instant_in(request, "known_at"), number_in(request, "epoch")
    if known_at is not None and epoch is not None:
        raise ProblemError("bad-request", "Send known_at or epoch, not both.")
    known, windows, measures = state_of(request).history.resolve(actor_of(request, caller), rule_set_id, day, known_at, epoch)
    data = [
        g.ResolvedAnswer(
            rule_id=one.rule_id, version=one.version, sha256=one.sha256, publication=one.number, effective_from=one.effective_from,
            effective_through=one.effective_through, emergency=measures.get(one.rule_id),
        )
        for one in windows
    ]  # fmt: skip
    return g.ResolutionAnswer(rule_set_id=rule_set_id, policy_date=day, catalog_epoch=known, data=data)


@router.get("/v1/rule-sets/{rule_set_id}/diff", operation_id="diffRuleSet", responses=problems(400, 422), openapi_extra=scoped("rules:read", parameters=[query("from", "Publication to start from; nothing when left out"), query("to", "Publication to end with; the draft when left out")]))  # fmt: skip
def diff(rule_set_id: str, request: Request, caller: Reader) -> g.DifferenceAnswer:
    """What one publication, or the draft, says otherwise than another: in words, and as a text difference of the files."""
    only_query(request, "from", "to")
    found = state_of(request).history.difference(
        actor_of(request, caller), rule_set_id, number_in(request, "from"), number_in(request, "to")
    )
    changes = [
        g.ChangeAnswer(rule_id=one.rule_id, what=one.what, member=one.member, before=one.before, after=one.after, text=one.text)
        for one in found.changes
    ]
    return g.DifferenceAnswer(rule_set_id=rule_set_id, changes=changes, text_diff=found.text)


@router.get("/v1/rules/{rule_id}/history", operation_id="getRuleHistory", openapi_extra=scoped("audit:read"))
def rule_history(rule_id: str, request: Request, caller: Auditor) -> g.RuleHistory:
    """Every publication that changed what is said of a rule: windows, citations, authors, approvers."""
    entries = state_of(request).history.rule(actor_of(request, caller), rule_id)
    data = [
        g.RuleHistoryEntry(
            rule_set_id=entry.record.rule_set_id, number=entry.record.number, catalog_epoch=entry.record.epoch, published_at=entry.record.published_at,
            published_by=entry.record.published_by, emergency=entry.emergency, change_request_id=entry.change_request_id, authors=list(entry.authors),
            approved_by=[review.reviewer for review in entry.approvals],
            windows=[
                {"version": one.version, "sha256": one.sha256, "effective_from": one.effective_from, "effective_through": one.effective_through, "title": entry.titles[one.sha256], "citations": entry.citations[one.sha256]}
                for one in entry.windows
            ],
        )
        for entry in entries
    ]  # fmt: skip
    return g.RuleHistory(rule_id=rule_id, data=data)


@router.post("/v1/evaluations/{evaluation_id}/replay", operation_id="replayEvaluation", responses=problems(400, 413, 415, 422), openapi_extra=body_of(ReplayBody, "audit:verify"))  # fmt: skip
async def replay(evaluation_id: str, request: Request, caller: Verifier) -> g.ReplayAnswer:
    """Judge a stored claim again: reproduced, diverged with the difference, or cannot_reproduce with the reason."""
    body = await read_struct(request, ReplayBody)
    if (body.known_at is not None) != (body.mode == "as_known_at"):
        raise ProblemError("bad-request", "known_at goes with as_known_at, and with no other mode.")
    replays = state_of(request).replays
    found = await asyncio.to_thread(replays.replay, actor_of(request, caller), evaluation_id, body.mode, body.known_at)
    return g.ReplayAnswer(**{name: getattr(found, name) for name in g.ReplayAnswer.model_fields})


@router.get("/v1/upcoming-changes", operation_id="listUpcomingChanges", responses=problems(400), openapi_extra=scoped("rules:read", parameters=[query("days", "How many days ahead, 90 unless given, at most 3660"), query("rule_set_id", "Those of this rule set")]))  # fmt: skip
def upcoming_changes(request: Request, caller: Reader) -> g.UpcomingList:
    """Windows that begin or end, sources and emergencies that run out, scheduled publications: all that changes by itself."""
    only_query(request, "days", "rule_set_id")
    days = number_in(request, "days", 1, 3_660) or 90
    found = state_of(request).outlook.upcoming(actor_of(request, caller), days, request.query_params.get("rule_set_id"))
    return g.UpcomingList(data=[g.UpcomingAnswer(**{name: getattr(one, name) for name in g.UpcomingAnswer.model_fields}) for one in found])


@router.get("/v1/rules/{rule_id}/advice", operation_id="getRuleAdvice", responses=problems(400), openapi_extra=scoped("rules:read"))
def rule_advice(rule_id: str, request: Request, caller: Reader) -> g.RuleAdvice:
    """What clinicians did with the CDS Hooks cards of a rule, by version: a rule whose cards are always overridden wants a look."""
    only_query(request)
    found = state_of(request).advice.outcomes(actor_of(request, caller), rule_id)
    data = [g.AdviceOutcomeAnswer(**{name: getattr(one, name) for name in g.AdviceOutcomeAnswer.model_fields}) for one in found]
    return g.RuleAdvice(rule_id=rule_id, data=data)


@router.get("/v1/rules/{rule_id}/preview", operation_id="getPreviewReport", responses=problems(400), openapi_extra=scoped("rules:read", parameters=[query("days", "How many days back, 30 unless given, at most 400")]))  # fmt: skip
def preview_report(rule_id: str, request: Request, caller: Reader) -> g.PreviewAnswer:
    """What a rule in preview would have found in the claims of the last days; seconds after they were judged."""
    only_query(request, "days")
    found = state_of(request).outlook.preview(actor_of(request, caller), rule_id, number_in(request, "days", 1, 400) or 30)
    return g.PreviewAnswer(
        **{name: getattr(found, name) for name in set(g.PreviewAnswer.model_fields) - {"samples"}}, samples=list(found.samples)
    )
