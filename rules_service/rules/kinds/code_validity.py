"""`code_validity`: codes valid, and billable, on the date of service; diagnosis pointers that point to something.

ICD-10-CM Official Guidelines I.B.2 (highest specificity); 45 CFR 162.1000 (code set valid at the time of service).
Editions carry a row a code with its dates and whether it is billable; a category that is only a header is "unspecified length".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.derived import HIPPS_LINES, is_trip
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.codes import diagnosis_shape_is_valid, shown_code
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs
from rules_service.rules.kinds.code_branches import CLAIM_FIELDS, LINE_CODES, code_branches

ICD10_FIRST_DAY = date(2015, 10, 1)
MAX_CANDIDATES = 6


class CodeValidityParameters(Parameters, frozen=True):
    """What is checked, against which table. `starts_with` limits procedure checks to the codes the table is complete for. `dated_table` has dates
    for some of the codes that `table` lists without."""

    subject: Literal[
        "diagnosis",
        "pointer",
        "procedure",
        "place_of_service",
        "modifier",
        "revenue",
        "condition",
        "occurrence",
        "value",
        "inpatient_procedure",
        "adjustment",
    ]
    table: str | None = None
    dated_table: str | None = None
    starts_with: tuple[str, ...] = ()


class CodeValidityKind(RuleKind[CodeValidityParameters]):
    """One candidate a diagnosis and earliest use, a pointer, or a coded value of a line."""

    name = "code_validity"
    semantics = 3  # modifiers by date; origin and destination of an ambulance trip are modifiers
    title = "Codes valid on the date of service"
    levels = ("claim", "line")
    judges_void = False
    parameters = CodeValidityParameters
    specs = fact_specs(
        (
            "code.state",
            "text",
            "valid, header (needs more characters), not_on_date, unknown_code or bad_shape; unknown when no edition covers the date.",
        ),
        ("code.pointer_exists", "flag", "The diagnosis the pointer names is on the claim."),
        (
            "code.subject",
            "text",
            "What the rule asks about: diagnosis, pointer, procedure, place_of_service, modifier, revenue, condition, occurrence, value, inpatient_procedure or adjustment.",
        ),
    )

    def table_names(self, parameters: CodeValidityParameters) -> tuple[str, ...]:
        return tuple(name for name in (parameters.table, parameters.dated_table) if name)

    def branches(self, parameters: CodeValidityParameters) -> tuple[Branch, ...]:
        return code_branches(parameters.subject)

    def derive(self, parameters: CodeValidityParameters, judged: Judged) -> Iterator[Candidate]:
        if parameters.subject == "pointer":
            yield from self._pointers(judged)
        elif parameters.subject == "diagnosis":
            yield from self._diagnoses(parameters, judged)
        elif parameters.subject in CLAIM_FIELDS:
            if judged.has_first_line:
                yield from _of_claim(parameters, judged)
        else:
            good: list[LineView] = []
            for line in judged.lines:
                for slot, code in _line_codes(parameters, line):
                    state = _state_of(parameters, judged, code, line.date_from, "service_lines.service_from")
                    if state == "valid":
                        good.append(line)
                    else:
                        yield self._line_code(parameters, judged, line, code, slot, state)
            if good:
                yield Candidate(lines=good, facts=_facts(parameters.subject, "valid"))

    def _pointers(self, judged: Judged) -> Iterator[Candidate]:
        if judged.view.claim.claim_type == "institutional":
            return
        known = judged.view.diagnosis_by_sequence
        good: list[LineView] = []
        for line in judged.lines:
            missing = [pointer for pointer in line.line.diagnosis_pointers if pointer not in known]
            if not missing and line.line.diagnosis_pointers:
                good.append(line)
            for pointer in missing:
                yield Candidate(
                    lines=(line,),
                    place=Place("line.diagnosis_pointers", line.index, line.number),
                    key=str(pointer),
                    facts=_facts("pointer", None, False),
                    tell=partial(
                        Telling,
                        params={"line_number": str(line.number), "pointer": str(pointer)},
                        expected={"pointers_among": sorted(known)},
                        actual={"pointer": pointer},
                    ),
                )
        if good:
            yield Candidate(lines=good, facts=_facts("pointer", None, True))

    def _diagnoses(self, parameters: CodeValidityParameters, judged: Judged) -> Iterator[Candidate]:
        """One candidate a diagnosis and day of the lines that use it: the code set of each day of service counts."""
        view, good = judged.view, False
        coded_on = {line.index: _diagnosis_day(view, line) for line in view.lines}
        for position, diagnosis in enumerate(view.claim.diagnoses):
            using = [line for line in view.lines if diagnosis.sequence in line.line.diagnosis_pointers] or view.lines
            for day in dict.fromkeys([coded_on[line.index] for line in using]):
                state = self._diagnosis_state(parameters, judged, diagnosis.code, day)
                if state == "valid":
                    good = True
                    continue
                lines = [line for line in using if coded_on[line.index] == day]
                yield self._diagnosis(parameters, judged, position, lines, day, state)
        if good:
            yield Candidate(lines=view.lines, facts=_facts("diagnosis", "valid"))

    def _diagnosis_state(self, parameters: CodeValidityParameters, judged: Judged, code: str, day: date | None) -> FactValue:
        if day is not None and not diagnosis_shape_is_valid(code):
            return "bad_shape" if day >= ICD10_FIRST_DAY else Unknown("reference_edition_out_of_range", "an ICD-9-CM edition")
        return _state_of(parameters, judged, code.replace(".", ""), day, "service_lines.service_from")

    def _diagnosis(
        self,
        parameters: CodeValidityParameters,
        judged: Judged,
        position: int,
        lines: list[LineView],
        day: date | None,
        state: FactValue,
    ) -> Candidate:
        """A diagnosis that is not valid on a day; the valid ones have one candidate together."""
        diagnosis = judged.view.claim.diagnoses[position]
        table = judged.lookups.codes(parameters.table or "", day) if day is not None and state != "bad_shape" else None
        bare = diagnosis.code.replace(".", "")
        found = _billable(table, bare, day) if isinstance(table, CodeTable) and day is not None else []
        text = ", ".join(f"{key[:3]}.{key[3:]}" if len(key) > 3 else key for key in found[:MAX_CANDIDATES])
        shown = day.isoformat() if day else ""
        return Candidate(
            lines=lines,
            place=Place("diagnosis.code", position),
            causes=(f"diagnosis:{position}",),
            facts=_facts("diagnosis", state),
            tell=lambda: Telling(
                params={
                    "sequence": str(diagnosis.sequence),
                    "code": diagnosis.code,
                    "date": shown,
                    "more": _more(bare, found),
                    "candidates": f" Candidates: {text}." if text else "",
                },
                shown={"service_date": shown or None},
                expected={"candidates": text.split(", ")} if text else {},
                actual={"code": shown_code(diagnosis.code)},
            ),
        )

    def _line_code(
        self, parameters: CodeValidityParameters, judged: Judged, line: LineView, code: str, slot: int | None, state: FactValue
    ) -> Candidate:
        """A coded value of a line that is not valid, and where it stands in a list of them; the valid ones have one candidate together."""
        place = Place(LINE_CODES[parameters.subject][0], line.index, line.number, slot)
        if parameters.subject == "place_of_service" and line.line.place_of_service_code is None:
            place = Place("claim.place_of_service_code")
        return Candidate(
            lines=(line,),
            place=place,
            facts=_facts(parameters.subject, state),
            tell=lambda: Telling(
                params={
                    "line_number": str(line.number),
                    "code": code,
                    "date": line.date_from.isoformat() if line.date_from else "",
                    "dates": _dates_of(parameters, judged, code, line.date_from),
                },
                shown={"service_date": line.date_from.isoformat() if line.date_from else None},
                actual={"code": shown_code(code)},
            ),
        )


def _facts(subject: str, state: FactValue, pointer_exists: bool | None = None) -> dict[str, FactValue]:
    return {"code.subject": subject, "code.state": state, "code.pointer_exists": pointer_exists}


def _state_of(parameters: CodeValidityParameters, judged: Judged, code: str, day: date | None, supply: str) -> FactValue:
    """What the rule's table says of a code on a day; `supply` names what gives the day, where there is none."""
    if day is None:
        return Unknown("service_date_missing", supply)
    return judged.lookups.once(_state_by_tables, parameters.table, parameters.dated_table, code, day)


