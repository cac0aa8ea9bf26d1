"""Facts derived from the claim that no single field states: sums, ages, spans, what lies between dates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import Any

from rules_service.facts.values import FactType, FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.codes import procedure_form
from rules_service.primitives.dates import age_in_years
from rules_service.primitives.unknown import Unknown

Getter = Callable[[Any], FactValue]
_PO_BOX = re.compile(r"(?i)\b(?:p\.?\s*o\.?|post\s+office)\s*(?:box|bx|drawer)\b|\bpob\b|\block\s?box\b")
_ACCOMMODATION = ("10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21")
"""Beginnings of the revenue codes of room and board (0100 to 0219), without the leading zero."""


def _day(value: date | None) -> int | None:
    return None if value is None else value.toordinal()


def _birth(view: ClaimView) -> date | None:
    return (view.claim.patient or view.claim.subscriber).birth_date


def _age(line: LineView) -> int | None:
    born = _birth(line.view)
    return None if born is None or line.date_from is None else age_in_years(born, line.date_from)


def _age_days(line: LineView) -> int | None:
    born = _birth(line.view)
    return None if born is None or line.date_from is None else (line.date_from - born).days


def _death(view: ClaimView) -> date | None:
    return (view.claim.patient or view.claim.subscriber).death_date


def _statement(view: ClaimView) -> tuple[date, date] | None:
    institutional = view.claim.institutional
    if institutional is None or institutional.statement_from is None or institutional.statement_through is None:
        return None
    return institutional.statement_from, institutional.statement_through


def _statement_length(view: ClaimView) -> FactValue:
    statement = _statement(view)
    return None if statement is None else (statement[1] - statement[0]).days


def _bedded(view: ClaimView) -> list[tuple[date, date]] | Unknown:
    """First and last days of room and board that the billing provider billed to this payer, or to Medicare's other part, before; the same for every line."""
    found: list[tuple[date, date]] | Unknown = view.once("days of room and board", lambda: _room_and_board(view))
    return found


def _room_and_board(view: ClaimView) -> list[tuple[date, date]] | Unknown:
    history = view.claim.context.history if view.claim.context is not None else None
    if history is None:
        return Unknown("history_not_supplied", "context.history")
    return [
        (entry.line.service_from, entry.line.service_through or entry.line.service_from)
        for entry in history
        if entry.status not in ("rejected", "denied")
        and view.is_of_family(entry.payer_id)
        and entry.line.billing_npi in (None, view.claim.providers.billing.npi)
        and entry.line.service_from is not None
        and len(code := (entry.line.revenue_code or "").lstrip("0")) == 3
        and code.startswith(_ACCOMMODATION)
    ]


def admission_day(view: ClaimView) -> date | None:
    """The day of admission; the first of the statement period where none is given."""
    institutional = view.claim.institutional
    if institutional is None:
        return None
    try:
        return date.fromisoformat((institutional.admission_at or "")[:10])
    except ValueError:
        return institutional.statement_from


def _interim_gap(view: ClaimView) -> FactValue:
    statement, bedded, admitted = _statement(view), _bedded(view), admission_day(view)
    if statement is None or admitted is None:
        return None
    if isinstance(bedded, Unknown):
        return bedded
    ends = [through for first, through in bedded if through >= admitted and first < statement[0]]
    return None if not ends else (statement[0] - max(ends)).days - 1


def _zip_is_whole(view: ClaimView) -> FactValue:
    address = view.claim.providers.billing.address
    text = (address.zip or "").replace("-", "") if address is not None else ""
    return None if not text else len(text) == 9 and text.isdigit()


def _is_po_box(view: ClaimView) -> FactValue:
    address = view.claim.providers.billing.address
    text = "" if address is None else f"{address.line1 or ''} {address.line2 or ''}"
    return None if not text.strip() else bool(_PO_BOX.search(text))


def _units_beyond_days(line: LineView) -> FactValue:
    if line.line.unit_count is None or line.date_from is None or line.date_through is None or line.date_through < line.date_from:
        return None
    return line.line.unit_count.thousandths - 1000 * line.days_in_span


def _outside_statement(line: LineView) -> FactValue:
    statement = _statement(line.view)
    if statement is None or line.line.service_from is None:
        return None
    through = line.line.service_through or line.line.service_from
    return line.line.service_from < statement[0] or through > statement[1]


