"""`global_period`: visits and procedures inside the global period of an operation (Pub 100-04 ch. 12 s. 40; MPFS global days).

000: the day of the operation; 010: and the ten days after; 090: the day before, the day, and ninety days after (92 days). Other
values have no such period. A visit by the same physician, or one of the same group and specialty, needs 57 before or on the day of a
major (090) operation, 25 on the day of a minor one, 24 afterwards (unrelated; Medicare looks for another diagnosis). A procedure
afterwards needs 58 (staged), 78 (return to the operating room) or 79 (unrelated). One with 78 begins no new period.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Fix
from rules_service.primitives.codes import shown_code
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import relevant_history
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners, ProviderScope

AFTER = {"000": 0, "010": 10, "090": 90}
"""Days after the operation that belong to it; 090 has the day before too."""
NO_OPERATION = frozenset({"55", "56", "78", "80", "81", "82", "AS"})
"""Modifiers of lines that begin no period of their own: split care, a return to the operating room, assistants."""
AFTERWARDS = frozenset({"58", "78", "79"})
UNRELATED_VISIT, UNRELATED_FROM = "FT", date(2022, 1, 1)
"""Says of a visit what 24, 25 and 57 say, of critical care above all (Pub 100-04 ch. 12 s. 30.6.12)."""
LONGEST = 91
"""Days around an operation that may be of its period."""


class GlobalPeriodParameters(Parameters, frozen=True):
    """`table` is the fee schedule; `code_classes` names the codes of class `evaluation`; `roster` states specialties that
    claims leave out."""

    table: str
    code_classes: str
    provider_scope: ProviderScope = "billing_npi_and_specialty"
    roster: str | None = None


@dataclass(frozen=True, slots=True)
class _Operation:
    """One operation with a period: on this claim, or (no line) on an earlier one."""

    day: date
    days: str
    code: str
    diagnoses: frozenset[str] | None
    line: LineView | None


class GlobalPeriodKind(RuleKind[GlobalPeriodParameters]):
    """One candidate a visit or procedure and operation whose period holds its day."""

    name = "global_period"
    semantics = 4  # practitioners whose specialty nobody states; 24 against every operation; FT; earlier services of which it is not known whether they are operations, or whose
    title = "Services inside a global surgical period"
    levels = ("line",)
    claim_types = frozenset({"professional"})
    judges_void = False
    parameters = GlobalPeriodParameters
    specs = fact_specs(
        ("global.subject", "text", "visit or procedure."),
        ("global.days", "text", "000, 010 or 090 of the operation; unknown when earlier claims were not supplied."),
        ("global.phase", "text", "before, same_day or after the operation."),
        ("global.has_24", "flag", "The line carries modifier 24, or FT."),
        ("global.has_25", "flag", "The line carries modifier 25, or FT."),
        ("global.has_57", "flag", "The line carries modifier 57, or FT for a major operation."),
        ("global.has_58_78_79", "flag", "The line carries 58, 78 or 79."),
        ("global.same_diagnosis", "flag", "The visit is for a diagnosis of the operation; absent when its diagnoses are not known."),
    )

    def table_names(self, parameters: GlobalPeriodParameters) -> tuple[str, ...]:
        return (parameters.table, parameters.code_classes, *filter(None, (parameters.roster,)))

    def code_tables(self, parameters: GlobalPeriodParameters) -> tuple[str, ...]:
        return (parameters.code_classes, parameters.table)

    def branches(self, parameters: GlobalPeriodParameters) -> tuple[Branch, ...]:
        def when(subject: str, *more: object) -> dict[str, object]:
            return {"all": [{"fact": "global.subject", "is": subject}, *more]}

        def lacks(modifier: str) -> dict[str, object]:
            return {"fact": f"global.has_{modifier}", "is": "false"}

        minor, major = {"fact": "global.days", "in": ["000", "010"]}, {"fact": "global.days", "is": "090"}
        same_day, after = {"fact": "global.phase", "is": "same_day"}, {"fact": "global.phase", "is": "after"}
        line = "Line {line_number} {code}: "
        remove = fix("Remove the visit: its payment is in the operation's", "needs_documentation")

        def visit(modifier: str, reason: str) -> tuple[Fix, ...]:
            return (remove, fix(f"If the record shows {reason}, append modifier {modifier}", "needs_documentation"))

        return (
            Branch(
                code="global.wrong_57",
                title="Modifier 57 for a minor operation",
                at="line.modifiers",
                severity="deny_soft",
                when=when("visit", minor, same_day, {"fact": "global.has_57", "is": "true"}, lacks("25")),
                message=line + "modifier 57 is for the decision for a major operation; {operation} has {days} global days.",
                fixes=(fix("Replace 57 by 25 if the visit was significant and separate", "needs_documentation"),),
            ),
            Branch(
                code="global.visit_before",
                title="Visit that decided for an operation, without modifier 57",
                at="line.modifiers",
                severity="deny_soft",
                when=when("visit", major, {"fact": "global.phase", "in": ["before", "same_day"]}, lacks("57")),
                message=line + "the visit lies on the day of, or before, {operation} (090 global days){where}.",
                fixes=visit("57", "that the visit led to the decision for the operation"),
                override_reasons=("documentation_supports_separate_service",),
            ),
            Branch(
                code="global.visit_same_day",
                title="Visit on the day of a minor operation, without modifier 25",
                at="line.modifiers",
                severity="deny_soft",
                when=when("visit", minor, same_day, lacks("25")),
                message=line + "the visit lies on the day of {operation} ({days} global days){where}.",
                fixes=visit("25", "a significant, separately identifiable visit"),
                override_reasons=("documentation_supports_separate_service",),
            ),
            Branch(
                code="global.em",
                title="Visit inside a global period, without modifier 24",
                at="line.modifiers",
                severity="deny_soft",
                when=when("visit", after, lacks("24")),
                message=line + "the visit lies inside the {days} global days of {operation} of {operation_day}{where}.",
                fixes=visit("24", "a visit unrelated to the operation"),
                override_reasons=("documentation_supports_separate_service",),
            ),
            Branch(
                code="global.same_diagnosis",
                title="Modifier 24 with the operation's diagnosis",
                at="line.modifiers",
                severity="warn",
                confidence="possible",
                when=when("visit", after, {"fact": "global.has_24", "is": "true"}, {"fact": "global.same_diagnosis", "is": "true"}),
                message=line + "modifier 24 says unrelated, and the diagnosis is that of {operation}; the payer may ask for the record.",
                fixes=(fix("Have the record ready, or point to the diagnosis the visit was for", "needs_documentation"),),
                override_reasons=("documentation_supports_separate_service",),
            ),
            Branch(
                code="global.procedure",
                title="Procedure inside a global period, without modifier 58, 78 or 79",
                at="line.modifiers",
                severity="deny_soft",
                when=when("procedure", after, {"fact": "global.has_58_78_79", "is": "false"}),
                message=line + "the procedure lies inside the {days} global days of {operation} of {operation_day}{where}.",
                fixes=(
                    fix(
                        "Append 58 if it was staged, 78 if it was a return to the operating room, 79 if it was unrelated",
                        "needs_documentation",
                    ),
                ),
                override_reasons=("documentation_supports_separate_service",),
            ),
        )

    def derive(self, parameters: GlobalPeriodParameters, judged: Judged) -> Iterator[Candidate]:
        subjects = [(line, subject) for line in judged.lines if (subject := self._subject(parameters, judged, line)) is not None]
        if not subjects:
            return
        history = relevant_history(judged.view)
        operations = self._operations(parameters, judged)
        whose = Practitioners(parameters.provider_scope, judged.lookups, parameters.roster)
        for line, subject in subjects:
            if isinstance(subject, Unknown):
                yield _unjudged(line, subject)
                continue
            found = [*_on_claim(whose, operations, line, subject), *self._in_history(parameters, whose, judged, line)]
            for operation in _nearest(line, [one for one in found if isinstance(one, _Operation)]):
                yield from _meeting(line, subject, operation)
            why = history if isinstance(history, Unknown) else next((one for one in found if isinstance(one, Unknown)), None)
            if why is not None:
                yield _unjudged(line, why, subject)

    def _subject(self, parameters: GlobalPeriodParameters, judged: Judged, line: LineView) -> str | Unknown | None:
        if line.code is None or line.date_from is None:
            return None
        return judged.lookups.once(_subject_of_code, parameters.code_classes, parameters.table, line.code, line.date_from)

    def _operations(self, parameters: GlobalPeriodParameters, judged: Judged) -> list[tuple[LineView, _Operation]]:
        """Operations of the claim. A line whose code is not known tells of itself, as a subject."""
        found: list[tuple[LineView, _Operation]] = []
        for line in judged.view.lines:
            if line.code is None or line.date_from is None or not NO_OPERATION.isdisjoint(line.modifiers):
                continue
            days = _days(judged.lookups, parameters.table, line.code, line.date_from)
            if isinstance(days, str) and days in AFTER:
                found.append((line, _Operation(line.date_from, days, line.code, frozenset(line.diagnosis_codes), line)))
        return found

    def _in_history(
        self, parameters: GlobalPeriodParameters, whose: Practitioners, judged: Judged, line: LineView
    ) -> Iterator[_Operation | Unknown]:
        """Earlier operations; why it is not known of a service near the line whether it is one, or whose."""
        history = relevant_history(judged.view)
        for entry in () if isinstance(history, Unknown) else history:
            earlier = entry.line
            if earlier.procedure_code is None or earlier.service_from is None or NO_OPERATION & set(earlier.modifiers):
                continue
            days = _days(judged.lookups, parameters.table, earlier.procedure_code, earlier.service_from)
            same = whose.same_as_earlier(line, earlier)
            if same is False or (isinstance(days, str | None) and days not in AFTER) or not _may_meet(line, earlier.service_from):
                continue
            if isinstance(days, Unknown):
                yield days
            elif same is None:
                yield WHO_RENDERED_EARLIER
            elif days is not None:
                diagnoses = frozenset(earlier.diagnosis_codes) or None
                yield _Operation(earlier.service_from, days, earlier.procedure_code, diagnoses, None)


def _subject_of_code(lookups: Lookups, code_classes: str, table_name: str, code: str, day: date) -> str | Unknown | None:
    """What a code is to global periods: a visit, a procedure with one, or (None) neither."""
    classes = lookups.codes(code_classes, day)
    if isinstance(classes, Unknown):
        return classes
    if "evaluation" in classes.texts_on(code, "class", day.toordinal()):
        return "visit"
    days = _days(lookups, table_name, code, day)
    return days if isinstance(days, Unknown) else "procedure" if days in AFTER else None


def _days(lookups: Lookups, table_name: str, code: str, day: date) -> str | Unknown | None:
    table = lookups.codes(table_name, day, of=code)
    return table if isinstance(table, Unknown) else table.text_on(code, "global", day.toordinal())


def _on_claim(
    whose: Practitioners, operations: list[tuple[LineView, _Operation]], line: LineView, subject: str
) -> Iterator[_Operation | Unknown]:
    """The operations of other lines that the practitioner of the line did; whose one is that concerns it may not be known."""
    for other, operation in operations:
        if other.index == line.index:
            continue
        if subject != "visit" and (line.last_day is None or operation.day.toordinal() >= line.last_day):
            continue  # a procedure is only asked about after an operation
        same = whose.same(line, other)
        if same:
            yield operation
        elif same is None and _concerns(subject, _phase(line, operation)):
            yield SPECIALTY_NOT_KNOWN


def _may_meet(line: LineView, day: date) -> bool:
    return line.first_day is not None and line.last_day is not None and line.first_day - LONGEST <= day.toordinal() <= line.last_day + 1


def _phase(line: LineView, operation: _Operation) -> str | None:
    """Where the first of the line's days that lies in the operation's period lies in it; None when none does."""
    for day in line.days:
        distance = (day - operation.day).days
        if distance == 0:
            return "same_day"
        if distance == -1 and operation.days == "090":
            return "before"
        if 0 < distance <= AFTER[operation.days]:
            return "after"
    return None


def _nearest(line: LineView, operations: list[_Operation]) -> list[_Operation]:
    """Operations of the day and the day after, and of those whose period the line lies in the latest only: one cause, told once. A visit
    with 24 is held against the one whose diagnosis it shares. Where modifier 57 speaks of a major operation, a minor one of the same day asks for nothing more."""
    if "57" in line.modifiers and any(one.days == "090" and _phase(line, one) in ("same_day", "before") for one in operations):
        operations = [one for one in operations if one.days == "090" or _phase(line, one) != "same_day"]
    phases = [(one, _phase(line, one)) for one in operations]
    after = [one for one, phase in phases if phase == "after"]
    latest = max(after, key=lambda one: ("24" in line.modifiers and _kinship(line, one), one.day, AFTER[one.days]), default=None)
    return [one for one, phase in phases if phase in ("same_day", "before") or one is latest]


def _concerns(subject: str, phase: str | None) -> bool:
    """A visit at any time of the period, a procedure after the operation."""
    return phase is not None and (subject == "visit" or phase == "after")


def _kinship(line: LineView, operation: _Operation) -> int:
    """2 of a shared diagnosis, 1 where the operation's are not known, 0 of none."""
    same = _same_diagnosis(line, operation)
    return 1 if same is None else 2 * same


