"""The clock of timely filing: which one runs for a claim, where it starts, how long it runs, and what extends it (42 CFR 424.44, domain.md 2.9)."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from rules_service.claim.claim import SubmissionType
from rules_service.claim.parties import ClaimStruct
from rules_service.facts.stays import STILL_A_PATIENT
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.dates import add_business_days, add_months, add_years, next_business_day
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Parameters

Anchor = Literal[
    "line_from",
    "line_through",
    "statement_through",
    "discharge",
    "last_service",
    "primary_adjudication",
    "original_remit",
    "original_received",
    "eligibility_notice",
    "accident",
]
LINE_ANCHORS = ("line_from", "line_through")


class Limit(ClaimStruct, frozen=True):
    """How long."""

    value: int
    unit: Literal["calendar_days", "business_days", "months", "years"]


class Extension(ClaimStruct, frozen=True):
    """An exception that moves the deadline: through the last day of the n-th month after notice (42 CFR 424.44(b))."""

    code: str
    months_after_notice: int


class Clock(ClaimStruct, frozen=True):
    """One clock: to which submissions and network states it applies, where it starts and how long it runs."""

    submissions: tuple[SubmissionType, ...]
    anchors: tuple[Anchor, ...]
    limit: Limit
    networks: tuple[str, ...] = ()
    combine: Literal["earliest", "latest"] | None = None
    absolute_cap: Limit | None = None


class FilingLimitParameters(Parameters, frozen=True):
    """The first clock that fits the submission and network applies. Where none fits the filing limit is not evaluated, unless the claim is a void.

    The network is that of the claim, else that of the billing provider on the `roster`, else participating. `delay_reasons` are the delay reason
    codes (CLM20) that name an exception without its notice: it is not proven.
    """

    clocks: tuple[Clock, ...]
    time_zone: str | None = None
    cutoff_time: str | None = None
    receipt_on_business_days_only: bool = False
    roll_forward: Literal["none", "next_business_day", "next_federal_workday"] | None = None
    holidays: tuple[date, ...] = ()
    exceptions: tuple[Extension, ...] = ()
    delay_reasons: tuple[str, ...] = ()
    warn_within_days: tuple[int, ...] = ()
    expired_severity: Literal["deny_hard", "warn"] | None = None
    roster: str | None = None

    @property
    def keeps_federal_holidays(self) -> bool:
        """Which calendar counts, for receipts, limits and deadlines alike: the federal one, but where only the payer's own holidays roll them."""
        return self.roll_forward != "next_business_day"


def deadline_of(parameters: FilingLimitParameters, clock: Clock, view: ClaimView, line: LineView | None, received: date) -> date | Unknown:
    """The last day on which the payer may receive a line, or (no line) the claim; Unknown when an anchor that decides is not given."""
    known: list[date] = []
    unknown: Unknown | None = None
    for anchor in clock.anchors:
        start = anchor_day(anchor, view, line)
        if isinstance(start, Unknown):
            unknown = unknown or start
        else:
            known.append(_roll(parameters, _after(start, clock.limit, parameters)))
    cap: date | None = None
    if clock.absolute_cap is not None and view.date_from is not None:
        cap = _roll(parameters, _after(view.date_from, clock.absolute_cap, parameters))
    latest = clock.combine == "latest"
    bounds = [*([max(known) if latest else min(known)] if known else []), *([cap] if cap is not None else [])]
    if unknown is None:
        return min(bounds, default=Unknown("service_date_missing", "service_lines.service_from"))
    # An anchor that is not known gives more time where the latest deadline counts, and less where the earliest does.
    if cap is not None and received > cap:
        return cap
    decided = known and ((received <= min(bounds)) if latest else (received > min(bounds)))
    return min(bounds) if decided else unknown


def saved_until(parameters: FilingLimitParameters, view: ClaimView, received: date, deadline: date) -> date:
    """The deadline as a named exception that may still be proven extends it."""
    state, extended = exception_of(parameters, view, received)
    return max(deadline, extended) if extended is not None and state in ("proven", "unproven") else deadline


def threshold_reached(parameters: FilingLimitParameters, deadline: date, received: date) -> int | None:
    """The narrowest warning threshold that the days from receipt to a deadline have reached."""
    remaining = (deadline - received).days
    return min((days for days in parameters.warn_within_days if 0 <= remaining <= days), default=None)


def _network(parameters: FilingLimitParameters, view: ClaimView, lookups: Lookups) -> str:
    if view.claim.payer.network_status or parameters.roster is None:
        return view.claim.payer.network_status or "par"
    day = view.date_from or view.received_date
    table = lookups.codes(parameters.roster, day)
    npi = view.claim.providers.billing.npi or ""
    return "par" if isinstance(table, Unknown) else table.text_on(npi, "network", day.toordinal()) or "par"


def clock_of(parameters: FilingLimitParameters, view: ClaimView, lookups: Lookups) -> Clock | None:
    """The first clock that fits the submission and the network; None when none does."""
    network = _network(parameters, view, lookups)
    for clock in parameters.clocks:
        if view.submission_type in clock.submissions and (not clock.networks or network in clock.networks):
            return clock
    return None


