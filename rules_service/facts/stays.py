"""Facts of hospital bills: the type of bill, the statement period, the stay and what earlier bills say of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from rules_service.claim.context import HistoryEntry, HistoryLine
from rules_service.facts.values import Derivation, FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.unknown import Unknown

_ACCOMMODATION = ("10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21")
"""Beginnings of the revenue codes of room and board (0100 to 0219), without the leading zero."""
_NURSERY = ("017", "17")
STILL_A_PATIENT = "30"
"""Patient status of a bill that does not end the stay (NUBC, FL 17)."""
_READMISSION_DAYS = 30
SKILLED_NURSING_BILLS = ("18", "21")
SKILLED_NURSING_RATE = ("0022", "022")
"""The line of the rate code of a stay in a nursing facility or swing bed, which is no stay of the hospital."""
OUTSIDE_WINDOW = ("054", "082", "083", "084", "085")
"""Beginnings of the revenue codes of ambulance and dialysis, which are in no payment window (42 CFR 412.2(c)(5)(iii))."""
PART_B_BILLS = frozenset(("12", "13", "14", "22", "23", "34", "74", "75", "76", "85"))
"""Facility and class of the institutional bills whose services the NCCI edits judge one by one (NCCI Policy Manual, chapter I)."""
PAYMENT_WINDOW_DAYS = 3
"""A procedure of the days before admission may stand on the bill of the stay (42 CFR 412.2(c)(5))."""


def _statement(view: ClaimView) -> tuple[date, date] | None:
    institutional = view.claim.institutional
    if institutional is None or institutional.statement_from is None or institutional.statement_through is None:
        return None
    return institutional.statement_from, institutional.statement_through


def _statement_length(view: ClaimView) -> FactValue:
    statement = _statement(view)
    return None if statement is None else (statement[1] - statement[0]).days


Stay = tuple[date, date, str | None]
"""First and last day of room and board, and the taxonomy of who gave it."""


def _bedded(view: ClaimView) -> list[Stay] | Unknown:
    """First and last days of room and board that were billed before; the same for every line."""
    found: list[Stay] | Unknown = view.once("days of room and board", lambda: _room_and_board(view))
    return found


def _room_and_board(view: ClaimView) -> list[Stay] | Unknown:
    billed = _billed_before(view)
    if isinstance(billed, Unknown):
        return billed
    own = view.claim.providers.billing.taxonomy_code
    skilled = _numbers(billed, lambda line: line.revenue_code in SKILLED_NURSING_RATE)
    nursing = view.bill[:2] in SKILLED_NURSING_BILLS
    return [
        (day, entry.line.service_through or day, entry.line.taxonomy_code or own)
        for day, entry in billed
        if _is_accommodation(entry.line.revenue_code)
        and (entry.payer_claim_control_number is None or (entry.payer_claim_control_number in skilled) == nursing)
    ]


def _numbers(billed: list[tuple[date, HistoryEntry]], test: Callable[[HistoryLine], bool]) -> set[str]:
    """Control numbers of the earlier claims that have such a line."""
    return {entry.payer_claim_control_number for _, entry in billed if entry.payer_claim_control_number is not None and test(entry.line)}


def _billed_before(view: ClaimView) -> list[tuple[date, HistoryEntry]] | Unknown:
    """Earlier lines with their first day that the billing provider billed to this payer, or to Medicare's other part, and that stand."""
    history = view.claim.context.history if view.claim.context is not None else None
    if history is None:
        return Unknown("history_not_supplied", "context.history")
    own = view.claim.payer_claim_control_number  # of the claim this one replaces
    return [
        (entry.line.service_from, entry)
        for entry in history
        if entry.status not in ("rejected", "denied")
        and (own is None or entry.payer_claim_control_number != own)
        and view.is_of_family(entry.payer_id)
        and entry.line.billing_npi in (None, view.claim.providers.billing.npi)
        and entry.line.service_from is not None
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


def _is_accommodation(revenue_code: str | None) -> bool:
    return len(code := (revenue_code or "").lstrip("0")) == 3 and code.startswith(_ACCOMMODATION)


def _interim_gap(view: ClaimView) -> FactValue:
    statement, bedded, admitted = _statement(view), _bedded(view), admission_day(view)
    if statement is None or admitted is None:
        return None
    if isinstance(bedded, Unknown):
        return bedded
    ends = [through for first, through, _ in bedded if through >= admitted and first < statement[0]]
    return None if not ends else (statement[0] - max(ends)).days - 1


def _outside_statement(line: LineView) -> FactValue:
    statement = _statement(line.view)
    if statement is None or line.line.service_from is None:
        return None
    through = line.line.service_through or line.line.service_from
    return line.line.service_from < statement[0] or through > statement[1]


def _days_before_stay(line: LineView) -> FactValue:
    """The day of discharge is no day of the stay, but where it is the day of admission too."""
    stay = _next_stay(line)
    return stay[0] if isinstance(stay, tuple) else stay


def _stay_taxonomy(line: LineView) -> FactValue:
    stay = _next_stay(line)
    return stay[1] if isinstance(stay, tuple) else stay


def _next_stay(line: LineView) -> tuple[int, str | None] | Unknown | None:
    """Days from the line to the stay it lies in or before, and the taxonomy of that stay."""
    bedded, day = _bedded(line.view), line.date_from
    if isinstance(bedded, Unknown):
        return bedded
    if day is None:
        return None
    found = [(max(0, (first - day).days), taxonomy) for first, through, taxonomy in bedded if day < through or day == first]
    return min(found, key=lambda stay: stay[0], default=None)


def _admitted_after(view: ClaimView) -> FactValue:
    statement, admitted = _statement(view), admission_day(view)
    return None if statement is None or admitted is None else (admitted - statement[1]).days


def _accommodation_beyond_stay(view: ClaimView) -> FactValue:
    """The day of discharge is paid as none, but a patient who stays on (status 30) has the last day of the period too. A mother and her
    newborn may stand on one bill: the nursery beside another room is not the mother's."""
    statement = _statement(view)
    rooms = [line.line for line in view.lines if _is_accommodation(line.line.revenue_code)]
    mothers = [line for line in rooms if not (line.revenue_code or "").startswith(_NURSERY)]
    units = [line.unit_count.thousandths for line in mothers or rooms if line.unit_count is not None]
    if statement is None or not units or view.claim.institutional is None:
        return None
    stays_on = view.claim.institutional.patient_status == STILL_A_PATIENT
    return sum(units) - 1000 * max(1, (statement[1] - statement[0]).days + stays_on)


def _days_since_stay(view: ClaimView) -> FactValue:
    bedded, admitted = _bedded(view), admission_day(view)
    if isinstance(bedded, Unknown):
        return bedded
    if admitted is None:
        return None
    days = [(admitted - through).days for first, through, _ in bedded if first < admitted]
    return min((day for day in days if 0 <= day <= _READMISSION_DAYS), default=None)


def _outpatient_days_before(view: ClaimView) -> FactValue:
    billed, admitted = _billed_before(view), admission_day(view)
    if isinstance(billed, Unknown):
        return billed
    if admitted is None:
        return None
    stays = _numbers(billed, lambda line: _is_accommodation(line.revenue_code))
    days = [
        (admitted - day).days
        for day, entry in billed
        # A service of the stay without a control number may be of an interim bill.
        if (day < admitted or entry.payer_claim_control_number is not None)
        and (code := entry.line.revenue_code) is not None
        and entry.payer_claim_control_number not in stays
        and not _is_accommodation(code)
        and not code.startswith(OUTSIDE_WINDOW)
    ]
    # The day of discharge is no day of the stay, but where it is the day of admission too.
    length = max(1, (statement[1] - admitted).days) if (statement := _statement(view)) is not None else 1
    return min((day for day in days if -length < day <= PAYMENT_WINDOW_DAYS), default=None)


def _operation_billed(view: ClaimView) -> bool:
    institutional = view.claim.institutional
    return institutional is not None and any(one.code.startswith("0") for one in institutional.procedures)


def _procedure_outside_stay(view: ClaimView) -> FactValue:
    institutional, statement = view.claim.institutional, _statement(view)
    if institutional is None or not institutional.procedures or statement is None:
        return None
    days = [one.date for one in institutional.procedures if one.date is not None]
    return any((statement[0] - day).days > PAYMENT_WINDOW_DAYS or day > statement[1] for day in days)


def _procedure_without_date(view: ClaimView) -> bool:
    institutional = view.claim.institutional
    return institutional is not None and any(one.date is None for one in institutional.procedures)


STAYS: tuple[Derivation, ...] = (
    (
        "claim.revenue_codes",
        "codes",
        "Every revenue code on the claim.",
        lambda v: tuple(sorted({line.line.revenue_code for line in v.lines if line.line.revenue_code is not None})),
    ),
    (
        "claim.accommodation_beyond_stay",
        "quantity",
        "Units of room and board (revenue codes 0100 to 0219) minus the days of the statement period; absent without them.",
        _accommodation_beyond_stay,
    ),
    (
        "claim.days_since_earlier_stay",
        "count",
        "Days from the last day of an earlier stay at the same billing provider (room and board in history) to this admission, up to 30; absent when there is none, unknown without history.",
        _days_since_stay,
    ),
    (
        "claim.days_since_outpatient_services",
        "count",
        "Days from an outpatient service of the same billing provider (other revenue codes in history) to this admission, where it is at most three; 0 on the day of admission, negative on a later day of the stay (ambulance and dialysis are in no payment window); unknown without history.",
        _outpatient_days_before,
    ),
    (
        "claim.operation_billed",
        "flag",
        "A procedure of the medical and surgical section (ICD-10-PCS, first character 0) is on the claim.",
        _operation_billed,
    ),
    (
        "claim.procedure_outside_stay",
        "flag",
        "A procedure (ICD-10-PCS) is dated after the statement period, or more than three days before it; absent without procedures.",
        _procedure_outside_stay,
    ),
    ("claim.procedure_without_date", "flag", "A procedure (ICD-10-PCS) has no date.", _procedure_without_date),
    (
        "claim.bill_class",
        "text",
        "Facility and class of the type of bill: 11 inpatient, 13 outpatient hospital and so on.",
        lambda v: v.bill[:2] or None,
    ),
    (
        "claim.bills_part_b_services",
        "flag",
        "The claim bills services of Medicare Part B one by one: it has no type of bill, or one of an outpatient department, of outpatients of a nursing facility, home health agency or therapy facility, or of a stay under Part B (12x to 14x, 22x, 23x, 34x, 74x to 76x, 85x).",
        lambda v: not v.bill or v.bill[:2] in PART_B_BILLS,
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
        "claim.days_admitted_after_statement",
        "count",
        "Days from the end of the statement period to the admission; positive when the patient was admitted after it.",
        _admitted_after,
    ),
    (
        "claim.statement_length",
        "count",
        "Days from statement-from to statement-through; negative when the period runs backwards.",
        _statement_length,
    ),
    (
        "claim.interim_gap_days",
        "count",
        "Days between the earlier bills of the stay (room and board in history) and this statement period: 0 when it follows at once, negative when it overlaps them. Absent without one, unknown without history.",
        _interim_gap,
    ),
    (
        "line.is_outside_statement",
        "flag",
        "The line lies outside the statement period; absent without one.",
        _outside_statement,
    ),
    (
        "line.days_before_inpatient_stay",
        "count",
        "Days from the service to an inpatient stay at the same billing provider (accommodation revenue codes in history), 0 inside the stay, whose last day is none of it; absent when there is none, unknown without history.",
        _days_before_stay,
    ),
    (
        "line.inpatient_stay_taxonomy",
        "text",
        "Taxonomy of the inpatient stay the service lies in or before: that of its room and board in history, else that of the billing provider; unknown without history.",
        _stay_taxonomy,
    ),
)
