"""Advice through CDS Hooks 2.0: cards for planned services, kept with the rule that said them, and what clinicians did with the cards.

Advice of the provider's side: it does not stand for the payer's own CRD server. A call that says too little gets no cards.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from rules_service.formats.fhir.cards import Card, cards_of, coverage_information
from rules_service.formats.fhir.orders import HOOKS, HookCall, hook_checks
from rules_service.primitives.errors import EngineFault, NotFound, StorageUnavailable
from rules_service.services.acting import Actor, now_utc
from rules_service.services.check_services import ServiceChecks
from rules_service.storage import advice, publication_history
from rules_service.storage.advice import AdviceOutcome, Feedback, ShownCard
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database

TITLES = {
    "order-sign": "Payer policy of the orders to be signed",
    "order-select": "Payer policy of the orders selected",
    "appointment-book": "Payer policy of the services booked",
}
PREFETCH = {
    "patient": "Patient/{{context.patientId}}",
    "coverage": "Coverage?patient={{context.patientId}}&status=active&_include=Coverage:payor",
}


class HookAdvice:
    """Answers hooks, and keeps what became of the cards."""

    def __init__(self, database: Database, checks: ServiceChecks, time_zone: str) -> None:
        self._database, self._checks, self._zone = database, checks, ZoneInfo(time_zone)

    def discovery(self) -> dict[str, Any]:
        """The services, one a hook; a service's id is its hook's name."""
        described = "Prior authorization, coverage and frequency by the payer's published rules."
        return {
            "services": [
                {"hook": hook, "id": hook, "title": TITLES[hook], "description": described, "prefetch": PREFETCH} for hook in HOOKS
            ]
        }

    def advise(self, principal: Principal, call: HookCall, until: float) -> dict[str, Any]:
        """The cards of a call, when there is time for them: `until` is an instant of the monotonic clock. Cards nobody sees are not kept."""
        now, cards, told = now_utc(), list[tuple[str, Card]](), dict[str, Any]()
        for asked in hook_checks(call, datetime.now(self._zone).date()):
            try:
                answer = self._checks.check(principal.tenant_id, asked.check)
            except (EngineFault, StorageUnavailable):
                return {"cards": []}  # what could not be judged is not guessed
            cards += [(str(uuid.uuid4()), card) for card in cards_of(answer, asked)]
            if answer.covers_payer:
                told |= {
                    order: coverage_information(service, planned.service_date or asked.check.service_date)
                    for service, planned, order in zip(answer.services, asked.check.services, asked.orders, strict=True)
                }
        if time.monotonic() > until:
            return {"cards": []}
        if cards:
            shown = [
                ShownCard(number, call.hook, card.rule_id, card.rule_version, card.code, card.indicator, card.override_reasons)
                for number, card in cards
            ]
            try:
                with self._database.writing() as connection:
                    advice.add_cards(connection, principal.tenant_id, principal.client_id, shown, now)
                    if time.monotonic() > until:
                        raise TimeoutError  # the database was waited for: nobody sees the cards, and none is kept
            except (StorageUnavailable, TimeoutError):
                return {"cards": []}  # a card whose feedback could not be kept is not shown
        documents = [card.document(number) for number, card in cards]
        return {"cards": documents} | ({"extension": {"coverage-information": told}} if told else {})

    def feedback(self, principal: Principal, hook: str, told: Sequence[Feedback]) -> None:
        """Keep what became of cards of a hook; those this client was never shown are passed over, and NotFound when it was shown none."""
        if told:
            with self._database.writing() as connection:
                advice.add_feedback(connection, principal.tenant_id, principal.client_id, hook, told, now_utc())

    def outcomes(self, actor: Actor, rule_id: str) -> list[AdviceOutcome]:
        """What became of a rule's cards, by version and what they said; NotFound for a rule that was never published."""
        with self._database.reading() as connection:
            if not publication_history.windows_of_rule(connection, actor.tenant_id, rule_id):
                raise NotFound("no such rule")
            return advice.outcomes(connection, actor.tenant_id, rule_id)