def _state_by_tables(lookups: Lookups, table_name: str | None, dated_table: str | None, code: str, day: date) -> FactValue:
    dated = lookups.codes(dated_table, day) if dated_table is not None else None
    if isinstance(dated, CodeTable) and dated.rows_of(code):
        return _state(dated, code, day)
    table = lookups.codes(table_name or "", day, of=code)
    state = table if isinstance(table, Unknown) else _state(table, code, day)
    # The modifiers of CPT are numbers, those of HCPCS Level II are not: without its table their dates are not known.
    return dated if isinstance(dated, Unknown) and state == "valid" and not code.isdigit() else state


def _dates_of(parameters: CodeValidityParameters, judged: Judged, code: str, day: date | None) -> str:
    """When a code that is not in effect on a day was, or will be; nothing of one that never was."""
    for name in (parameters.dated_table, parameters.table):
        table = judged.lookups.codes(name, day) if name is not None and day is not None else None
        rows = table.rows_of(code) if isinstance(table, CodeTable) else []
        if rows and day is not None:
            ended = max((row.last_day for row in rows if row.last_day < day.toordinal()), default=None)
            begins = min((row.first_day for row in rows if row.first_day > day.toordinal()), default=None)
            if ended is not None:
                return f" It ended on {date.fromordinal(ended).isoformat()}."
            return f" It begins on {date.fromordinal(begins).isoformat()}." if begins is not None else ""
    return ""


