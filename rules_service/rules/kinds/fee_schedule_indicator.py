"""`fee_schedule_indicator`: what the physician fee schedule says of a code against its modifiers and place.

Medicare physician fee schedule relative value file; Pub 100-04 ch. 12 s. 40 and ch. 23 addendum. Bilateral 1 takes modifier 50 with
one unit; 0, 2, 3 without the rule and 9 do not (3 is paid in full for each side). Assistant 0 needs documentation, 1 is not paid by
statute, 2 is paid, 9 does not apply; co-surgeon and team 0 not paid, 1 with documentation, 2 paid, 9 does not apply. PC/TC 1 has a
professional and a technical component; 0, 2, 4, 5, 7 and 8 take no 26, and only 1 takes TC. In a hospital the technical part (TC, or a code
with indicator 3) is the hospital's, and of a test with indicator 4 the physician bills the code of the interpretation (Pub 100-04 chapter 13
section 20.2.1). Status B is bundled, N not covered, I not
valid for Medicare, X paid under another schedule (laboratory, vaccines, ambulance) and so no denial, P bundled or excluded, M and R are
reported or restricted. What is not covered may be billed for a denial, with GY, GX or GA saying that the patient is liable.

`checks` says which questions a payer asks. An ambulatory surgical center bills RT and LT on two lines, never 50; the surgeon who operates there
does use 50. A line without a charge (a visit after surgery that is reported) is not asked of its status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Fix, Severity
from rules_service.primitives.codes import shown_code
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.surgical_center import SurgicalCenters

Check = Literal["bilateral", "assistant", "co_surgeon", "team", "components", "status"]
ASSISTANT = ("80", "81", "82", "AS")
LIABILITY = ("GY", "GX", "GA")
"""The patient is liable: excluded by statute, with a voluntary notice, with a signed notice."""
SIDES = frozenset({"LT", "RT"})
_MODIFIERS: dict[str, tuple[str, ...]] = {
    "bilateral": ("50",),
    "assistant": ASSISTANT,
    "co_surgeon": ("62",),
    "team": ("66",),
    "components": ("26", "TC"),
    "status": LIABILITY,
}
STATUSES: tuple[tuple[str, str, tuple[str, ...], Severity, str, str], ...] = (
    ("bundled", "Code whose payment is bundled", ("B", "P"), "deny_soft", "the fee schedule bundles it into other services (status {indicator}).", "Remove the line; its payment is in the other service"),
    ("not_valid", "Code not valid for this payer", ("I",), "deny_soft", "the payer uses another code for this service (status I).", "Bill the code the payer uses"),
    ("not_covered", "Code that is not covered", ("N",), "deny_hard", "the fee schedule does not cover it (status N).", "Not covered: tell the patient before the service"),
)  # fmt: skip
"""Finding, its title, the letters it is about, severity, message and way out."""
NO_26 = ("0", "2", "3", "4", "5", "7", "8", "9")


class FeeScheduleParameters(SurgicalCenters, frozen=True, kw_only=True):
    """`facility_places`: where the technical part is the facility's; `statuses`: which status letters are not paid; claims of suppliers
    (`supplier_taxonomies`) are not paid by this fee schedule."""

    table: str
    checks: tuple[Check, ...]
    facility_places: tuple[str, ...] = ("19", "21", "22", "23")
    supplier_taxonomies: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ("B", "I", "N", "P")


class FeeScheduleIndicatorKind(RuleKind[FeeScheduleParameters]):
    """One candidate a line and question."""

    name = "fee_schedule_indicator"
    title = "Modifiers and places against the fee schedule's indicators"
    semantics = 4  # suppliers; lines without a charge
    levels = ("line",)
    claim_types = frozenset({"professional"})
    judges_void = False
    parameters = FeeScheduleParameters
    specs = fact_specs(
        ("fee.question", "text", "bilateral, assistant, co_surgeon, team, components or status."),
        ("fee.indicator", "text", "The code's indicator of that question; unknown when no edition covers the date."),
        ("fee.modifier", "text", "The modifier the question is about, where the line carries it."),
        ("fee.units", "quantity", "Units of the line."),
        ("fee.has_side", "flag", "The line carries LT or RT besides."),
        ("fee.in_facility", "flag", "The place of service is a facility."),
        ("fee.in_surgical_center", "flag", "An ambulatory surgical center bills, for a service there."),
    )

    def check_parameters(self, parameters: FeeScheduleParameters) -> Iterator[Issue]:
        silent = sorted(set(parameters.statuses) - {letter for _, _, letters, *_ in STATUSES for letter in letters})
        if silent:
            what = f"No question is asked of status {', '.join(map(shown_code, silent))}."
            yield Issue("parameters", "/statuses", what, "Name letters among B, I, N and P.")

    def table_names(self, parameters: FeeScheduleParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def code_tables(self, parameters: FeeScheduleParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def branches(self, parameters: FeeScheduleParameters) -> tuple[Branch, ...]:
        def asks(question: str, *more: object) -> dict[str, object]:
            return {"all": [{"fact": "fee.question", "is": question}, *more]}

        def indicator(*values: str) -> dict[str, object]:
            return {"fact": "fee.indicator", "in": list(values)}

        def modifier(*values: str) -> dict[str, object]:
            return {"fact": "fee.modifier", "in": list(values)}

        line = "Line {line_number} {code}: "
        document = fix("Attach the record that shows why a second surgeon was needed", "needs_documentation")
        remove = fix("Remove the modifier, or correct the code", "needs_documentation")
        found = {
            "bilateral": (
                Branch(
                    code="bilateral.surgical_center",
                    title="Modifier 50 from an ambulatory surgical center",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("bilateral", modifier("50"), {"fact": "fee.in_surgical_center", "is": "true"}),
                    message=line + "a surgical center bills a bilateral procedure on two lines with RT and LT, not with modifier 50.",
                    fixes=(fix("Bill two lines with RT and LT", "needs_documentation"),),
                ),
                Branch(
                    code="bilateral.not_applicable",
                    title="Modifier 50 on a code that is not billed bilaterally",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("bilateral", modifier("50"), indicator("0", "2", "9")),
                    message=line + "modifier 50 does not apply (bilateral indicator {indicator}).",
                    fixes=(remove,),
                ),
                Branch(
                    code="bilateral.side_modifiers",
                    title="Modifier 50 together with LT or RT",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("bilateral", modifier("50"), {"fact": "fee.has_side", "is": "true"}),
                    message=line + "modifier 50 says both sides; LT or RT beside it contradicts it.",
                    fixes=(fix("Keep either 50 or the side", "needs_documentation"),),
                ),
                Branch(
                    code="bilateral.units",
                    title="Modifier 50 with more than one unit",
                    at="line.unit_count",
                    severity="deny_soft",
                    when=asks("bilateral", modifier("50"), {"fact": "fee.units", "more_than": "1"}),
                    message=line + "a bilateral procedure is one line with modifier 50 and one unit.",
                    fixes=(fix("Bill one unit"),),
                ),
            ),
            "assistant": (
                Branch(
                    code="assistant.not_paid",
                    title="Assistant at surgery that is not paid by statute",
                    at="line.modifiers",
                    severity="deny_hard",
                    when=asks("assistant", modifier(*ASSISTANT), indicator("1")),
                    message=line + "an assistant at surgery is not paid for this code (indicator 1).",
                    fixes=(fix("Remove the assistant's line", "not_fixable"),),
                ),
                Branch(
                    code="assistant.not_applicable",
                    title="Assistant modifier on a code that is no surgery",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("assistant", modifier(*ASSISTANT), indicator("9")),
                    message=line + "an assistant modifier does not apply to this code (indicator 9).",
                    fixes=(remove,),
                ),
                Branch(
                    code="assistant.documentation",
                    title="Assistant at surgery that needs documentation",
                    at="line.modifiers",
                    severity="warn",
                    confidence="likely",
                    when=asks("assistant", modifier(*ASSISTANT), indicator("0")),
                    message=line + "an assistant is paid only where the record shows the need (indicator 0).",
                    fixes=(document,),
                    override_reasons=("documentation_attached",),
                ),
            ),
            "co_surgeon": _surgeons("co_surgeon", "62", "co-surgeons", line, document, remove),
            "team": _surgeons("team", "66", "a surgical team", line, document, remove),
            "components": (
                Branch(
                    code="component.professional",
                    title="Modifier 26 on a code without a professional component",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("components", modifier("26"), indicator(*NO_26)),
                    message=line + "modifier 26 does not apply (PC/TC indicator {indicator}).",
                    fixes=(remove,),
                ),
                Branch(
                    code="component.technical",
                    title="Modifier TC on a code without a technical component",
                    at="line.modifiers",
                    severity="deny_soft",
                    when=asks("components", modifier("TC"), indicator("0", "2", "3", "4", "5", "6", "7", "8", "9")),
                    message=line + "modifier TC does not apply (PC/TC indicator {indicator}).",
                    fixes=(remove,),
                ),
                Branch(
                    code="component.technical_in_facility",
                    title="Technical part of a test billed by a physician in a facility",
                    at="line.place_of_service_code",
                    severity="deny_soft",
                    confidence="likely",
                    when=asks(
                        "components",
                        {"fact": "fee.in_facility", "is": "true"},
                        {"any": [{"all": [modifier("TC"), indicator("1")]}, indicator("3")]},
                    ),
                    message=line + "at place of service {place} the technical part is the facility's and is not paid to a physician.",
                    fixes=(fix("Leave the technical part to the facility's claim", "not_fixable"),),
                ),
                Branch(
                    code="component.facility_global",
                    title="Whole diagnostic test billed by a physician in a facility",
                    at="line.modifiers",
                    severity="deny_soft",
                    confidence="likely",
                    when=asks(
                        "components",
                        {"fact": "fee.modifier", "present": "false"},
                        indicator("1", "4"),
                        {"fact": "fee.in_facility", "is": "true"},
                    ),
                    message=line
                    + "at place of service {place} the technical part is the facility's; a physician bills the interpretation.",
                    fixes=(
                        fix(
                            "If only the interpretation was given, bill it: with modifier 26, or where PC/TC is 4 by the code of the interpretation",
                            "needs_documentation",
                        ),
                    ),
                ),
                Branch(
                    code="component.incident_to_in_facility",
                    title="Service incident to a physician's, in a facility",
                    at="line.place_of_service_code",
                    severity="deny_soft",
                    when=asks("components", indicator("5"), {"fact": "fee.in_facility", "is": "true"}),
                    message=line + "services incident to a physician's are not paid to the physician in a facility (PC/TC indicator 5).",
                    fixes=(fix("Leave the service to the facility's claim", "not_fixable"),),
                ),
            ),
            "status": (
                Branch(
                    code="status.patient_liable",
                    title="Not covered, and billed so",
                    at="line.modifiers",
                    severity="warn",
                    when=asks("status", indicator("N"), modifier(*LIABILITY)),
                    message=line + "the fee schedule does not cover it, and modifier {modifier} says that the patient is liable.",
                    fixes=(
                        fix("Keep the modifier only if the record has what it says (GA and GX: a signed notice)", "needs_documentation"),
                    ),
                ),
                *(
                    Branch(
                        code=f"status.{name}",
                        title=title,
                        at="line.procedure_code",
                        severity=severity,
                        when=asks("status", indicator(*letters)),
                        message=line + message,
                        fixes=(fix(label, "not_fixable" if severity == "deny_hard" else "data_entry"),),
                    )
                    for name, title, letters, severity, message, label in _statuses(parameters)
                ),
            ),
        }
        return tuple(branch for check in dict.fromkeys(parameters.checks) for branch in found[check])

    def derive(self, parameters: FeeScheduleParameters, judged: Judged) -> Iterator[Candidate]:
        if judged.view.claim.providers.billing.taxonomy_code in parameters.supplier_taxonomies:
            return
        checks = tuple(dict.fromkeys(parameters.checks))
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.table, line.date_from, of=line.code)
            for check in checks:
                carried = next((one for one in line.modifiers if one in _MODIFIERS.get(check, ())), None)
                if carried is None and check not in ("components", "status"):
                    continue
                if check == "status" and line.line.charge_amount.cents == 0:
                    continue
                value = table if isinstance(table, Unknown) else table.text_on(line.code, check, line.date_from.toordinal())
                if value is not None:
                    yield _candidate(line, check, value, carried, parameters)


def _surgeons(question: str, modifier: str, who: str, line: str, document: Fix, remove: Fix) -> tuple[Branch, ...]:
    def asks(*indicators: str) -> dict[str, object]:
        return {
            "all": [
                {"fact": "fee.question", "is": question},
                {"fact": "fee.modifier", "is": modifier},
                {"fact": "fee.indicator", "in": list(indicators)},
            ]
        }

    return (
        Branch(
            code=f"{question}.not_paid",
            title=f"Modifier {modifier} on a code that is not paid to {who}",
            at="line.modifiers",
            severity="deny_soft",
            when=asks("0", "9"),
            message=line + f"modifier {modifier} is not paid on this code (indicator {{indicator}}).",
            fixes=(remove,),
        ),
        Branch(
            code=f"{question}.documentation",
            title=f"Modifier {modifier} that needs documentation",
            at="line.modifiers",
            severity="warn",
            confidence="likely",
            when=asks("1"),
            message=line + f"modifier {modifier} is paid only where the record shows the need (indicator 1).",
            fixes=(document,),
            override_reasons=("documentation_attached",),
        ),
    )


def _statuses(parameters: FeeScheduleParameters) -> Iterator[tuple[str, str, tuple[str, ...], Severity, str, str]]:
    for name, title, letters, severity, message, label in STATUSES:
        asked = tuple(letter for letter in letters if letter in parameters.statuses)
        if asked:
            yield name, title, asked, severity, message, label


def _candidate(line: LineView, check: str, indicator: str | Unknown, carried: str | None, parameters: FeeScheduleParameters) -> Candidate:
    units = line.line.unit_count.thousandths if line.line.unit_count is not None else None
    facts: dict[str, FactValue] = {
        "fee.question": check,
        "fee.indicator": indicator,
        "fee.modifier": carried,
        "fee.units": units,
        "fee.has_side": not SIDES.isdisjoint(line.modifiers),
        "fee.in_facility": line.place_of_service in parameters.facility_places,
        "fee.in_surgical_center": parameters.bills(line),
    }
    return Candidate(
        lines=(line,),
        facts=facts,
        place=Place("line.modifiers", line.index, line.number),
        key=check,
        tell=lambda: Telling(
            params={
                "line_number": str(line.number),
                "code": line.code or "",
                "indicator": indicator if isinstance(indicator, str) else "",
                "modifier": carried or "",
                "place": line.place_of_service or "",
            },
            shown={
                "indicator": indicator if isinstance(indicator, str) else None,
                "service_date": line.date_from.isoformat() if line.date_from else None,
            },
            actual={"modifiers": list(map(shown_code, line.modifiers))},
        ),
    )
