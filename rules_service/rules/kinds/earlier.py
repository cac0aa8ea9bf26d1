"""Earlier claims of the patient beside this one: which lines count, and whether days meet."""

from __future__ import annotations

from rules_service.claim.context import HistoryEntry, HistoryLine
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.unknown import Unknown


def relevant_history(view: ClaimView) -> tuple[HistoryEntry, ...] | Unknown:
    """Earlier lines that count beside this claim's: of this payer, or of Medicare's other part, billed and not refused, and not of the claim
    this one replaces or voids. Entries without a status are taken as billed. Unknown when history was not supplied."""
    found: tuple[HistoryEntry, ...] | Unknown = view.once("relevant history", lambda: _relevant_history(view))
    return found


def _relevant_history(view: ClaimView) -> tuple[HistoryEntry, ...] | Unknown:
    claim = view.claim
    history = claim.context.history if claim.context is not None else None
    if history is None:
        return Unknown("history_not_supplied", "context.history")
    replaced = claim.payer_claim_control_number if takes_back(view) else None
    return tuple(
        entry
        for entry in history
        if entry.status not in ("rejected", "denied")
        and view.is_of_family(entry.payer_id)
        and (replaced is None or entry.payer_claim_control_number != replaced)
    )


def takes_back(view: ClaimView) -> bool:
    """Whether the claim replaces or voids an earlier one, whatever its submission is called besides (a secondary claim may be corrected)."""
    return view.claim.claim_frequency_code in ("7", "8") or view.submission_type in ("corrected", "void")


def replaced_lines(view: ClaimView) -> tuple[HistoryEntry, ...]:
    """The lines of the claim this one replaces, as far as history has them."""
    claim = view.claim
    number, context = claim.payer_claim_control_number, claim.context
    history = context.history if context is not None and context.history is not None else ()
    return tuple(entry for entry in history if number and entry.payer_claim_control_number == number)


def days_meet(line: LineView, other: LineView) -> bool:
    """Whether the spans of two lines share a day."""
    if line.first_day is None or other.first_day is None or line.last_day is None or other.last_day is None:
        return False
    return line.first_day <= other.last_day and other.first_day <= line.last_day


def billed_on(earlier: HistoryLine, line: LineView) -> bool:
    """Whether an earlier line and a line of the claim share a day."""
    first, through = earlier.service_from, earlier.service_through or earlier.service_from
    if first is None or through is None or line.first_day is None or line.last_day is None:
        return False
    return first.toordinal() <= line.last_day and line.first_day <= through.toordinal()
