"""`age_sex`: diagnoses and procedures that fit only some ages or one sex (CMS Medicare Code Editor; domain.md 2.6 and 2.7).

Age is that on the first day of service, in completed years; someone born on 29 February completes a year on 1 March of a common year.
CMS switched its own sex edits off from October 2024, so a rule that asks for sex is a payer's choice, warns unless it says otherwise, and
honours condition code 45 (institutional) and modifier KX (professional).

`table` lists codes with `age_from`, `age_through` (years, both inclusive, empty for none) and `sex` (F, M or empty).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Severity
from rules_service.primitives.dates import age_in_years
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

LIMIT_COLUMNS = ("age_from", "age_through", "sex")


class AgeSexParameters(Parameters, frozen=True):
    """`subject` is whose codes are looked up, `checks` what is compared."""

    table: str
    subject: Literal["diagnosis", "procedure"]
    checks: tuple[Literal["age", "sex"], ...] = ("age",)
    exempt_modifiers: tuple[str, ...] = ("KX",)
    exempt_condition_codes: tuple[str, ...] = ("45",)
    sex_severity: Severity | None = None


class AgeSexKind(RuleKind[AgeSexParameters]):
    """One candidate a code and check."""

    name = "age_sex"
    title = "Codes for an age or a sex"
    levels = ("line",)
    judges_void = False
    parameters = AgeSexParameters
    specs = fact_specs(
        ("limit.check", "text", "age or sex."),
        ("limit.fits", "flag", "The patient's age or sex fits; unknown when it was not given."),
        ("limit.exempt", "flag", "KX or condition code 45 says that the sex was verified."),
    )

    def table_names(self, parameters: AgeSexParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def code_tables(self, parameters: AgeSexParameters) -> tuple[str, ...]:
        return (parameters.table,) if parameters.subject == "procedure" else ()

    def branches(self, parameters: AgeSexParameters) -> tuple[Branch, ...]:
        word, at = ("dx", "diagnosis.code") if parameters.subject == "diagnosis" else ("proc", "line.procedure_code")
        wrong = {"fact": "limit.fits", "is": "false"}
        what = "Diagnosis {code}" if parameters.subject == "diagnosis" else "Line {line_number} {code}"
        found = {
            "age": (
                Branch(
                    code=f"age.{word}",
                    title="Code that does not fit the patient's age",
                    at=at,
                    severity="deny_soft",
                    when={"all": [{"fact": "limit.check", "is": "age"}, wrong]},
                    message=what + " is for patients {expected}; the age on the day of service does not fit.",
                    fixes=(fix("Check the date of birth, then the code"),),
                    owner_role="front_office",
                    next_action="correct_claim",
                ),
            ),
            "sex": (
                Branch(
                    code=f"sex.{word}.exempt",
                    title="Sex verified",
                    when={"all": [{"fact": "limit.check", "is": "sex"}, wrong, {"fact": "limit.exempt", "is": "true"}]},
                    bypassed=True,
                    bypassed_by="sex_verified",
                ),
                Branch(
                    code=f"sex.{word}",
                    title="Code that does not fit the patient's sex",
                    at=at,
                    severity=parameters.sex_severity or "warn",
                    confidence="possible",
                    when={"all": [{"fact": "limit.check", "is": "sex"}, wrong]},
                    message=what + " is for patients of the other sex.",
                    fixes=(
                        fix("Check the sex on the claim, then the code"),
                        fix("If both are right, send KX (professional) or condition code 45 (institutional)", "needs_documentation"),
                    ),
                    owner_role="front_office",
                    override_reasons=("sex_verified",),
                ),
            ),
        }
        return tuple(branch for check in dict.fromkeys(parameters.checks) for branch in found[check])

    def derive(self, parameters: AgeSexParameters, judged: Judged) -> Iterator[Candidate]:
        told: set[str] = set()
        for line in judged.lines:
            if line.date_from is None:
                continue
            codes = _diagnoses(line) if parameters.subject == "diagnosis" else [(line.code, None)] if line.code else []
            for code, position in codes:
                if code in told and parameters.subject == "diagnosis":
                    continue
                key = code.replace(".", "")
                table = judged.lookups.codes(parameters.table, line.date_from, of=key)
                if isinstance(table, Unknown):
                    yield Candidate(lines=(line,), facts={"limit.check": parameters.checks[0], "limit.fits": table, "limit.exempt": False})
                    break
                entry = table.on(key, line.date_from.toordinal())
                if entry is not None:
                    told.add(code)
                    yield from _candidates(parameters, line, code, position, table, entry)


def _diagnoses(line: LineView) -> list[tuple[str, int | None]]:
    used = set(line.diagnosis_codes) or {one.code for one in line.claim.diagnoses}
    return [(one.code, position) for position, one in enumerate(line.claim.diagnoses) if one.code in used]


def _candidates(
    parameters: AgeSexParameters, line: LineView, code: str, position: int | None, table: CodeTable, entry: Entry
) -> Iterator[Candidate]:
    lowest, highest, sex = (str(entry.values[table.column(name)]) for name in LIMIT_COLUMNS)
    person = line.claim.patient or line.claim.subscriber
    exempt = bool(
        set(parameters.exempt_modifiers) & set(line.modifiers) or set(parameters.exempt_condition_codes) & set(line.claim.condition_codes)
    )
    place = Place("line.procedure_code", line.index, line.number) if position is None else Place("diagnosis.code", position)
    for check in dict.fromkeys(parameters.checks):
        fits: FactValue
        if check == "age" and (lowest or highest):
            fits = _age_fits(line, lowest, highest)
        elif check == "sex" and sex:
            fits = person.sex == sex if person.sex in ("F", "M") else Unknown("context_not_supplied", "subscriber.sex")
        else:
            continue
        expected = f"from {lowest or '0'} to {highest} years" if highest else f"of {lowest} years or more"
        yield Candidate(
            lines=(line,),
            place=place,
            key=f"{check}/{code}",
            causes=(f"diagnosis:{position}",) if position is not None else (),
            facts={"limit.check": check, "limit.fits": fits, "limit.exempt": exempt},
            tell=partial(
                Telling,
                params={"line_number": str(line.number), "code": code, "expected": expected},
                expected={"age_from": lowest or None, "age_through": highest or None} if check == "age" else {"sex": sex},
            ),
        )


def _age_fits(line: LineView, lowest: str, highest: str) -> bool | Unknown:
    born = (line.claim.patient or line.claim.subscriber).birth_date
    if born is None or line.date_from is None:
        return Unknown("context_not_supplied", "subscriber.birth_date")
    age = age_in_years(born, line.date_from)
    return (not lowest or age >= int(lowest)) and (not highest or age <= int(highest))
