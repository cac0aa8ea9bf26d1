"""Bodies of the governance routes. Decoded strictly, as claims are: unknown fields, duplicate keys, NaN and NUL are refused."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import Request

from rules_service.api.bodies import read_body
from rules_service.claim.codec import StrictDecoder
from rules_service.workflow.lifecycle import Verdict

MAX_DOCUMENT = 8 << 20
MAX_SMALL = 64 << 10

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the bodies."""


class DraftBody(Body, frozen=True):
    """The files of a rule set by their paths: pack.yaml, rules/*/rule.yaml, cases.yaml, rule.md, tables, base claims."""

    files: dict[str, str]


class ChangeRequestBody(Body, frozen=True):
    """A request to publish the draft of a rule set."""

    rule_set_id: Text
    title: Text
    reason: Text


class ReviewBody(Body, frozen=True):
    """A verdict on the content the reviewer saw, named by its hash."""

    verdict: Verdict
    content_sha256: Sha256
    comment: Text | None = None


class ReasonBody(Body, frozen=True):
    """Why."""

    reason: Text


class ScheduleBody(Body, frozen=True):
    """When to publish, as an instant with its offset."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]


class RollbackBody(Body, frozen=True):
    """The publication whose content is published again."""

    to: Annotated[int, msgspec.Meta(ge=1)]
    reason: Text


class EmergencyBody(Body, frozen=True):
    """The rule that is switched off, or with `severity`, held to it; and why."""

    rule_id: Text
    reason: Text
    severity: Literal["pend", "warn", "info"] | None = None


class ApprovalsBody(Body, frozen=True):
    """How many approvals a change of the rule set needs, and above which share of newly blocked claims it needs a second one."""

    required_approvals: Annotated[int, msgspec.Meta(ge=1, le=5)]
    reason: Text
    second_above_share: Annotated[str, msgspec.Meta(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$")] = "0.02"
    impact_required: bool = False


class ReplayBody(Body, frozen=True):
    """How to judge a stored claim again; `known_at` for as_known_at."""

    mode: Literal["reproduce", "as_known_at", "as_known_now"] = "reproduce"
    known_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class ImpactBody(Body, frozen=True):
    """Which stored evaluations the draft is tried on: of each claim judged within the span the last one, of those a sample."""

    from_: Annotated[datetime, msgspec.Meta(tz=True)] | None = msgspec.field(name="from", default=None)
    to: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    sample: Annotated[int, msgspec.Meta(ge=1, le=200_000)] = 20_000
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)] = 0


class WaiverBody(Body, frozen=True):
    """The finding that is passed, why (one of the reasons its rule allows), until which day, and by whom if not by the caller."""

    finding_id: Text
    reason_code: Text
    expires_on: date
    scope: Literal["finding", "standing"] = "finding"
    on_behalf_of: Annotated[str, msgspec.Meta(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9._:@-]+$")] | None = None


class LegalHoldBody(Body, frozen=True):
    """Whose claims must not be erased, and why: of one claim, or of a payer, or of days of evaluation; what is left out does not narrow."""

    reason: Text
    lineage_id: Text | None = None
    payer_id: Text | None = None
    evaluated_from: date | None = None
    evaluated_through: date | None = None


class SearchBody(Body, frozen=True):
    """Evaluations of a claim by its patient control number, which stands in no URL."""

    patient_control_number: Text


class KeptSealBody(Body, frozen=True):
    """A seal's number and hash as an auditor kept them."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    hash: Sha256


class VerifyEvaluationsBody(Body, frozen=True):
    """Seals kept outside, which must still be there."""

    seals: tuple[KeptSealBody, ...] = ()


class CheckpointBody(Body, frozen=True):
    """An event's number and hash as an auditor kept them; a whole checkpoint may be sent as it was given."""

    seq: Annotated[int, msgspec.Meta(ge=1)]
    hash: Sha256
    tenant_id: str | None = None
    seal: int | None = None
    seal_hash: str | None = None
    at: str | None = None
    public_key: str | None = None
    signature: str | None = None


class VerifyBody(Body, frozen=True):
    """Checkpoints kept outside, which the log must still hold."""

    checkpoints: tuple[CheckpointBody, ...] = ()


Url = Annotated[str, msgspec.Meta(min_length=1, max_length=2_000)]
EventNames = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=20)]
Description = Annotated[str, msgspec.Meta(max_length=200)]


class WebhookEndpointBody(Body, frozen=True):
    """Where events are sent, and which."""

    url: Url
    events: EventNames
    description: Description = ""


class WebhookChangeBody(Body, frozen=True):
    """What changes of an endpoint; what is left out stays. `disabled` gives up what waits."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: EventNames | msgspec.UnsetType = msgspec.UNSET
    description: Description | msgspec.UnsetType = msgspec.UNSET
    state: Literal["active", "disabled"] | msgspec.UnsetType = msgspec.UNSET


class OverrideReason(msgspec.Struct, frozen=True, rename="camel"):
    """Why a card was passed over: its code is kept, words are not, since they may say something of the patient."""

    reason: dict[str, Any] | None = None
    user_comment: str | None = None


class AcceptedSuggestion(msgspec.Struct, frozen=True):
    """A suggestion that was taken, by its UUID."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]


class CardFeedback(msgspec.Struct, frozen=True, rename="camel"):
    """What became of one card."""

    card: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    outcome: Literal["accepted", "overridden"]
    override_reason: OverrideReason | None = None
    outcome_timestamp: datetime | None = None
    accepted_suggestions: Annotated[tuple[AcceptedSuggestion, ...], msgspec.Meta(max_length=20)] | None = None


class FeedbackBody(Body, frozen=True):
    """What became of cards (CDS Hooks 2.0). Extensions of the sender's are passed over."""

    feedback: Annotated[tuple[CardFeedback, ...], msgspec.Meta(max_length=100)]
    extension: dict[str, Any] | None = None


B = TypeVar("B", bound="Body")
BODIES: tuple[type[Body], ...] = (
    DraftBody,
    ChangeRequestBody,
    ReviewBody,
    ReasonBody,
    ScheduleBody,
    RollbackBody,
    EmergencyBody,
    ApprovalsBody,
    ReplayBody,
    ImpactBody,
    VerifyBody,
    WaiverBody,
    LegalHoldBody,
    SearchBody,
    VerifyEvaluationsBody,
    FeedbackBody,
    WebhookEndpointBody,
    WebhookChangeBody,
)
_decoders = {kind: StrictDecoder(kind, "request") for kind in BODIES}


async def read_struct(request: Request, kind: type[B], limit: int = MAX_SMALL) -> B:
    """The body as a structure; 4xx with pointer and mend otherwise."""
    return (await read_struct_and_bytes(request, kind, limit))[0]


async def read_struct_and_bytes(request: Request, kind: type[B], limit: int = MAX_SMALL) -> tuple[B, bytes]:
    """The body as a structure, and as it was sent."""
    body = await read_body(request, ("application/json",), limit)
    return _decoders[kind].decode(body), body
