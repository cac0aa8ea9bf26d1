"""Answers of the governance routes."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from rules_service.api.schemas import Answer


class IssueAnswer(Answer):
    """One fault: where, what, how to mend it."""

    pointer: str
    code: str
    message: str
    mend: str


class DraftAnswer(Answer):
    """A working copy. `saved` is false when it is the live publication's files, unsaved; `valid` when it has no fault."""

    rule_set_id: str
    base_number: int
    lock_version: int
    saved: bool
    content_sha256: str
    editors: list[str]
    updated_at: datetime
    valid: bool
    issues: list[IssueAnswer]
    files: dict[str, str]


class RemarkAnswer(Answer):
    """What the analysis of rules found: no fault. `example` is a claim of the cases that shows it, `facts` the facts that would."""

    pointer: str
    code: str
    rule_id: str
    message: str
    example: dict[str, Any] | None
    facts: dict[str, str] | None


class CheckAnswer(Answer):
    """Checks of one content. Cases run only when there is no fault."""

    check_run_id: str
    content_sha256: str
    passed: bool
    issues: list[IssueAnswer]
    remarks: list[RemarkAnswer]


class CaseRunAnswer(CheckAnswer):
    """The cases of one content, with the conditions no case made true, or made false."""

    cases: int
    failed: list[dict[str, str]]
    engine_differs: list[str]
    never_true: list[str]
    never_false: list[str]


class TriedAnswer(Answer):
    """A claim judged by the draft and by what is live; ids of the findings only one of them has."""

    draft: dict[str, Any]
    live: dict[str, Any]
    added: list[str]
    removed: list[str]


class ReviewAnswer(Answer):
    """One verdict."""

    review_cycle: int
    reviewer: str
    verdict: str
    content_sha256: str
    comment: str | None
    reviewed_at: datetime


class ChangeRequestAnswer(Answer):
    """A change request. `actions` are those its state takes."""

    change_request_id: str
    rule_set_id: str
    kind: str
    title: str
    reason: str
    state: str
    review_cycle: int
    content_sha256: str
    base_number: int
    required_approvals: int
    retroactive_from: date | None
    scheduled_for: datetime | None
    failure_reason: str | None
    published_number: int | None
    published_epoch: int | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    authors: list[str]
    reviews: list[ReviewAnswer]
    actions: list[str]


class ChangeRequestList(Answer):
    """Change requests, newest first."""

    data: list[ChangeRequestAnswer]


class PublishedAnswer(Answer):
    """What a publication came to. `retroactive_from`: the first past policy date on which something else applies now."""

    rule_set_id: str
    number: int
    catalog_epoch: int
    retroactive_from: date | None


class ApprovalsAnswer(Answer):
    """How many approvals a change of the rule set needs."""

    rule_set_id: str
    required_approvals: int
    second_above_share: str
    impact_required: bool


class EmergencyAnswer(Answer):
    """A rule switched off, or held to `severity`. `how` it ended: expired, ratified or withdrawn; null while it stands."""

    emergency_id: str
    rule_set_id: str
    rule_id: str
    severity: str | None
    reason: str
    declared_by: str
    declared_at: datetime
    expires_at: datetime
    how: str | None
    ended_by: str | None
    ended_at: datetime | None


class EmergencyList(Answer):
    """Emergencies, newest first."""

    data: list[EmergencyAnswer]


class ResolvedAnswer(Answer):
    """A rule version that applies. `emergency`: off, or the severity its findings are held to by one."""

    rule_id: str
    version: int
    sha256: str
    publication: int
    effective_from: date
    effective_through: date | None
    emergency: str | None


class ResolutionAnswer(Answer):
    """Which versions apply on a policy date, as known at an epoch."""

    rule_set_id: str
    policy_date: date
    catalog_epoch: int
    data: list[ResolvedAnswer]


class ChangeAnswer(Answer):
    """One difference, in words and as data."""

    rule_id: str | None
    what: str
    member: str
    before: str | None
    after: str | None
    text: str


class DifferenceAnswer(Answer):
    """What one state of a rule set says otherwise than another."""

    rule_set_id: str
    changes: list[ChangeAnswer]
    text_diff: str


class RuleHistoryEntry(Answer):
    """A publication that changed what is said of a rule."""

    rule_set_id: str
    number: int
    catalog_epoch: int
    published_at: datetime
    published_by: str
    emergency: str | None
    change_request_id: str | None
    authors: list[str]
    approved_by: list[str]
    windows: list[dict[str, Any]]


class RuleHistory(Answer):
    """A rule's history, oldest first."""

    rule_id: str
    data: list[RuleHistoryEntry]


class ReplayAnswer(Answer):
    """What judging a stored claim again came to."""

    evaluation_id: str
    mode: str
    verdict: str
    reason: str | None
    catalog_epoch: int | None
    engine_then: str
    engine_now: str
    difference: dict[str, Any] | None


class AuditEventAnswer(Answer):
    """One event with its place in the chain."""

    seq: int
    prev_hash: str
    hash: str
    event: dict[str, Any]


class AuditPage(Answer):
    """Events newest first; ask for those before `next_before` for the following page."""

    data: list[AuditEventAnswer]
    next_before: int | None