def _days_before_stay(line: LineView) -> FactValue:
    """The day of discharge is no day of the stay, but where it is the day of admission too."""
    bedded, day = _bedded(line.view), line.date_from
    if isinstance(bedded, Unknown):
        return bedded
    if day is None:
        return None
    found = [max(0, (first - day).days) for first, through in bedded if day < through or day == first]
    return min(found, default=None)


def _days_after_receipt(view: ClaimView, day: date | None) -> int | None:
    return None if day is None else (day - view.received_date).days


def _admitted_after(view: ClaimView) -> FactValue:
    statement, admitted = _statement(view), admission_day(view)
    return None if statement is None or admitted is None else (admitted - statement[1]).days


def _is_ambulance_only(view: ClaimView) -> bool:
    return bool(view.lines) and all((line.line.revenue_code or "").startswith("054") for line in view.lines)


HIPPS_LINES = frozenset({"0022", "0023", "0024"})
"""Revenue codes whose procedure code is a HIPPS rate code and whose charge may be zero (UB-04, FL 42 and 44)."""
TOTAL_LINE = "0001"


def _line_total(view: ClaimView) -> int:
    """Charges of the lines; the line of a paper form that carries their total is none of them."""
    return sum(line.line.charge_amount.cents for line in view.lines if line.line.revenue_code != TOTAL_LINE)


def _procedure_form(line: LineView) -> FactValue:
    if line.code is None:
        return None
    return "hipps" if line.line.revenue_code in HIPPS_LINES else procedure_form(line.code)


