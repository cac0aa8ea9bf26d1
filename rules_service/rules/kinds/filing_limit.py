"""`filing_limit`: timely filing as a policy object (domain.md 2.9).

42 CFR 424.44; Pub 100-04 ch. 1 s. 70. The anchor day is day 0 and the deadline is anchor + limit; a claim received on the
deadline is timely. Months and years keep the day number, clipped to the end of the month (29 February + 1 year = 28 February).
Claims that were rejected were not filed, so only this receipt counts.

A claim has one instant, its receipt: a payer that counts from submission, or from a clearinghouse's acceptance, is judged by what the caller gives
as `received_at`. Reconsiderations and appeals of every level run by the clock of `appeal`. The settlement of an accident has no date on a claim.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, time
from typing import Any
from zoneinfo import available_timezones

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.filing_clock import (
    LINE_ANCHORS,
    Clock,
    FilingLimitParameters,
    clock_of,
    deadline_of,
    exception_of,
    filing_day,
    saved_until,
    still_timely_later,
    threshold_reached,
)

MAX_NAMED = 30
"""Lines a message names one by one."""


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
        clock = clock_of(parameters, view, judged.lookups)
        if clock is None:
            if view.submission_type != "void":  # a void asks for nothing
                yield self._not_known(parameters.clocks[0], view, Unknown("filing_limit_not_stated", "payer's filing limit"), judged.lines)
            return
        received = filing_day(parameters, view)
        if all(anchor in LINE_ANCHORS for anchor in clock.anchors):
            by_days: dict[tuple[date | None, date | None], list[LineView]] = {}
            for line in judged.lines:
                by_days.setdefault((line.date_from, line.date_through), []).append(line)
            groups: dict[tuple[bool, bool, int], list[tuple[LineView, date]]] = {}
            for lines in by_days.values():
                deadline = deadline_of(parameters, clock, view, lines[0], received)
                if isinstance(deadline, Unknown):
                    yield self._not_known(clock, view, deadline, lines)
                    continue
                late = received > deadline
                split = late and still_timely_later(parameters, clock, lines[0], received)
                reached = threshold_reached(parameters, saved_until(parameters, view, received, deadline), received)
                group = groups.setdefault((late, split, -1 if reached is None else reached), [])
                group += [(line, deadline) for line in lines]
            for (_, split, _), entries in sorted(groups.items(), key=lambda item: item[0]):
                yield self._candidate(parameters, clock, view, received, sorted(entries, key=lambda entry: entry[0].number), split)
            return
        deadline = deadline_of(parameters, clock, view, None, received)
        if isinstance(deadline, Unknown):
            yield self._not_known(clock, view, deadline, judged.lines)
        else:
            yield self._candidate(parameters, clock, view, received, [(line, deadline) for line in judged.lines], False)

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
        state, extended = exception_of(parameters, view, received)
        until = {day: saved_until(parameters, view, received, day) for day in {day for _, day in entries}}
        saved = {line.number: until[day] for line, day in entries}
        remaining = (deadline - received).days
        reached = threshold_reached(parameters, min(saved.values()), received)

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


def _place(clock: Clock, view: ClaimView, earliest: LineView) -> Place:
    """The date the clock starts at, where it is one of the service; else the receipt."""
    if clock.anchors[0] in ("statement_through", "discharge") and view.claim.institutional is not None:
        return Place("claim.institutional.statement_through")
    if clock.anchors[0] in (*LINE_ANCHORS, "last_service", "statement_through"):
        return Place("line.service_from", earliest.index, earliest.number)
    return Place("claim.received_at")
