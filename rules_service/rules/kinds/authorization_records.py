"""A line against the supplied authorizations: which record, what it covers, what is left of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from rules_service.claim.context import Authorization, HistoryEntry
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.earlier import relevant_history, replaced_lines


def authorization_number(view: ClaimView, line: LineView, table: CodeTable, row: Entry) -> str | None:
    """The line's number, else the claim's; of several of the claim's, the first whose record covers the line."""
    numbers = view.claim.prior_authorization_numbers
    store = view.claim.context.authorizations if view.claim.context is not None else None
    if line.line.prior_authorization_number or len(numbers) < 2 or store is None:
        return line.authorization_number
    covering = (
        entry.number
        for number in numbers
        for entry in store
        if entry.number == number and _covers_code(entry, line.code, line.date_from, table)
    )
    return next(covering, numbers[0])


def record_facts(
    view: ClaimView, line: LineView, table: CodeTable, row: Entry, number: str, used: dict[int, int | Unknown], counts: bool
) -> dict[str, FactValue]:
    """Each link of the chain after the number itself. Only a line that passes the earlier links uses up units."""
    claim = view.claim
    store = claim.context.authorizations if claim.context is not None else None
    names = ("on_file", "status", "member_matches", "provider_matches", "code_matches", "days_in_span", "units_over", "level_matches")
    if store is None:
        missing = Unknown("authorization_not_verifiable", "context.authorizations")
        return {"authorization.verifiable": False, **{f"authorization.{name}": missing for name in names}}
    records = [entry for entry in store if entry.number == number]
    if not records:
        return {"authorization.on_file": False}
    found = next(
        (entry for entry in records if _covers_code(entry, line.code, line.date_from, table) and _in_span(entry, line)), records[0]
    )
    facility = claim.providers.service_facility
    providers = {line.rendering.npi, claim.providers.billing.npi, claim.providers.billing.tax_id, facility.npi if facility else None}
    members = {None, claim.subscriber.member_id, claim.patient.member_id if claim.patient else None}
    facts: dict[str, FactValue] = {
        "authorization.on_file": True,
        "authorization.status": (found.status or "approved").lower(),
        "authorization.member_matches": found.member_id in members and found.payer_id in (None, claim.payer.payer_id, view.payer_id),
        "authorization.provider_matches": not found.providers or bool(providers & set(found.providers)),
        "authorization.code_matches": _covers_code(found, line.code, line.date_from, table),
        "authorization.days_in_span": _in_span(found, line),
        "authorization.level_matches": found.level_of_care not in ("inpatient", "outpatient")
        or (found.level_of_care == "inpatient") == _inpatient(line),
    }
    passed = all(facts[f"authorization.{name}"] for name in ("member_matches", "provider_matches", "code_matches", "days_in_span"))
    facts["authorization.units_over"] = _over(found, view, line, table, used) if counts and passed else None
    return facts


def _in_span(found: Authorization, line: LineView) -> bool:
    first, through = line.date_from, line.date_through
    return first is not None and through is not None and (found.from_ or date.min) <= first and through <= (found.through or date.max)


def _inpatient(line: LineView) -> bool:
    """Type of bill 11x, or a professional service given to an inpatient (place of service 21, 51, 61)."""
    if line.claim.institutional is not None:
        return line.view.bill.startswith("11")
    return line.place_of_service in ("21", "51", "61")


def _over(found: Authorization, view: ClaimView, line: LineView, table: CodeTable, used: dict[int, int | Unknown]) -> int | Unknown | None:
    """Thousandths of units beyond those approved, after this line; unknown when earlier use is. Each record has units of its own,
    also where several share a number."""
    if found.units_approved is None:
        return None
    before = used.get(id(found))
    if before is None:
        before = _used_before(found, view, table)
    if isinstance(before, Unknown):
        return before
    after = used[id(found)] = before + (line.line.unit_count.thousandths if line.line.unit_count is not None else 1000)
    return after - found.units_approved.thousandths


def _used_before(found: Authorization, view: ClaimView, table: CodeTable) -> int | Unknown:
    """Units earlier claims used. What the claim being replaced used comes free again."""
    replaces = view.claim.claim_frequency_code == "7"
    if found.units_used is not None:
        return found.units_used.thousandths - _billed(found, replaced_lines(view), table) if replaces else found.units_used.thousandths
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
        entry = table.on(one, day.toordinal())
        return str(entry.values[table.column("family")]) if entry is not None else ""

    mine = family(code)
    return bool(mine) and any(family(one) == mine for one in found.codes)
