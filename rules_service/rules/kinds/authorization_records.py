"""A line against the supplied authorizations: which record, what it covers, what is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from rules_service.claim.context import Authorization, HistoryEntry
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.codes import without_punctuation
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.rules.kinds.earlier import relevant_history, replaced_lines

APPROVED = ("approved", "certified", "modified", "partially_approved")
"""Decisions that let the service be given (X12 278 HCR01 A1, A2 and A6)."""


@dataclass(frozen=True, slots=True)
class Link:
    """A supplied authorization against a line: which links of the chain after the number hold."""

    record: Authorization
    approved: bool
    member: bool
    provider: bool
    code: bool
    span: bool

    @property
    def rank(self) -> tuple[bool, ...]:
        """One that holds whole goes before one that covers the service, and that before one that covers its code."""
        covers = self.code and self.span
        return covers and self.approved and self.member and self.provider, covers, self.code


def authorization_number(view: ClaimView, line: LineView, table: CodeTable) -> str | None:
    """The line's number, else the claim's; of several of the claim's, the one whose record holds best."""
    numbers = view.claim.prior_authorization_numbers
    if line.line.prior_authorization_number or len(numbers) < 2:
        return line.authorization_number
    links = _links(view, line, table, numbers)
    return max(links, key=lambda link: link.rank).record.number if links else numbers[0]


def record_facts(
    view: ClaimView, line: LineView, table: CodeTable, number: str, used: dict[int, int], counts: bool
) -> dict[str, FactValue]:
    """Each link of the chain after the number itself. Only a line that passes the earlier links uses up units."""
    names = ("on_file", "status", "member_matches", "provider_matches", "code_matches", "days_in_span", "units_over", "level_matches")
    if view.claim.context is None or view.claim.context.authorizations is None:
        missing = Unknown("authorization_not_verifiable", "context.authorizations")
        return {"authorization.verifiable": False, **{f"authorization.{name}": missing for name in names}}
    links = _links(view, line, table, (number,))
    if not links:
        return {"authorization.on_file": False}
    link = max(links, key=lambda one: one.rank)
    level = (link.record.level_of_care or "").lower()
    passed = link.member and link.provider and link.code and link.span
    return {
        "authorization.on_file": True,
        "authorization.status": _status(link.record),
        "authorization.member_matches": link.member,
        "authorization.provider_matches": link.provider,
        "authorization.code_matches": link.code,
        "authorization.days_in_span": link.span,
        "authorization.level_matches": level not in ("inpatient", "outpatient") or (level == "inpatient") == _inpatient(line),
        "authorization.units_over": _over(link.record, view, line, table, used) if counts and passed else None,
    }


def _links(view: ClaimView, line: LineView, table: CodeTable, numbers: Sequence[str]) -> list[Link]:
    """The supplied authorizations of these numbers, in the order of the numbers."""
    claim = view.claim
    store = claim.context.authorizations if claim.context is not None else None
    facility = line.own_provider("service_facility") or claim.providers.service_facility
    billing = claim.providers.billing
    providers = {line.rendering.npi, billing.npi, billing.tax_id, facility.npi if facility else None}
    persons = (claim.subscriber, *((claim.patient,) if claim.patient is not None else ()))
    members = {None, *(_plain(person.member_id) for person in persons)}
    return [
        Link(
            entry,
            approved=_status(entry) in APPROVED,
            member=_plain(entry.member_id) in members and view.is_of_payer(entry.payer_id),
            provider=not entry.providers or bool(providers & set(entry.providers)),
            code=_covers_code(entry, line.code, line.date_from, table),
            span=_in_span(entry, line),
        )
        for number in numbers
        for entry in store or ()
        if entry.number == number
    ]


def _plain(identifier: str | None) -> str | None:
    return None if identifier is None else without_punctuation(identifier)


def _status(record: Authorization) -> str:
    return (record.status or "approved").lower()


def _in_span(found: Authorization, line: LineView) -> bool:
    first, through = line.date_from, line.date_through
    return first is not None and through is not None and (found.from_ or date.min) <= first and through <= (found.through or date.max)


def _inpatient(line: LineView) -> bool:
    """Type of bill 11x, or a professional service given to an inpatient (place of service 21, 51, 61)."""
    if line.claim.institutional is not None:
        return line.view.bill.startswith("11")
    return line.place_of_service in ("21", "51", "61")


def _over(found: Authorization, view: ClaimView, line: LineView, table: CodeTable, used: dict[int, int]) -> int | Unknown | None:
    """Thousandths of units beyond those approved, after this line; unknown when earlier use is. Each record has units of its own,
    also where several share a number."""
    if found.units_approved is None:
        return None
    before = used.get(id(found))
    if before is None:
        earlier = _used_before(found, view, table)
        if isinstance(earlier, Unknown):
            return earlier
        before = earlier
    after = used[id(found)] = before + (line.line.unit_count.thousandths if line.line.unit_count is not None else 1000)
    over = after - found.units_approved.thousandths
    if over > 0 and found.units_used is not None and view.claim.claim_frequency_code == "7" and not replaced_lines(view):
        return Unknown("history_not_supplied", "context.history")  # what the claim being replaced used comes free, and is not known
    return over


def _used_before(found: Authorization, view: ClaimView, table: CodeTable) -> int | Unknown:
    """Units earlier claims used. What the claim being replaced used comes free again."""
    if found.units_used is not None:
        freed = _billed(found, replaced_lines(view), table) if view.claim.claim_frequency_code == "7" else 0
        return found.units_used.thousandths - freed
    history = relevant_history(view)
    return history if isinstance(history, Unknown) else _billed(found, history, table)


def _billed(found: Authorization, history: Iterable[HistoryEntry], table: CodeTable) -> int:
    """Thousandths of units of earlier lines that carry the record's number and that it covers."""
    total = 0
    for entry in history:
        line = entry.line
        day = line.service_from
        in_span = day is None or (found.from_ or date.min) <= day <= (found.through or date.max)
        if line.prior_authorization_number == found.number and in_span and _covers_code(found, line.procedure_code, day, table):
            total += line.unit_count.thousandths if line.unit_count is not None else 0
    return total


def _covers_code(found: Authorization, code: str | None, day: date | None, table: CodeTable) -> bool:
    """Whether a record is for a code, or for another of its family."""
    if not found.codes or code in found.codes:
        return True
    if code is None or day is None:
        return False

    def family(one: str) -> str:
        return table.text_on(one, "family", day.toordinal()) or ""

    mine = family(code)
    return bool(mine) and any(family(one) == mine for one in found.codes)