def filing_day(parameters: FilingLimitParameters, view: ClaimView) -> date:
    """The day the claim counts as received: in the payer's time zone, the next business day after the cut-off."""
    received = view.claim.received_at
    if received is None:
        raise ValueError("received_at is resolved at the edge, before evaluation")
    if parameters.time_zone is None:
        return received.date()
    local = received.astimezone(ZoneInfo(parameters.time_zone))
    day = local.date()
    if parameters.cutoff_time is not None and local.time() > time.fromisoformat(parameters.cutoff_time):
        return next_business_day(day + timedelta(days=1), parameters.holidays, parameters.keeps_federal_holidays)
    return (
        next_business_day(day, parameters.holidays, parameters.keeps_federal_holidays) if parameters.receipt_on_business_days_only else day
    )


def _after(start: date, limit: Limit, parameters: FilingLimitParameters) -> date:
    if limit.unit == "calendar_days":
        return start + timedelta(days=limit.value)
    if limit.unit == "business_days":
        return add_business_days(start, limit.value, parameters.holidays, parameters.keeps_federal_holidays)
    return add_months(start, limit.value) if limit.unit == "months" else add_years(start, limit.value)


def _roll(parameters: FilingLimitParameters, day: date) -> date:
    if parameters.roll_forward in (None, "none"):
        return day
    return next_business_day(day, parameters.holidays, parameters.keeps_federal_holidays)


def anchor_day(anchor: str, view: ClaimView, line: LineView | None) -> date | Unknown:
    """The day a clock starts on, of a line or (no line) of the claim; Unknown when nothing gives it."""
    claim = view.claim
    prior = [entry for entry in claim.submission.prior or () if entry.status != "rejected"] if claim.submission is not None else []
    found: date | None = None
    supply = "service_lines.service_from"
    if anchor == "line_from":
        found = line.date_from if line is not None else view.date_from
    elif anchor == "line_through":
        found = line.date_through if line is not None else view.date_through
    elif anchor == "last_service":
        found = max((one.date_through for one in view.lines if one.date_through), default=None)
    elif anchor == "statement_through":
        found, supply = view.date_through, "institutional.statement_through"
    elif anchor == "discharge":
        found, supply = _discharge(view), "dates.discharge"
    elif anchor == "primary_adjudication":
        at_lines = [one.date for service in claim.service_lines for one in service.prior_adjudication if one.date]
        at_claim = [payer.adjudication_date for payer in claim.other_payers if payer.adjudication_date]
        found, supply = max([*at_claim, *at_lines], default=None), "other_payers.adjudication_date"
    elif anchor == "original_remit":
        found, supply = max((entry.remit_date for entry in prior if entry.remit_date), default=None), "submission.prior.remit_date"
    elif anchor == "original_received":
        found, supply = (
            min((entry.received_at.date() for entry in prior if entry.received_at), default=None),
            "submission.prior.received_at",
        )
    elif anchor == "eligibility_notice":
        found, supply = (
            claim.submission.exception.notice_date if claim.submission is not None and claim.submission.exception is not None else None,
            "submission.exception.notice_date",
        )
    elif anchor == "accident":
        found, supply = claim.accident.date if claim.accident else None, "accident.date"
    if found is not None:
        return found
    return Unknown("service_date_missing" if supply.startswith("service") else "context_not_supplied", supply)


def _discharge(view: ClaimView) -> date | None:
    """The day of discharge as it is told, else the last day of a statement that ends with one: an 837I has the hour only (NUBC, FL 6, 16 and
    17)."""
    claim, stay = view.claim, view.claim.institutional
    if claim.dates is not None and claim.dates.discharge is not None:
        return claim.dates.discharge
    has_left = stay is not None and stay.patient_status not in (None, STILL_A_PATIENT)
    return view.date_through if has_left else None


def still_timely_later(parameters: FilingLimitParameters, clock: Clock, line: LineView, received: date) -> bool:
    """Whether a line that is late by its first day is timely by its last, so that splitting it saves a part."""
    if clock.anchors != ("line_from",) or line.date_through is None:
        return False
    return received <= _roll(parameters, _after(line.date_through, clock.limit, parameters))


def exception_of(parameters: FilingLimitParameters, view: ClaimView, received: date) -> tuple[str, date | None]:
    """The exception the claim names (none, proven, unproven or late), and the day through which it extends the deadline."""
    submission = view.claim.submission
    claimed = submission.exception if submission is not None else None
    for extension in parameters.exceptions:
        if claimed is not None and claimed.notice_date is not None and extension.code == claimed.code:
            month = add_months(claimed.notice_date.replace(day=1), extension.months_after_notice + 1)
            last = _roll(parameters, month - timedelta(days=1))
            if received > last:
                return "late", last
            return ("proven" if claimed.evidence else "unproven"), last
    return ("unproven" if view.claim.delay_reason_code in parameters.delay_reasons else "none"), None
