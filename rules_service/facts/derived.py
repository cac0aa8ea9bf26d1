"""Facts derived from the claim that no single field states: sums, ages, spans, what lies between dates. Those of hospital stays: `stays`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

from rules_service.facts.values import Derivation, FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.codes import procedure_form
from rules_service.primitives.dates import age_in_years

_PO_BOX = re.compile(r"(?i)\b(?:p\.?\s*o\.?|post\s+office)\s*(?:box|bx|drawer)\b|\bpob\b|\block\s?box\b")


def _day(value: date | None) -> int | None:
    return None if value is None else value.toordinal()


def _birth(view: ClaimView) -> date | None:
    return (view.claim.patient or view.claim.subscriber).birth_date


def _age(view: ClaimView, day: date | None) -> int | None:
    born = _birth(view)
    return None if born is None or day is None else age_in_years(born, day)


def _age_days(line: LineView) -> int | None:
    born = _birth(line.view)
    return None if born is None or line.date_from is None else (line.date_from - born).days


def _death(view: ClaimView) -> date | None:
    return (view.claim.patient or view.claim.subscriber).death_date


def _organization_renders(view: ClaimView) -> FactValue:
    rendering, billing = view.claim.providers.rendering, view.claim.providers.billing
    if rendering is None:
        return None
    return rendering.entity_type == "2" or (billing.entity_type == "2" and rendering.npi is not None and rendering.npi == billing.npi)


def _rendering_unnamed(view: ClaimView) -> FactValue:
    rendering = view.claim.providers.rendering
    if rendering is not None and (rendering.npi is not None or rendering.last_or_organization_name is not None):
        return False
    return any(line.line.providers is None or line.line.providers.rendering is None for line in view.lines)


def _repeats_subscriber(view: ClaimView) -> FactValue:
    patient, subscriber = view.claim.patient, view.claim.subscriber
    if patient is None:
        return None
    one, other = ([person.last_name, person.first_name, person.birth_date] for person in (patient, subscriber))
    return None not in one and _folded(one) == _folded(other)


def _folded(parts: Iterable[object]) -> list[str]:
    return [str(part).strip().casefold() for part in parts]


def _days_after_service(view: ClaimView, day: date | None) -> FactValue:
    return None if day is None or view.date_through is None else (day - view.date_through).days


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


ORIGINS = frozenset("DEGHIJNPRS")
"""First letters of an ambulance trip: where it began."""


def is_trip(line: LineView, modifier: str) -> bool:
    """Whether it is origin and destination of an ambulance trip, one letter each; X (a physician's office on the way) is a destination
    only. Pub 100-04 chapter 15 section 30."""
    if line.code is None or not line.code.startswith("A0") or len(modifier) != 2:
        return False
    return modifier[0] in ORIGINS and modifier[1] in ORIGINS | {"X"}


OFFICE_VISITS = frozenset({"99202", "99203", "99204", "99205", "99211", "99212", "99213", "99214", "99215"})


def _visit_modifiers(line: LineView) -> FactValue:
    beside = (one for one in line.view.lines if one.index != line.index and one.code in OFFICE_VISITS and one.date_from == line.date_from)
    return tuple(dict.fromkeys(modifier for one in beside for modifier in one.modifiers))


def _later_birthday_first(view: ClaimView) -> FactValue:
    """The plan of the parent whose birthday comes first in the year is the child's first one (NAIC Model 120, the birthday rule)."""
    claim = view.claim
    born = claim.subscriber.birth_date
    if claim.patient is None or claim.patient.relationship_code != "19" or born is None:
        return None
    is_first = claim.payer_responsibility in (None, "primary")
    for other in claim.other_payers:
        theirs = other.subscriber.birth_date if other.subscriber is not None else None
        if theirs is None or (other.responsibility in ("P", "primary")) == is_first:
            continue
        mine, other_day = (born.month, born.day), (theirs.month, theirs.day)
        return other_day < mine if is_first else mine < other_day
    return None


def _primary_filing_indicator(view: ClaimView) -> FactValue:
    claim = view.claim
    if claim.payer_responsibility in (None, "primary"):
        return claim.payer.claim_filing_indicator_code
    return next((other.claim_filing_indicator_code for other in claim.other_payers if other.responsibility in ("P", "primary")), None)


def _days_after_receipt(view: ClaimView, day: date | None) -> int | None:
    return None if day is None else (day - view.received_date).days


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


DERIVED: tuple[Derivation, ...] = (
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
    (
        "claim.primary_filing_indicator",
        "text",
        "Filing indicator (SBR09) of the payer that is named as the one that pays first.",
        _primary_filing_indicator,
    ),
    (
        "claim.later_birthday_first",
        "flag",
        "Of two plans of a child's parents, that of the parent whose birthday comes later in the year is billed as the first; absent unless both birth dates are given.",
        _later_birthday_first,
    ),
    ("line.visit_modifiers", "codes", "Modifiers of the office visits (99202 to 99215) of the line's day.", _visit_modifiers),
    (
        "line.trip_modifier_present",
        "flag",
        "A modifier names origin and destination of an ambulance trip.",
        lambda ln: any(is_trip(ln, one) for one in ln.modifiers),
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
        _units_beyond_days,
    ),
    ("line.patient_age_years", "count", "Completed years of age on the first day of service.", lambda ln: _age(ln.view, ln.date_from)),
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
    (
        "line.repeated_modifiers",
        "codes",
        "Modifiers that stand more than once on the line.",
        lambda ln: tuple(dict.fromkeys([one for at, one in enumerate(ln.modifiers) if one in ln.modifiers[:at]])),
    ),
    ("line.diagnosis_pointer_count", "count", "Diagnosis pointers of the line.", lambda ln: len(ln.line.diagnosis_pointers)),
    ("line.pointed_diagnosis_codes", "codes", "Diagnoses the line points to.", lambda ln: ln.diagnosis_codes),
    ("line.rendering_taxonomy_code", "text", "Taxonomy of the rendering provider, else billing.", lambda ln: ln.rendering.taxonomy_code),
    ("claim.patient_age_years", "count", "Completed years of age on the claim's first day of service.", lambda v: _age(v, v.date_from)),
    (
        "claim.organization_renders",
        "flag",
        "The rendering provider is an organisation, or has the NPI of the organisation that bills; absent without one.",
        _organization_renders,
    ),
    ("claim.rendering_unnamed", "flag", "Neither the claim nor every line names a rendering provider.", _rendering_unnamed),
    (
        "claim.patient_repeats_subscriber",
        "flag",
        "The separate patient has the subscriber's name and birth date; absent without one.",
        _repeats_subscriber,
    ),
    (
        "claim.days_accident_after_service",
        "count",
        "Days from the last service to the accident; positive when it is said to have happened after the service.",
        lambda v: _days_after_service(v, v.claim.accident.date if v.claim.accident is not None else None),
    ),
    (
        "claim.days_onset_after_service",
        "count",
        "Days from the last service to the onset of the illness (DTP*431); positive when it is said to have begun after the service.",
        lambda v: _days_after_service(v, v.claim.dates.onset if v.claim.dates is not None else None),
    ),
    (
        "claim.days_admission_after_service",
        "count",
        "Days from the last service to the admission a professional claim names (DTP*435); positive when the patient was admitted after it.",
        lambda v: _days_after_service(v, v.claim.dates.admission if v.claim.dates is not None else None),
    ),
    (
        "claim.control_number_length",
        "count",
        "Characters of the patient control number (CLM01).",
        lambda v: len(v.claim.patient_control_number),
    ),
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
        "claim.days_through_after_receipt",
        "count",
        "Days from receipt to the last day of the statement period or of service; positive when it is still to come.",
        lambda v: _days_after_receipt(v, v.date_through),
    ),
    ("claim.is_ambulance_only", "flag", "Every line has a revenue code of ambulance services (054x).", _is_ambulance_only),
    (
        "claim.principal_diagnoses",
        "count",
        "Diagnoses of type principal.",
        lambda v: sum(one.type == "principal" for one in v.claim.diagnoses),
    ),
    (
        "claim.principal_and_secondary_diagnoses",
        "count",
        "Diagnoses of types principal and secondary.",
        lambda v: sum(one.type in ("principal", "secondary") for one in v.claim.diagnoses),
    ),
    (
        "claim.billing_zip_is_nine_digits",
        "flag",
        "The billing provider's ZIP code has nine digits; absent without one.",
        _zip_is_whole,
    ),
    (
        "claim.billing_address_is_po_box",
        "flag",
        "The billing provider's address is a post office box; absent without one.",
        _is_po_box,
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
)