def _same_diagnosis(line: LineView, operation: _Operation) -> bool | None:
    if operation.diagnoses is None:
        return None
    return not {code.replace(".", "") for code in line.diagnosis_codes}.isdisjoint(code.replace(".", "") for code in operation.diagnoses)


def _meeting(line: LineView, subject: str, operation: _Operation) -> Iterator[Candidate]:
    phase = _phase(line, operation)
    if not _concerns(subject, phase):
        return
    last = operation.day + timedelta(days=AFTER[operation.days])
    unrelated = UNRELATED_VISIT in line.modifiers and line.date_from is not None and line.date_from >= UNRELATED_FROM
    yield Candidate(
        lines=(line,),
        related=(operation.line,) if operation.line is not None else (),
        facts={
            "global.subject": subject,
            "global.days": operation.days,
            "global.phase": phase,
            "global.has_24": "24" in line.modifiers or unrelated,
            "global.has_25": "25" in line.modifiers or unrelated,
            "global.has_57": "57" in line.modifiers or (unrelated and operation.days == "090"),
            "global.has_58_78_79": bool(AFTERWARDS & set(line.modifiers)),
            "global.same_diagnosis": _same_diagnosis(line, operation),
        },
        place=Place("line.modifiers", line.index, line.number),
        key=f"{operation.code}/{operation.day}",
        tell=partial(
            Telling,
            params={
                "line_number": str(line.number),
                "code": line.code or "",
                "operation": shown_code(operation.code),
                "days": operation.days,
                "operation_day": operation.day.isoformat(),
                "where": f" on line {operation.line.number}" if operation.line is not None else " on an earlier claim",
            },
            shown={"global_days": operation.days, "operation_date": operation.day.isoformat(), "period_through": last.isoformat()},
            actual={"modifiers": list(map(shown_code, line.modifiers))},
        ),
    )


def _unjudged(line: LineView, why: Unknown, subject: str | None = None) -> Candidate:
    facts: dict[str, FactValue] = dict.fromkeys(GlobalPeriodKind.specs, why)
    return Candidate(lines=(line,), facts={**facts, "global.subject": subject or why})
