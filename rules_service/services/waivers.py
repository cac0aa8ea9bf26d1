"""Waivers as their users handle them: given on a finding of a stored evaluation, listed with their use, ended."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import msgspec

from rules_service.findings.waivers import Waiver, WaiverScope
from rules_service.primitives.codes import shown_npi
from rules_service.primitives.errors import InputError, Issue, NotFound, Refused
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.validate_claim import billing_npi
from rules_service.storage import audit_log, evaluations, waivers
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.storage.waivers import WaiverRecord

MAX_DAYS = 366


class Waivers:
    """Gives, lists and ends waivers."""

    def __init__(self, database: Database, cipher: ClaimCipher) -> None:
        self._database = database
        self._cipher = cipher

    def give(
        self, actor: Actor, evaluation_id: str, finding_id: str, scope: WaiverScope, reason_code: str, expires_on: date, on_behalf_of: str | None
    ) -> WaiverRecord:  # fmt: skip
        """Pass a finding: of this claim, or its code for this payer and billing provider. The reason is one the rule allows."""
        with audited_refusal(self._database, actor, "waiver.given", "evaluation", evaluation_id):
            if scope == "standing" and "waivers:standing" not in actor.scopes:
                raise Refused("insufficient-scope", "A waiver for a payer and provider needs the scope waivers:standing.")
            now = now_utc()
            if not now.date() <= expires_on <= now.date() + timedelta(days=MAX_DAYS):
                issue = Issue(
                    "expires_on", "/expires_on", f"A waiver ends within {MAX_DAYS} days, and not in the past.", "Name such a day."
                )
                raise InputError("The waiver cannot be given", [issue])
            with self._database.writing() as connection:
                stored = evaluations.read_evaluation(connection, actor.tenant_id, evaluation_id)
                document = msgspec.json.decode(stored.body)
                finding = next((one for one in document["findings"] if one["finding_id"] == finding_id), None)
                if finding is None:
                    raise NotFound("no such finding")
                _require_reason(finding, reason_code)
                npi = None
                if scope == "standing":
                    if stored.sealed is None:
                        raise Refused("state-conflict", "The claim was erased: its billing provider is not known any more.")
                    npi = shown_npi(billing_npi(self._cipher.open(stored.sealed, actor.tenant_id, evaluation_id)))
                    if npi is None or not stored.payer_id:
                        raise Refused("state-conflict", "The claim names no known payer, or no valid billing NPI, to waive the code for.")
                of_claim = scope == "finding"
                waiver = Waiver(
                    new_id("wv"), scope, finding["rule_id"], finding["code"], document["lineage_id"] if of_claim else None,
                    finding["finding_key"] if of_claim else None, None if of_claim else stored.payer_id, npi, reason_code, actor.name,
                    on_behalf_of, now, expires_on,
                )  # fmt: skip
                known = waivers.book(connection, actor.tenant_id)
                if known.matching([(finding["finding_key"], finding["code"])], document["lineage_id"], stored.payer_id, npi, now.date()):
                    raise Refused("state-conflict", "The finding is waived already.")
                waivers.add(connection, actor.tenant_id, waiver, evaluation_id)
                told = {
                    "scope": scope,
                    "rule_id": waiver.rule_id,
                    "code": waiver.code,
                    "reason_code": reason_code,
                    "on_behalf_of": on_behalf_of,
                }
                event = actor.event(
                    "waiver.given", "waiver", waiver.waiver_id, evaluation_id=evaluation_id, expires_on=expires_on.isoformat(), **told
                )
                audit_log.append(connection, actor.tenant_id, now, event)
                return waivers.find(connection, actor.tenant_id, waiver.waiver_id)

    def end(self, actor: Actor, waiver_id: str, reason: str) -> WaiverRecord:
        """End a waiver before its day."""
        with audited_refusal(self._database, actor, "waiver.ended", "waiver", waiver_id), self._database.writing() as connection:
            record = waivers.find(connection, actor.tenant_id, waiver_id)
            if record.ended_at is not None:
                raise Refused("state-conflict", "The waiver was ended already.")
            now = now_utc()
            waivers.end(connection, actor.tenant_id, waiver_id, reason, actor.name, now)
            audit_log.append(connection, actor.tenant_id, now, actor.event("waiver.ended", "waiver", waiver_id, reason))
            return waivers.find(connection, actor.tenant_id, waiver_id)

    def listed(self, actor: Actor, is_unused: bool | None, limit: int) -> list[WaiverRecord]:
        """Waivers newest first; `is_unused`: only those that never marked a finding, or only the others."""
        with self._database.reading() as connection:
            return waivers.listed(connection, actor.tenant_id, is_unused, limit)


def _require_reason(finding: dict[str, Any], reason_code: str) -> None:
    allowed = finding["override_reasons"]
    if reason_code not in allowed:
        listed = f"Its reasons: {', '.join(allowed)}." if allowed else "Its rule allows none: this finding cannot be waived."
        issue = Issue("reason_code", "/reason_code", "The rule does not know this reason.", listed)
        raise InputError("The waiver cannot be given", [issue])