def _of_claim(parameters: CodeValidityParameters, judged: Judged) -> Iterator[Candidate]:
    """One candidate a coded value of the claim that is not in effect on its day, one for all that are."""
    view, good = judged.view, False
    for code, day in _claim_codes(parameters.subject, view):
        state = _state_of(parameters, judged, code, day, "institutional.statement_through")
        if state == "valid":
            good = True
            continue
        shown = shown_code(code.rpartition(":")[2])
        yield Candidate(
            lines=view.lines,
            amount=view.total_at_risk,
            place=Place(CLAIM_FIELDS[parameters.subject][0]),
            key=code,
            facts=_facts(parameters.subject, state),
            tell=partial(
                Telling,
                params={"code": shown, "date": day.isoformat() if day else ""},
                shown={"service_date": day.isoformat() if day else None},
                actual={"code": shown},
            ),
        )
    if good:
        yield Candidate(lines=view.lines, facts=_facts(parameters.subject, "valid"))


def _claim_codes(subject: str, view: ClaimView) -> list[tuple[str, date | None]]:
    """The distinct values with the day they are asked for: an inpatient procedure that of its own date, another payer's adjustment that of its
    answer, the rest that of discharge."""
    bill = view.claim.institutional
    codes: tuple[str, ...] = ()
    if subject == "adjustment":
        return list(dict.fromkeys(_adjustments(view)))
    if subject == "condition":
        codes = view.claim.condition_codes
    elif bill is not None and subject == "inpatient_procedure":
        return list(dict.fromkeys((one.code, one.date or view.date_through) for one in bill.procedures))
    elif bill is not None and subject == "occurrence":
        codes = (*(one.code for one in bill.occurrence_codes), *(one.code for one in bill.occurrence_spans))
    elif bill is not None:
        codes = tuple(one.code for one in bill.value_codes)
    return [(code, view.date_through) for code in dict.fromkeys(codes)]


def _adjustments(view: ClaimView) -> Iterator[tuple[str, date]]:
    """Group and reason codes of every CAS, as the list of remittance codes names them, with the day the payer answered, else that of receipt."""
    of_claim = [(one.adjudication_date, one.adjustments) for one in view.claim.other_payers]
    of_lines = [(one.date, one.adjustments) for line in view.claim.service_lines for one in line.prior_adjudication]
    for day, adjustments in (*of_claim, *of_lines):
        for one in adjustments:
            yield f"GROUP:{one.group_code}", day or view.received_date
            yield f"CARC:{one.carc}", day or view.received_date


def _line_codes(parameters: CodeValidityParameters, line: LineView) -> list[tuple[int | None, str]]:
    """The values of a line that are asked about, each with its position where the field is a list."""
    asked = parameters.starts_with or ("",)
    if parameters.subject == "modifier":
        return [(slot, code) for slot, code in enumerate(line.modifiers) if code.startswith(asked) and not is_trip(line, code)]
    if parameters.subject == "place_of_service":
        code = line.place_of_service if line.claim.claim_type != "institutional" else None
    elif parameters.subject == "revenue":
        code = line.line.revenue_code
    else:
        code = line.code if line.line.revenue_code not in HIPPS_LINES else None
    return [(None, code)] if code and code.startswith(asked) else []


def _diagnosis_day(view: ClaimView, line: LineView) -> date | None:
    """Inpatient claims are coded as of the through date (type of bill 11x, 18x, 21x, 41x), everything else as of the service."""
    return view.date_through if view.bill[:2] in ("11", "18", "21", "41") else line.date_from


def _state(table: CodeTable, code: str, day: date) -> str:
    entry = table.on(code, day.toordinal())
    if entry is None:
        return "not_on_date" if table.rows_of(code) else "unknown_code"
    if "billable" not in table.columns or entry.values[table.column("billable")] == 1:
        return "valid"
    # A code that was billable once and is a category now was deleted as a code; a category that always was one is too short.
    was_billable = any(
        earlier.values[table.column("billable")] == 1 and earlier.first_day < entry.first_day for earlier in table.rows_of(code)
    )
    return "not_on_date" if was_billable else "header"


def _billable(table: CodeTable, bare: str, day: date) -> list[str]:
    """Billable codes in effect that begin with the code, or with its category when it is not in the table at all."""
    found = table.starting_with(bare, day.toordinal(), 200)
    return [entry.key for entry in found if "billable" not in table.columns or entry.values[table.column("billable")] == 1]


def _more(bare: str, billable: list[str]) -> str:
    """How many characters a code lacks, by the billable ones that begin with it."""
    lacking = sorted({len(key) - len(bare) for key in billable})
    if not lacking:
        return ""
    many = str(lacking[0]) if len(lacking) == 1 else f"{lacking[0]} to {lacking[-1]}"
    return f" ({many} more character{'' if lacking == [1] else 's'})"
