"""`duplicate`: a claim or line billed twice (domain.md 2.12; X12 fixes group code OA for CARC 18).

Exact: payer, patient, practitioner, day, code, modifiers, units and charge are those of a line that was accepted, paid or is pending, or
of an earlier line of this claim. Suspect: the same but for modifiers and charge. Modifiers that mean "again" or "elsewhere" set lines
apart. A claim that was rejected was never filed, so what repeats it is no duplicate; one that was denied is corrected or appealed, not
sent anew. A replacement, a void and an appeal repeat on purpose.

A line of a hospital without a procedure code (room and board of a stay) repeats an earlier claim's by its revenue code. On one claim such
lines are not compared: a stay has several under one revenue code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.context import HistoryEntry
from rules_service.claim.locations import Place
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import billed_on, days_meet, takes_back
from rules_service.rules.kinds.pair_modifiers import ANATOMIC, DISTINCT_SERVICE
from rules_service.rules.kinds.practitioners import Practitioners

COMPONENTS = frozenset({"26", "TC"})
"""The professional and the technical part of one service, billed on lines of their own (Pub 100-04 chapter 13, section 20)."""
DISCARDED_DRUG = frozenset({"JW"})
"""The discarded part of a single-dose drug has its own line beside the part that was given (Pub 100-04 chapter 17, section 40)."""
TOTAL = "0001"
"""Revenue code of the line that carries the claim's total."""
DISTINGUISHING = tuple(sorted(ANATOMIC | DISTINCT_SERVICE | COMPONENTS | DISCARDED_DRUG | {"27", "50", "76", "77", "91"}))


class DuplicateParameters(Parameters, frozen=True):
    """`distinguishing_modifiers` set a line apart from one like it; `suspects: false` leaves suspected duplicates alone."""

    distinguishing_modifiers: tuple[str, ...] = DISTINGUISHING
    suspects: bool = True


