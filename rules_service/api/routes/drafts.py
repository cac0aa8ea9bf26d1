"""Working copies of rule sets: read, save, check, run cases, try a claim."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import precondition, read_body
from rules_service.api.describe import body_of, if_match, json_body, problems, scoped
from rules_service.api.requests import MAX_DOCUMENT, DraftBody, read_struct
from rules_service.api.state import actor_of, needs, state_of
from rules_service.claim.codec import encode_json
from rules_service.formats.native.json_claims import claim_of
from rules_service.packs.analysis import Remark
from rules_service.primitives.errors import Issue
from rules_service.services.drafts import CheckReport, DraftView
from rules_service.storage.clients import Principal

router = APIRouter(tags=["drafts"], responses=problems(401, 403, 404))
Reader = Annotated[Principal, Depends(needs("rules:read"))]
Writer = Annotated[Principal, Depends(needs("rules:write"))]
_PATH = "/v1/rule-sets/{rule_set_id}/draft"
_IF_MATCH = if_match('The ETag of the draft you read; "0" (with its quotes) for a rule set that does not exist yet.')


def issue_answers(issues: tuple[Issue, ...]) -> list[g.IssueAnswer]:
    """Faults as answered."""
    return [g.IssueAnswer(**issue.plain()) for issue in issues]


def _draft(view: DraftView) -> Response:
    record = view.record
    answer = g.DraftAnswer(
        rule_set_id=record.rule_set_id, base_number=record.base_number, lock_version=record.lock_version, saved=view.saved,
        content_sha256=record.content_sha256, editors=list(record.editors), updated_at=record.updated_at, valid=not view.issues,
        issues=issue_answers(view.issues), files=dict(record.files),
    )  # fmt: skip
    return JSONResponse(answer.model_dump(mode="json"), headers={"ETag": record.etag})


@router.get(_PATH, operation_id="getDraft", openapi_extra=scoped("rules:read"), response_model=g.DraftAnswer)
def get_draft(rule_set_id: str, request: Request, caller: Reader) -> Response:
    """The working copy, or the live publication's files as the draft they would become; its ETag is needed to save."""
    return _draft(state_of(request).drafts.read(actor_of(request, caller), rule_set_id))


@router.put(_PATH, operation_id="saveDraft", response_model=g.DraftAnswer, responses=problems(400, 412, 413, 415, 422, 428), openapi_extra=body_of(DraftBody, "rules:write", [_IF_MATCH]))  # fmt: skip
async def save_draft(rule_set_id: str, request: Request, caller: Writer) -> Response:
    """Save the working copy, also when it has faults: then `valid` is false and they are listed."""
    tag = precondition(request, "draft")
    body = await read_struct(request, DraftBody, MAX_DOCUMENT)
    return _draft(await asyncio.to_thread(state_of(request).drafts.save, actor_of(request, caller), rule_set_id, body.files, tag))


@router.delete(_PATH, operation_id="discardDraft", status_code=204, responses=problems(409, 412, 428), openapi_extra=scoped("rules:write", parameters=[_IF_MATCH]))  # fmt: skip
def discard_draft(rule_set_id: str, request: Request, caller: Writer) -> Response:
    """Forget the draft; the next one begins from what is live then. This is how a stale base is left behind."""
    state_of(request).drafts.discard(actor_of(request, caller), rule_set_id, precondition(request, "draft"))
    return Response(status_code=204)


@router.post(f"{_PATH}/checks", operation_id="checkDraft", openapi_extra=scoped("rules:write"))
def check_draft(rule_set_id: str, request: Request, caller: Writer) -> g.CheckAnswer:
    """The linter of `packs check` over the draft, the analysis of its rules, then its compilation and cases in a throw-away process."""
    report = state_of(request).drafts.check(actor_of(request, caller), rule_set_id)
    return g.CheckAnswer(**_checked(report))


def _remark(one: Remark) -> g.RemarkAnswer:
    example = None if one.example is None else msgspec.json.decode(one.example)
    facts = None if one.facts is None else dict(one.facts)
    return g.RemarkAnswer(pointer=one.where, code=one.code, rule_id=one.rule_id, message=one.message, example=example, facts=facts)


def _checked(report: CheckReport) -> dict[str, Any]:
    return {
        "check_run_id": report.check_run_id,
        "content_sha256": report.content_sha256,
        "passed": report.passed,
        "issues": issue_answers((*report.issues, *report.failed_cases)),
        "remarks": [_remark(one) for one in report.remarks],
    }


@router.post(f"{_PATH}/tests", operation_id="testDraft", openapi_extra=scoped("rules:write"))
def test_draft(rule_set_id: str, request: Request, caller: Writer) -> g.CaseRunAnswer:
    """Run the draft's own cases, and tell which conditions none of them made true, or made false."""
    report = state_of(request).drafts.check(actor_of(request, caller), rule_set_id)
    trial = report.trial
    return g.CaseRunAnswer(
        **_checked(report),
        cases=trial.cases if trial else 0,
        failed=list(trial.failed) if trial else [],
        engine_differs=list(trial.engine_differs) if trial else [],
        never_true=list(trial.never_true) if trial else [],
        never_false=list(trial.never_false) if trial else [],
    )


@router.post(f"{_PATH}/evaluate", operation_id="tryDraft", response_model=g.TriedAnswer, responses=problems(400, 413, 415, 422), openapi_extra=json_body("Claim", "rules:write", []))  # fmt: skip
async def try_draft(rule_set_id: str, request: Request, caller: Writer) -> Response:
    """Judge a claim by the draft and by what is live. Nothing is stored."""
    state = state_of(request)
    claim = claim_of(await read_body(request, ("application/json",), state.settings.max_validate_bytes))
    claim = state.validator.received(claim)
    hold = frozenset(state.settings.hold_severities)
    tried = await asyncio.to_thread(state.drafts.evaluate, actor_of(request, caller), rule_set_id, claim, hold)
    draft, live = encode_json(tried.draft), encode_json(tried.live)
    rest = msgspec.json.encode({"added": tried.added, "removed": tried.removed})
    return Response(b'{"draft":' + draft + b',"live":' + live + b"," + rest[1:], media_type="application/json")
