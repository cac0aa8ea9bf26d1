"""A check of planned services as CDS Hooks 2.0 cards: what needs a person before the service, and what is settled. What is not known gives no card."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from rules_service.findings.finding import Finding, Fix
from rules_service.findings.service_answer import ServiceAnswer, ServiceCheckAnswer
from rules_service.formats.fhir.orders import HookCheck
from rules_service.primitives.errors import NotFound

MAX_SUMMARY = 140
MAX_SUGGESTIONS = 20
OVERRIDE_REASONS = "urn:payer-rules:override-reason"
FIX_CLASSES = "urn:payer-rules:fix-class"
TOPIC = {"system": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp", "code": "coverage-info"}
INDICATORS = {"reject": "critical", "deny_hard": "critical", "deny_soft": "warning", "pend": "warning", "warn": "info", "info": "info"}


@dataclass(frozen=True, slots=True)
class Card:
    """A card, with the rule that says it and its finding's code, or what is told without one; suggestions by their fix's position."""

    rule_id: str
    rule_version: int
    code: str
    indicator: str
    content: dict[str, Any]
    suggestions: Mapping[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def override_reasons(self) -> tuple[str, ...]:
        """The codes of the reasons it offers."""
        return tuple(one["code"] for one in self.content.get("overrideReasons", ()))

    def document(self, card_id: str) -> dict[str, Any]:
        """The card as it is sent, under its UUID; its suggestions' UUIDs follow from it."""
        named = [{"uuid": _suggestion_id(card_id, number)} | one for number, one in self.suggestions.items()]
        return {"uuid": card_id} | self.content | ({"selectionBehavior": "any", "suggestions": named} if named else {})


def fixes_taken(card_id: str, suggestions: Iterable[str]) -> str | None:
    """The positions of the suggestions of a card by their UUIDs (`0,2`); None without any, NotFound for one that is not the card's."""
    try:
        known = {_suggestion_id(card_id, number): number for number in range(MAX_SUGGESTIONS)}
        taken = sorted({known[one.lower()] for one in suggestions})
    except (ValueError, KeyError):
        raise NotFound("no such suggestion") from None
    return ",".join(map(str, taken)) or None


def _suggestion_id(card_id: str, number: int) -> str:
    return str(uuid.uuid5(uuid.UUID(card_id), str(number)))


def cards_of(answer: ServiceCheckAnswer, asked: HookCheck) -> list[Card]:
    """The cards of a check, worst first."""
    if not answer.covers_payer:
        return []
    cards = [_finding_card(one, answer.services, asked) for one in answer.findings if one.suppressed_by is None]
    for service, order in zip(answer.services, asked.orders, strict=True):
        settled = _settled(service)
        if settled is not None:
            cards.append(_settled_card(service, order, *settled))
    worst = {"critical": 0, "warning": 1, "info": 2}
    return sorted(cards, key=lambda card: worst[card.indicator])


def coverage_information(service: ServiceAnswer, day: date) -> dict[str, str]:
    """What is known of a service, in the codes of Da Vinci CRD's coverage-information."""
    return {"billingCode": service.procedure_code, "covered": service.covered, "pa-needed": service.authorization, "date": day.isoformat()}


def _summary(text: str) -> str:
    return text if len(text) < MAX_SUMMARY else text[: MAX_SUMMARY - 2].rstrip() + "…"


def _finding_card(finding: Finding, services: tuple[ServiceAnswer, ...], asked: HookCheck) -> Card:
    indicator = INDICATORS[finding.severity]
    codes = ", ".join(dict.fromkeys(one.procedure_code for one in services if one.line_number in finding.line_numbers))
    ways = "".join(f"\n- {fix.label}" for fix in finding.fixes)
    content = {
        "summary": _summary(f"{finding.title}: {codes}" if codes else finding.title),
        "detail": f"{finding.message}{ways}",
        "indicator": indicator,
        "overrideReasons": [
            {"code": reason, "system": OVERRIDE_REASONS, "display": reason.replace("_", " ")} for reason in finding.override_reasons
        ],
        **_source(finding),
    }
    return Card(finding.rule_id, finding.rule_version, finding.code, indicator, content, _suggestions(finding, asked))


def _suggestions(finding: Finding, asked: HookCheck) -> dict[int, dict[str, Any]]:
    """Each way out as a FHIR Task for the staff, one an order, due by the day of service. The order itself is the clinician's: nothing changes it."""
    concerned = [number for number in range(len(asked.orders)) if number + 1 in finding.line_numbers or not finding.line_numbers]
    return {
        position: {
            "label": fix.label,
            "actions": [{"type": "create", "description": fix.label, "resource": _task(fix, asked, number)} for number in concerned],
        }
        for position, fix in enumerate(finding.fixes[:MAX_SUGGESTIONS])
        if fix.class_ != "not_fixable"  # words, and nothing to do
    }


def _task(fix: Fix, asked: HookCheck, number: int) -> dict[str, Any]:
    order, day = asked.orders[number], asked.check.services[number].service_date or asked.check.service_date
    return {
        "resourceType": "Task",
        "status": "ready",
        "intent": "order",
        "code": {"coding": [{"system": FIX_CLASSES, "code": fix.class_}]},
        "description": fix.label,
        "for": {"reference": asked.patient},
        "restriction": {"period": {"end": day.isoformat()}},
    } | ({"focus": {"reference": order}} if "/" in order else {})


def _source(finding: Finding) -> dict[str, Any]:
    citation = finding.citation
    if citation is None:
        return {"source": {"label": "Payer policy", "topic": TOPIC}}
    label = citation.title if citation.locator is None else f"{citation.title}, {citation.locator}"
    if citation.url is None:
        return {"source": {"label": label, "topic": TOPIC}}
    return {
        "source": {"label": label, "url": citation.url, "topic": TOPIC},
        "links": [{"label": "The policy", "url": citation.url, "type": "absolute"}],
    }


def _settled(service: ServiceAnswer) -> tuple[str, str] | None:
    """What may be told although nothing is wrong: a code, and words."""
    if service.authorization == "no-auth":
        return "authorization.not_needed", f"No prior authorization is needed for {service.procedure_code}"
    if service.authorization == "satisfied":
        return "authorization.satisfied", f"The authorization on file covers {service.procedure_code}"
    if service.authorization_basis == "unknown":
        return "authorization.conditional", f"Whether {service.procedure_code} needs prior authorization depends on what was not sent"
    return None


def _settled_card(service: ServiceAnswer, order: str, code: str, text: str) -> Card:
    supply = f" Send: {', '.join(service.supply)}." if service.supply and service.authorization_basis == "unknown" else ""
    rule_id, version = service.authorization_rule_id or "", service.authorization_rule_version or 0
    content = {
        "summary": _summary(text),
        "detail": f"{text}.{supply}",
        "indicator": "info",
        "source": {"label": f"Rule {rule_id} version {version}", "topic": TOPIC},
        "extension": {"order": order},
    }
    return Card(rule_id, version, code, "info", content)
