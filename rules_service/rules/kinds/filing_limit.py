"""`filing_limit`: timely filing as a policy object (domain.md 2.9).

42 CFR 424.44; Pub 100-04 ch. 1 s. 70. The anchor day is day 0 and the deadline is anchor + limit; a claim received on the
deadline is timely. Months and years keep the day number, clipped to the end of the month (29 February + 1 year = 28 February).
Claims that were rejected were not filed, so only this receipt counts.

A claim has one instant, its receipt: a payer that counts from submission, or from a clearinghouse's acceptance, is judged by what the caller gives
as `received_at`. Reconsiderations and appeals of every level run by the clock of `appeal`. The settlement of an accident has no date on a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from rules_service.claim.claim import SubmissionType
from rules_service.claim.locations import Place
from rules_service.claim.parties import ClaimStruct
from rules_service.facts.stays import STILL_A_PATIENT
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.dates import add_business_days, add_months, add_years, next_business_day
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

LineAnchor = Literal["line_from", "line_through"]
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
MAX_NAMED = 30
"""Lines a message names one by one."""


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


class FilingLimitKind(RuleKind[FilingLimitParameters]):
    """One candidate a claim; or, when the clock starts at the line, one for the lines that are timely, one for those that are late,
    one for those that are late and can be split. Level `line` lets each line's own date pick the policy."""

    name = "filing_limit"
    semantics = 5  # delay reasons; each line has its own deadline; submissions without a clock are not evaluated
    title = "Timely filing"
    levels = ("claim", "line")
    parameters = FilingLimitParameters
    specs = fact_specs(
        (
            "filing.days_remaining",
            "count",
            "Days from receipt to the deadline, negative when late; unknown when the anchor's date was not supplied.",
        ),
        ("filing.warn_within", "count", "The narrowest warning threshold that the days remaining have reached; absent when none."),
        ("filing.near", "flag", "The deadline is within a warning threshold."),
        ("filing.split_helps", "flag", "The line starts too early, yet its last days are timely: it can be split."),
        ("filing.exception", "text", "none, proven (with evidence and in time), unproven (without evidence) or late."),
    )

    def check_parameters(self, parameters: FilingLimitParameters) -> Iterable[Issue]:
        if not parameters.clocks:
            yield Issue("parameters", "/clocks", "A filing limit has at least one clock.", "Add a clock.")
        for index, clock in enumerate(parameters.clocks):
            if not clock.anchors or clock.limit.value <= 0:
                yield Issue("parameters", f"/clocks/{index}", "A clock has at least one anchor and a limit above 0.", "Add them.")
            if len(clock.anchors) > 1 and clock.combine is None:
                yield Issue(
                    "parameters",
                    f"/clocks/{index}/combine",
                    "A clock with several anchors says which deadline counts.",
                    "Set combine to earliest or latest.",
                )
        if parameters.time_zone is not None and parameters.time_zone not in available_timezones():
            yield Issue("parameters", "/time_zone", "No such time zone.", "Use an IANA name such as America/New_York.")
        if parameters.cutoff_time is not None:
            try:
                time.fromisoformat(parameters.cutoff_time)
            except ValueError:
                yield Issue("parameters", "/cutoff_time", "Expected a time such as 18:00.", "Write HH:MM.")
            if parameters.time_zone is None:
                yield Issue("parameters", "/time_zone", "A cut-off time needs the payer's time zone.", "Set time_zone.")

    def table_names(self, parameters: FilingLimitParameters) -> tuple[str, ...]:
        return (parameters.roster,) if parameters.roster else ()

    def branches(self, parameters: FilingLimitParameters) -> tuple[Branch, ...]:
        severity = parameters.expired_severity or "deny_hard"
        late = {"fact": "filing.days_remaining", "less_than": "0"}
        common: dict[str, Any] = {
            "category": "timely_filing",
            "at": "line.service_from",
            "owner_role": "biller",
            "override_reasons": ("proof_of_timely_filing", "payer_confirmed"),
        }
        proof = fix("If the payer accepted the claim earlier, send proof of timely filing (its 277CA)", "needs_documentation")
        exception = fix("Cite an exception the payer recognises, with its evidence and the delay reason code", "needs_documentation")
        return (
            Branch(
                code="tf.exception_unproven",
                title="Late, with an exception that is not proven",
                severity="pend",
                when={"all": [late, {"fact": "filing.exception", "is": "unproven"}]},
                next_action="attach_documentation",
                message="The filing deadline {deadline} has passed; the exception named{through} needs its evidence.",
                fixes=(fix("Attach the notice that proves the exception", "needs_documentation"),),
                **common,
            ),
            Branch(
                code="tf.exception",
                title="Late, with a proven exception",
                when={"all": [late, {"fact": "filing.exception", "is": "proven"}]},
                bypassed=True,
                bypassed_by="exception",
                **common,
            ),
            Branch(
                code="tf.split_line",
                title="The line starts before the filing limit and ends within it",
                severity=severity,
                when={"all": [late, {"fact": "filing.split_helps", "is": "true"}]},
                next_action="correct_claim",
                message="Lines {lines}: the filing deadline {deadline} has passed for the first day of service; the later days are still timely.",
                fixes=(
                    fix("Split the line: bill the timely days on a line of their own"),
                    exception,
                ),
                **common,
            ),
            Branch(
                code="tf.expired",
                title="The filing limit has passed",
                severity=severity,
                when=late,
                next_action="write_off_or_cite_exception",
                message="Received {late_by} days after the filing deadline {deadline}{lines_text}.{lapsed}",
                fixes=(
                    proof,
                    exception,
                    fix("Otherwise write off: a participating provider may not bill the patient", "not_fixable"),
                ),
                **common,
            ),
            Branch(
                code="tf.at_risk",
                title="The filing deadline is near",
                severity="warn",
                when={"fact": "filing.near", "is": "true"},
                next_action="file_now",
                message="The filing deadline is {near}, {days} days from receipt{lines_text}.",
                fixes=(fix("File today"),),
                **common,
            ),
        )

    def derive(self, parameters: FilingLimitParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        clock = _clock(parameters, view, judged.lookups)
        if clock is None:
            if view.submission_type != "void":  # a void asks for nothing
                yield self._not_known(parameters.clocks[0], view, Unknown("filing_limit_not_stated", "payer's filing limit"), judged.lines)
            return
        received = _filing_day(parameters, view)
        if all(anchor in LINE_ANCHORS for anchor in clock.anchors):
            by_days: dict[tuple[date | None, date | None], list[LineView]] = {}
            for line in judged.lines:
                by_days.setdefault((line.date_from, line.date_through), []).append(line)
            groups: dict[tuple[bool, bool, int], list[tuple[LineView, date]]] = {}
            for lines in by_days.values():
                deadline = self._deadline(parameters, clock, view, lines[0], received)
                if isinstance(deadline, Unknown):
                    yield self._not_known(clock, view, deadline, lines)
                    continue
                late = received > deadline
                split = late and _still_timely_later(parameters, clock, lines[0], received)
                reached = _threshold(parameters, _saved_until(parameters, view, received, deadline), received)
                group = groups.setdefault((late, split, -1 if reached is None else reached), [])
                group += [(line, deadline) for line in lines]
            for (_, split, _), entries in sorted(groups.items(), key=lambda item: item[0]):
                yield self._candidate(parameters, clock, view, received, sorted(entries, key=lambda entry: entry[0].number), split)
            return
        deadline = self._deadline(parameters, clock, view, None, received)
        if isinstance(deadline, Unknown):
            yield self._not_known(clock, view, deadline, judged.lines)
        else:
            yield self._candidate(parameters, clock, view, received, [(line, deadline) for line in judged.lines], False)

    def _deadline(
        self, parameters: FilingLimitParameters, clock: Clock, view: ClaimView, line: LineView | None, received: date
    ) -> date | Unknown:
        known: list[date] = []
        unknown: Unknown | None = None
        for anchor in clock.anchors:
            start = _anchor_day(anchor, view, line)
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

    def _not_known(self, clock: Clock, view: ClaimView, why: Unknown, lines: Sequence[LineView]) -> Candidate:
        facts: dict[str, FactValue] = dict.fromkeys(("filing.warn_within", "filing.days_remaining", "filing.near"), why)
        return Candidate(
            lines=lines,
            facts=facts | {"filing.split_helps": False, "filing.exception": "none"},
            place=_place(clock, view, _earliest(lines)),
        )

    def _candidate(
        self,
        parameters: FilingLimitParameters,
        clock: Clock,
        view: ClaimView,
        received: date,
        entries: Sequence[tuple[LineView, date]],
        split: bool,
    ) -> Candidate:
        """Lines that come out alike, each with its deadline. What is told of them is told of the earliest."""
        lines = [line for line, _ in entries]
        deadline, last = min(day for _, day in entries), max(day for _, day in entries)
        earliest = _earliest([line for line, day in entries if day == deadline])
        state, extended = _exception(parameters, view, received)
        until = {day: _saved_until(parameters, view, received, day) for day in {day for _, day in entries}}
        saved = {line.number: until[day] for line, day in entries}
        remaining = (deadline - received).days
        reached = _threshold(parameters, min(saved.values()), received)

        def tell() -> Telling:
            numbers = ", ".join(str(line.number) for line in lines[:MAX_NAMED]) + (
                f" and {len(lines) - MAX_NAMED} more" if len(lines) > MAX_NAMED else ""
            )
            several = f" (the last of them has {last.isoformat()})" if last != deadline else ""
            return Telling(
                params={
                    "deadline": deadline.isoformat(),
                    "near": min(saved.values()).isoformat(),
                    "through": f" extends it through {extended.isoformat()} and" if extended else "",
                    "days": str((min(saved.values()) - received).days),
                    "late_by": str(-remaining),
                    "lines": numbers,
                    "lines_text": (f" for lines {numbers}" if len(lines) < len(view.lines) or several else "") + several,
                    "lapsed": f" The exception named extended it through {extended} only."
                    if state == "late" and extended and extended > deadline
                    else "",
                    "exception": "filing_exception",
                },
                shown={
                    "deadline": deadline.isoformat(),
                    "days_remaining": remaining,
                    "warn_within_days": reached,
                    "earliest_line_at_risk": earliest.number,
                },
                expected={"received_by": deadline.isoformat()},
                actual={"counts_as_received_on": received.isoformat()},
            )

        return Candidate(
            lines=lines,
            facts={
                "filing.split_helps": split,
                "filing.days_remaining": remaining,
                "filing.warn_within": reached,
                "filing.near": reached is not None,
                "filing.exception": state,
            },
            place=_place(clock, view, earliest),
            qualifier="appeal" if view.submission_type == "appeal" else "",
            deadlines={number: (day, (day - received).days) for number, day in saved.items()},
            tell=tell,
        )


def _earliest(lines: Sequence[LineView]) -> LineView:
    return min(lines, key=lambda line: (line.date_from or date.max, line.number))


def _saved_until(parameters: FilingLimitParameters, view: ClaimView, received: date, deadline: date) -> date:
    """The deadline as a named exception that may still be proven extends it."""
    state, extended = _exception(parameters, view, received)
    return max(deadline, extended) if extended is not None and state in ("proven", "unproven") else deadline


def _threshold(parameters: FilingLimitParameters, deadline: date, received: date) -> int | None:
    """The narrowest warning threshold that the days from receipt to a deadline have reached."""
    remaining = (deadline - received).days
    return min((days for days in parameters.warn_within_days if 0 <= remaining <= days), default=None)


def _place(clock: Clock, view: ClaimView, earliest: LineView) -> Place:
    """The date the clock starts at, where it is one of the service; else the receipt."""
    if clock.anchors[0] in ("statement_through", "discharge") and view.claim.institutional is not None:
        return Place("claim.institutional.statement_through")
    if clock.anchors[0] in (*LINE_ANCHORS, "last_service", "statement_through"):
        return Place("line.service_from", earliest.index, earliest.number)
    return Place("claim.received_at")


def _network(parameters: FilingLimitParameters, view: ClaimView, lookups: Lookups) -> str:
    if view.claim.payer.network_status or parameters.roster is None:
        return view.claim.payer.network_status or "par"
    day = view.date_from or view.received_date
    table = lookups.codes(parameters.roster, day)
    npi = view.claim.providers.billing.npi or ""
    return "par" if isinstance(table, Unknown) else table.text_on(npi, "network", day.toordinal()) or "par"


def _clock(parameters: FilingLimitParameters, view: ClaimView, lookups: Lookups) -> Clock | None:
    network = _network(parameters, view, lookups)
    for clock in parameters.clocks:
        if view.submission_type in clock.submissions and (not clock.networks or network in clock.networks):
            return clock
    return None


def _filing_day(parameters: FilingLimitParameters, view: ClaimView) -> date:
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


def _anchor_day(anchor: str, view: ClaimView, line: LineView | None) -> date | Unknown:
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


def _still_timely_later(parameters: FilingLimitParameters, clock: Clock, line: LineView, received: date) -> bool:
    if clock.anchors != ("line_from",) or line.date_through is None:
        return False
    return received <= _roll(parameters, _after(line.date_through, clock.limit, parameters))


def _exception(parameters: FilingLimitParameters, view: ClaimView, received: date) -> tuple[str, date | None]:
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