DERIVED: tuple[tuple[str, FactType, str, Getter], ...] = (
    ("claim.line_count", "count", "Number of service lines.", lambda v: len(v.lines)),
    ("claim.line_charge_total", "money", "Sum of the line charges, without a total line (revenue code 0001).", _line_total),
    (
        "claim.charge_difference",
        "money",
        "Total charge minus the sum of the line charges (837 balancing).",
        lambda v: v.claim.total_charge_amount.cents - _line_total(v),
    ),
    ("claim.from_date", "day", "Statement-from, else the earliest line date.", lambda v: _day(v.date_from)),
    ("claim.through_date", "day", "Statement-through, else the latest line date.", lambda v: _day(v.date_through)),
    ("claim.received_date", "day", "Date of receipt.", lambda v: v.received_date.toordinal()),
    ("claim.submission_type", "text", "original, secondary, corrected or void.", lambda v: v.submission_type),
    ("claim.resolved_payer_id", "text", "The payer the ids and aliases resolved to.", lambda v: v.payer_id or None),
    ("claim.procedure_codes", "codes", "Every procedure code on the claim.", lambda v: tuple(sorted(v.codes))),
    ("claim.diagnosis_codes", "codes", "Every diagnosis code on the claim.", lambda v: tuple(d.code for d in v.claim.diagnoses)),
    ("claim.patient_is_subscriber", "flag", "No separate patient is given.", lambda v: v.claim.patient is None),
    (
        "claim.days_birth_after_service",
        "count",
        "Days from the earliest service to the patient's birth; positive when born after it.",
        lambda v: None if _birth(v) is None or v.date_from is None else (_birth(v) - v.date_from).days,
    ),
    ("line.effective_place_of_service_code", "text", "The line's place of service, else the claim's.", lambda ln: ln.place_of_service),
    ("line.from_date", "day", "First day of service.", lambda ln: _day(ln.date_from)),
    ("line.through_date", "day", "Last day of service.", lambda ln: _day(ln.date_through)),
    (
        "line.days_after_receipt",
        "count",
        "Days from receipt to the first day of service; positive when the service is still to come.",
        lambda ln: _days_after_receipt(ln.view, ln.date_from),
    ),
    (
        "line.span_length",
        "count",
        "Days from first to last day of service: 0 for one day, negative when the span runs backwards.",
        lambda ln: None if ln.date_from is None or ln.date_through is None else (ln.date_through - ln.date_from).days,
    ),
    (
        "line.units_beyond_days",
        "quantity",
        "Units minus days of the span; absent without units, dates, or when the span runs backwards.",
        lambda ln: _units_beyond_days(ln),
    ),
    ("line.patient_age_years", "count", "Completed years of age on the first day of service.", _age),
    ("line.patient_age_days", "count", "Days of age on the first day of service.", _age_days),
    (
        "line.authorization_number_present",
        "flag",
        "An authorization number stands on the line or the claim.",
        lambda ln: bool(ln.authorization_number),
    ),
    (
        "line.procedure_form",
        "text",
        "cpt, cpt_category_ii, cpt_category_iii, cpt_other, hcpcs_level_ii, hipps (by revenue code) or other; absent without a code.",
        _procedure_form,
    ),
    ("line.diagnosis_pointer_count", "count", "Diagnosis pointers of the line.", lambda ln: len(ln.line.diagnosis_pointers)),
    ("line.pointed_diagnosis_codes", "codes", "Diagnoses the line points to.", lambda ln: ln.diagnosis_codes),
    ("line.rendering_taxonomy_code", "text", "Taxonomy of the rendering provider, else billing.", lambda ln: ln.rendering.taxonomy_code),
    (
        "claim.days_birth_after_receipt",
        "count",
        "Days from receipt to the patient's birth; positive when born after it.",
        lambda v: None if _birth(v) is None else (_birth(v) - v.received_date).days,
    ),
    (
        "claim.days_death_before_service",
        "count",
        "Days from the patient's death to the latest service; positive when served after it.",
        lambda v: None if _death(v) is None or v.date_through is None else (v.date_through - _death(v)).days,
    ),
    (
        "claim.is_own_dependent",
        "flag",
        "The patient is the subscriber (relationship 18), and a separate patient is given besides.",
        lambda v: v.claim.patient is not None and v.claim.subscriber.relationship_code == "18",
    ),
    (
        "claim.bill_class",
        "text",
        "Facility and class of the type of bill: 11 inpatient, 13 outpatient hospital and so on.",
        lambda v: v.bill[:2] or None,
    ),
    (
        "claim.bill_frequency",
        "text",
        "What follows facility and class in the type of bill: 1 whole stay, 2 first, 3 continuing, 4 last interim bill.",
        lambda v: v.bill[2:] or None,
    ),
    (
        "claim.bill_frequency_differs",
        "flag",
        "The type of bill ends in another frequency than the claim's own (CLM05-3); absent without a type of bill.",
        lambda v: v.bill[2:] != v.claim.claim_frequency_code if v.bill else None,
    ),
    (
        "claim.days_through_after_receipt",
        "count",
        "Days from receipt to the last day of the statement period or of service; positive when it is still to come.",
        lambda v: _days_after_receipt(v, v.date_through),
    ),
    (
        "claim.days_admitted_after_statement",
        "count",
        "Days from the end of the statement period to the admission; positive when the patient was admitted after it.",
        _admitted_after,
    ),
    ("claim.is_ambulance_only", "flag", "Every line has a revenue code of ambulance services (054x).", _is_ambulance_only),
    (
        "claim.principal_and_secondary_diagnoses",
        "count",
        "Diagnoses of types principal and secondary.",
        lambda v: sum(one.type in ("principal", "secondary") for one in v.claim.diagnoses),
    ),
    (
        "claim.statement_length",
        "count",
        "Days from statement-from to statement-through; negative when the period runs backwards.",
        lambda v: _statement_length(v),
    ),
    (
        "claim.interim_gap_days",
        "count",
        "Days between the earlier bills of the stay (room and board in history) and this statement period: 0 when it follows at once, negative when it overlaps them. Absent without one, unknown without history.",
        lambda v: _interim_gap(v),
    ),
    (
        "claim.billing_zip_is_nine_digits",
        "flag",
        "The billing provider's ZIP code has nine digits; absent without one.",
        lambda v: _zip_is_whole(v),
    ),
    (
        "claim.billing_address_is_po_box",
        "flag",
        "The billing provider's address is a post office box; absent without one.",
        lambda v: _is_po_box(v),
    ),
    (
        "line.is_outside_statement",
        "flag",
        "The line lies outside the statement period; absent without one.",
        lambda ln: _outside_statement(ln),
    ),
    (
        "line.spans_months",
        "flag",
        "The line begins in one month and ends in another.",
        lambda ln: (
            None
            if ln.date_from is None or ln.date_through is None
            else (ln.date_from.year, ln.date_from.month) != (ln.date_through.year, ln.date_through.month)
        ),
    ),
    (
        "line.days_before_inpatient_stay",
        "count",
        "Days from the service to an inpatient stay at the same billing provider (accommodation revenue codes in history), 0 inside the stay, whose last day is none of it; absent when there is none, unknown without history.",
        lambda ln: _days_before_stay(ln),
    ),
)
