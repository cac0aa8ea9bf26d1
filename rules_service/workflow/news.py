"""What the outside is told of, by webhooks: each event's name and what it carries. Ids and counts only, never PHI.

Whoever wants more asks the API for what an id names, with a credential of its own.
"""

from __future__ import annotations

import msgspec


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what events carry."""


class RuleSetPublished(News, frozen=True):
    """A publication of a rule set: from this catalog epoch on, claims are judged by it."""

    rule_set_id: str
    number: int
    catalog_epoch: int


class ReferenceEditionPublished(News, frozen=True):
    """An edition of a reference table: from this catalog epoch on, claims are judged with it."""

    name: str
    edition: str
    catalog_epoch: int


class EmergencyDeclared(News, frozen=True):
    """A rule was switched off (no severity), or its findings are held to a severity."""

    emergency_id: str
    rule_set_id: str
    rule_id: str
    severity: str | None
    catalog_epoch: int


class EmergencyEnded(News, frozen=True):
    """The rule stands as published again: the emergency was withdrawn, has expired, or was ratified by a publication."""

    emergency_id: str
    rule_set_id: str
    rule_id: str
    how: str
    catalog_epoch: int


class JobFinished(News, frozen=True):
    """A job succeeded, failed or was cancelled: see GET /v1/jobs/{job_id}."""

    job_id: str
    kind: str
    state: str


class EvaluationsAffected(News, frozen=True):
    """A publication that begins in the past would have judged stored claims otherwise: see the job's results."""

    job_id: str
    rule_set_id: str
    number: int
    catalog_epoch: int
    evaluations: int


class IntegrityFailed(News, frozen=True):
    """A verification found that stored evidence is not what it was: an event of the audit log, a seal, or an evaluation."""

    found_by: str
    audit_seq: int | None = None
    seal: int | None = None
    evaluation_id: str | None = None


class WebhookTested(News, frozen=True):
    """Somebody asked for a message, to see whether it arrives."""

    endpoint_id: str


EVENTS: dict[str, type[News]] = {
    "rule_set.published": RuleSetPublished,
    "reference_edition.published": ReferenceEditionPublished,
    "emergency.declared": EmergencyDeclared,
    "emergency.ended": EmergencyEnded,
    "job.finished": JobFinished,
    "evaluations.affected": EvaluationsAffected,
    "audit.integrity_failed": IntegrityFailed,
    "webhook.test": WebhookTested,
}
SUBSCRIBABLE = tuple(name for name in EVENTS if name != "webhook.test")
"""Events an endpoint can ask for; a test reaches the endpoint it is made for."""
NAMES = {kind: name for name, kind in EVENTS.items()}
