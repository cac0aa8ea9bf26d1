"""`anesthesia`: time and modifiers of anaesthesia services (Pub 100-04 ch. 12 s. 50; CPT 00100 to 01999 by number).

Minutes are billed in the unit MJ, not units of service. Medicare wants the modifier that says who gave it and how (AA, AD, QK, QX, QY,
QZ); a payer may want a physical status modifier (P1 to P6) besides.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.locations import Place
from rules_service.primitives.codes import shown_code
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

DIRECTION = ("AA", "AD", "QK", "QX", "QY", "QZ")
FIRST, LAST = 100, 1999


class AnesthesiaParameters(Parameters, frozen=True):
    """`timed_exceptions` are codes billed without minutes; `physical_status` asks for P1 to P6."""

    modifiers_any_of: tuple[str, ...] = DIRECTION
    physical_status: bool = False
    timed_exceptions: tuple[str, ...] = ("01996",)
    most_minutes: int = 1440


class AnesthesiaKind(RuleKind[AnesthesiaParameters]):
    """One candidate an anaesthesia line."""

    name = "anesthesia"
    title = "Anaesthesia time and modifiers"
    levels = ("line",)
    claim_types = frozenset({"professional"})
    judges_void = False
    parameters = AnesthesiaParameters
    specs = fact_specs(
        ("anesthesia.timed", "flag", "The code is billed by time."),
        ("anesthesia.in_minutes", "flag", "The unit is minutes (MJ)."),
        ("anesthesia.minutes", "quantity", "Units of the line."),
        ("anesthesia.modifier_present", "flag", "A modifier says who gave it; absent when the payer asks for none."),
        ("anesthesia.status_present", "flag", "P1 to P6 is there; absent when the payer does not ask for it."),
    )

    def branches(self, parameters: AnesthesiaParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        timed = {"fact": "anesthesia.timed", "is": "true"}
        return (
            Branch(
                code="anes.minutes",
                title="Anaesthesia not billed in minutes",
                at="line.unit_count",
                severity="reject",
                when={"all": [timed, {"fact": "anesthesia.in_minutes", "is": "false"}]},
                message=line + "anaesthesia time is billed in minutes (MJ).",
                fixes=(fix("Send the minutes with unit MJ"),),
                next_action="correct_claim",
            ),
            Branch(
                code="anes.time_range",
                title="Anaesthesia minutes out of range",
                at="line.unit_count",
                severity="deny_soft",
                when={
                    "all": [
                        timed,
                        {
                            "any": [
                                {"fact": "anesthesia.minutes", "less_than": "1"},
                                {"fact": "anesthesia.minutes", "more_than": str(parameters.most_minutes)},
                            ]
                        },
                    ]
                },
                message=line + "the minutes are none, or more than a day has.",
                fixes=(fix("Correct the minutes"),),
                next_action="correct_claim",
            ),
            Branch(
                code="anes.modifier",
                title="Anaesthesia without the modifier that says who gave it",
                at="line.modifiers",
                severity="deny_soft",
                when={
                    "any": [{"fact": "anesthesia.modifier_present", "is": "false"}, {"fact": "anesthesia.status_present", "is": "false"}]
                },
                message=line + "the payer asks for one of the modifiers {required}.",
                fixes=(fix("Add the modifier the record supports", "needs_documentation"),),
                next_action="correct_claim",
            ),
        )

    def derive(self, parameters: AnesthesiaParameters, judged: Judged) -> Iterator[Candidate]:
        if judged.view.claim.claim_type != "professional":
            return
        for line in judged.lines:
            code = line.code or ""
            if not (len(code) == 5 and code.isdigit() and FIRST <= int(code) <= LAST):
                continue
            required = ", ".join(parameters.modifiers_any_of) + (" and of P1 to P6" if parameters.physical_status else "")
            yield Candidate(
                lines=(line,),
                facts={
                    "anesthesia.timed": code not in parameters.timed_exceptions,
                    "anesthesia.in_minutes": line.line.unit_basis == "MJ",
                    "anesthesia.minutes": line.line.unit_count.thousandths if line.line.unit_count is not None else 0,
                    "anesthesia.modifier_present": bool(set(parameters.modifiers_any_of) & set(line.modifiers))
                    if parameters.modifiers_any_of
                    else None,
                    "anesthesia.status_present": any(one in {f"P{n}" for n in range(1, 7)} for one in line.modifiers)
                    if parameters.physical_status
                    else None,
                },
                place=Place("line.unit_count", line.index, line.number),
                tell=partial(
                    Telling,
                    params={"line_number": str(line.number), "code": code, "required": required},
                    actual={"modifiers": list(map(shown_code, line.modifiers))},
                ),
            )