class DuplicateKind(RuleKind[DuplicateParameters]):
    """One candidate a line that is like another, one for the other lines."""

    name = "duplicate"
    semantics = 6  # lines repeated within a replacement; overlapping spans; what the history does not say
    title = "Billed twice"
    levels = ("line",)
    judges_void = False
    parameters = DuplicateParameters
    specs = fact_specs(
        ("duplicate.in_claim", "text", "exact or suspect, when a line before it is like it; absent otherwise."),
        (
            "duplicate.in_history",
            "text",
            "exact, suspect or denied, when an earlier claim has it; absent otherwise, unknown without history.",
        ),
    )

    def branches(self, parameters: DuplicateParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        distinct = fix(
            "If it was given again, append the modifier that says so (76, 77, 91, 59, XE, XP, XS, XU or the side; 27 on a second visit to a hospital); room and board takes none",
            "needs_documentation",
        )
        found = [
            Branch(
                code="dup.exact",
                title="Duplicate of an earlier claim",
                at="line.procedure_code",
                severity="deny_hard",
                category="duplicate",
                when={"fact": "duplicate.in_history", "is": "exact"},
                message=line + "an earlier claim has the same service, day, practitioner, units and charge.",
                fixes=(
                    fix(
                        "Do not send it again; to correct the earlier claim, use what the payer takes for that: a replacement, or a reopening",
                        "not_fixable",
                    ),
                    distinct,
                ),
                owner_role="biller",
                next_action="correct_claim",
                override_reasons=("distinct_service_documented",),
            ),
            Branch(
                code="dup.line",
                title="Line billed twice on one claim",
                at="line.procedure_code",
                severity="deny_soft",
                category="duplicate",
                when={"fact": "duplicate.in_claim", "is": "exact"},
                message=line + "line {other} has the same service, day, practitioner, units and charge.",
                fixes=(fix("Remove the line, or bill its units on one line", "needs_documentation"), distinct),
                owner_role="biller",
                next_action="correct_claim",
                override_reasons=("distinct_service_documented",),
            ),
            Branch(
                code="dup.denied_before",
                title="Denied before and sent again as an original",
                at="claim.claim_frequency_code",
                severity="warn",
                confidence="likely",
                category="duplicate",
                when={"fact": "duplicate.in_history", "is": "denied"},
                message=line + "an earlier claim with this service was denied; correct or appeal it rather than sending it anew.",
                fixes=(fix("Send a corrected claim or an appeal, as the payer asks", "needs_payer_contact"),),
                owner_role="biller",
            ),
        ]
        if parameters.suspects:
            found.append(
                Branch(
                    code="dup.suspect",
                    title="Suspected duplicate",
                    at="line.procedure_code",
                    severity="warn",
                    confidence="possible",
                    category="duplicate",
                    when={"any": [{"fact": "duplicate.in_claim", "is": "suspect"}, {"fact": "duplicate.in_history", "is": "suspect"}]},
                    message=line + "the same service, day and practitioner are billed with other modifiers, units or charge.",
                    fixes=(distinct,),
                    owner_role="biller",
                    override_reasons=("distinct_service_documented",),
                )
            )
        return tuple(found)

    def derive(self, parameters: DuplicateParameters, judged: Judged) -> Iterator[Candidate]:
        is_anew = not takes_back(judged.view) and judged.view.submission_type != "appeal"
        told_apart = frozenset(parameters.distinguishing_modifiers)
        context = judged.view.claim.context
        history = context.history if context is not None else None
        unknown = Unknown("history_not_supplied", "context.history") if is_anew and history is None else None
        by_code: dict[str | None, list[LineView]] = {}
        for line in judged.view.lines:
            by_code.setdefault(line.code, []).append(line)
        alone: list[LineView] = []
        for line in judged.lines:
            code = line.code or (line.line.revenue_code if line.line.revenue_code != TOTAL else None)
            if code is None or line.date_from is None:
                continue
            before = [other for other in by_code[line.code] if other.number < line.number] if line.code is not None else []
            like = [(other, kind) for other in before if (kind := _likeness(line, other, told_apart)) is not None]
            exact = next((other for other, kind in like if kind == "exact"), None)
            other = exact or (like[0][0] if like else None)
            in_history = _in_history(judged, line, history, told_apart) if is_anew and history else None
            if other is None and in_history is None:
                alone.append(line)
                continue
            yield Candidate(
                lines=(line,),
                related=(other,) if other is not None else (),
                facts={
                    "duplicate.in_claim": ("exact" if exact else "suspect") if other is not None else None,
                    "duplicate.in_history": in_history or unknown,
                },
                place=Place("line.procedure_code" if line.code is not None else "line.revenue_code", line.index, line.number),
                amount=0,  # what is billed twice is paid once
                tell=partial(
                    Telling,
                    params={"line_number": str(line.number), "code": code, "other": str(other.number) if other is not None else ""},
                ),
            )
        if alone:
            yield Candidate(lines=alone, facts={"duplicate.in_claim": None, "duplicate.in_history": unknown}, amount=0, each=True)


def _likeness(line: LineView, other: LineView, told_apart: frozenset[str]) -> str | None:
    if line.rendering.npi != other.rendering.npi or not days_meet(line, other):
        return None
    if line.line.revenue_code != other.line.revenue_code or line.line.drug != other.line.drug or line.line.tooth != other.line.tooth:
        return None
    if set(line.modifiers) & told_apart != set(other.modifiers) & told_apart:
        return None
    # A repeated procedure says so on each of its lines.
    if set(line.modifiers) & {"76", "77", "91", "59", "XE", "XS", "XP", "XU"}:
        return None
    return "exact" if _billing(line) == _billing(other) else "suspect"


def _billing(line: LineView) -> tuple[object, ...]:
    return line.date_from, line.date_through, sorted(line.modifiers), line.line.unit_count, line.line.charge_amount


def _in_history(judged: Judged, line: LineView, history: tuple[HistoryEntry, ...], told_apart: frozenset[str]) -> str | None:
    found: set[str] = set()
    whose = Practitioners("rendering_npi", judged.lookups)
    for entry in history:
        earlier = entry.line
        if entry.status == "rejected" or not judged.view.is_of_family(entry.payer_id):
            continue
        if earlier.procedure_code != line.code or not billed_on(earlier, line):
            continue
        if line.code is None and (earlier.revenue_code, earlier.service_from) != (line.line.revenue_code, line.date_from):
            continue  # stays may share the day between them
        is_same_practitioner = whose.same_as_earlier(line, earlier)
        if is_same_practitioner is False:
            continue
        if set(line.modifiers) & told_apart != set(earlier.modifiers) & told_apart:
            continue
        if entry.status == "denied":
            found.add("denied")
            continue
        # Who rendered the earlier service, or how much of it, may not be said: then it may be another.
        billed = (
            earlier.service_from, earlier.service_through or earlier.service_from, sorted(earlier.modifiers), earlier.unit_count, earlier.charge_amount
        )  # fmt: skip
        found.add("exact" if is_same_practitioner is True and billed == _billing(line) else "suspect")
    return next((kind for kind in ("exact", "denied", "suspect") if kind in found), None)