class VerificationAnswer(Answer):
    """Whether the chain holds; the first event that is not what was written.

    `base_seq` is the last event retention has cut off (0: none), `unheld_checkpoints` those kept of events before it, which could be held
    to nothing.
    """

    holds: bool
    events: int
    head_hash: str
    base_seq: int
    base_hash: str
    unheld_checkpoints: list[int]
    broken_at: int | None
    why: str | None


class CheckpointAnswer(Answer):
    """The heads of the log and of the seals over evaluations, signed with Ed25519 over the documented text."""

    tenant_id: str
    seq: int
    hash: str
    seal: int
    seal_hash: str
    at: datetime
    public_key: str
    signature: str


class JobAnswer(Answer):
    """A long work. `done` and `total` count claims or events; `result` is there once it has succeeded."""

    job_id: str
    kind: str
    state: str
    done: int
    total: int | None
    failure: str | None
    result: dict[str, Any] | None
    cancel_requested: bool
    run_at: datetime
    attempts: int
    created_by: str
    created_at: datetime
    finished_at: datetime | None


class JobList(Answer):
    """Jobs, newest first."""

    data: list[JobAnswer]


class WaiverAnswer(Answer):
    """A waiver: of one claim's finding, or (`standing`) of a code for a payer and billing provider. `uses` counts evaluations it marked."""

    waiver_id: str
    scope: str
    evaluation_id: str
    rule_id: str
    code: str
    payer_id: str | None
    billing_npi: str | None
    reason_code: str
    waived_by: str
    on_behalf_of: str | None
    waived_at: datetime
    expires_on: date
    uses: int
    ended_by: str | None
    ended_at: datetime | None
    end_reason: str | None


class WaiverList(Answer):
    """Waivers, newest first."""

    data: list[WaiverAnswer]


class EvaluationSummaryAnswer(Answer):
    """A stored evaluation as lists show it."""

    evaluation_id: str
    lineage_id: str
    evaluated_at: datetime
    client_id: str
    payer_id: str
    claim_type: str
    outcome: str
    catalog_epoch: int


class EvaluationPage(Answer):
    """Evaluations newest first; ask for those before `next_before` for the following page."""

    data: list[EvaluationSummaryAnswer]
    next_before: str | None


class LegalHoldAnswer(Answer):
    """A legal hold; while it stands nothing it names is erased."""

    hold_id: str
    lineage_id: str | None
    payer_id: str | None
    evaluated_from: date | None
    evaluated_through: date | None
    reason: str
    placed_by: str
    placed_at: datetime
    released_by: str | None
    released_at: datetime | None


class LegalHoldList(Answer):
    """Legal holds, newest first."""

    data: list[LegalHoldAnswer]


class UpcomingAnswer(Answer):
    """Something that will change how claims are judged: `what` says of which kind, `text` in words."""

    on: date
    what: str
    rule_set_id: str
    rule_id: str | None
    version: int | None
    text: str


class UpcomingList(Answer):
    """What changes in the days to come, soonest first."""

    data: list[UpcomingAnswer]


class AdviceOutcomeAnswer(Answer):
    """What became of the cards of one version of a rule that said one thing. `reasons` are those of overrides; `fixes_taken` counts the
    suggestions taken by their position among the finding's fixes, from 0."""

    rule_version: int
    code: str
    shown: int
    accepted: int
    overridden: int
    reasons: dict[str, int]
    fixes_taken: dict[str, int]


class RuleAdvice(Answer):
    """What became of a rule's cards, newest version first."""

    rule_id: str
    data: list[AdviceOutcomeAnswer]


class PreviewAnswer(Answer):
    """What a rule in preview would have found. `samples` are evaluations, newest first."""

    rule_id: str
    stage: str
    since: datetime
    evaluations: int
    findings: int
    by_code: dict[str, int]
    by_severity: dict[str, int]
    amount_at_risk: str
    samples: list[str]


class WebhookEndpointAnswer(Answer):
    """An endpoint. `state_reason`: by_hand, gone (it answered 410) or nothing_arrived (in the days one message was tried)."""

    endpoint_id: str
    url: str
    events: list[str]
    description: str
    state: str
    state_reason: str | None
    earlier_until: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class WebhookSecretAnswer(WebhookEndpointAnswer):
    """An endpoint with its secret, which is shown this once."""

    secret: str


class WebhookEndpointList(Answer):
    """Endpoints, oldest first."""

    data: list[WebhookEndpointAnswer]


class WebhookDeliveryAnswer(Answer):
    """An event on its way to an endpoint. `message_id` is its webhook-id; `due_at` when it is tried next, while it waits.

    `last_failure`: unresolvable, address_refused, tls, unreachable, timeout, status (see `last_status`) or endpoint_disabled.
    """

    message_id: str
    event: str
    state: str
    attempts: int
    due_at: datetime
    last_attempt_at: datetime | None
    last_status: int | None
    last_failure: str | None
    created_at: datetime
    delivered_at: datetime | None


class WebhookDeliveryPage(Answer):
    """Deliveries, newest event first; `next_before` asks for the rest."""

    data: list[WebhookDeliveryAnswer]
    next_before: str | None
