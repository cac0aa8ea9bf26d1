"""`diagnosis_edit`: how diagnoses stand to each other and to the lines (domain.md 2.6; ICD-10-CM Official Guidelines; Medicare Code Editor).

An external cause (V00 to Y99) or a manifestation code is never listed first; a manifestation follows its etiology; codes that say why the
patient came are listed first only (Guideline I.C.21.c.16), a sequela after the condition it left (I.B.10); no diagnosis stands twice; an
Excludes1 pair stands together only when the two are unrelated (Guideline I.A.12.a), which payers that adopt it deny; Excludes2 never
matters. A diagnosis of one side contradicts a modifier of the other. Inpatient diagnoses carry a present-on-admission indicator unless
exempt. Each check is one rule.

`table`: lists of diagnoses (`manifestation` and `unacceptable_principal` of the Medicare Code Editor, `poa_exempt`, and the side a code's
title names: `right`, `left`, `bilateral`), or the Excludes1 notes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import Any, Literal

from rules_service.claim.claim import Diagnosis
from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.codes import shown_code
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import Lookups, not_in_extract
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

Check = Literal[
    "first_listed", "first_only", "sequela_first", "manifestation", "duplicate", "excludes1", "laterality", "present_on_admission"
]
INPATIENT = ("11", "12", "18", "21", "41")
POA_BILLS = ("11", "18")
_OPPOSITE = {"LT": "right", "RT": "left"}


class DiagnosisEditParameters(Parameters, frozen=True):
    """`check` is the question; `adopts_excludes1` makes an Excludes1 pair a denial rather than a warning. `codes` are the beginnings of the codes
    that are listed first only (`first_only`), `except_codes` those under them that are not, without the dot."""

    check: Check
    table: str | None = None
    adopts_excludes1: bool = False
    codes: tuple[str, ...] = ()
    except_codes: tuple[str, ...] = ()


class DiagnosisEditKind(RuleKind[DiagnosisEditParameters]):
    """One candidate a diagnosis, pair of diagnoses, or line and diagnosis in question."""

    name = "diagnosis_edit"
    title = "Diagnoses against each other and against the lines"
    semantics = 4  # what a line points to first; codes that are listed first only; sequelae; the unacceptable principal diagnosis of inpatient hospital bills only
    levels = ("claim",)
    judges_void = False
    parameters = DiagnosisEditParameters
    specs = fact_specs(
        ("diagnosis.fault", "text", "The check, where it fails; absent where it holds, unknown when its table does not cover the date.")
    )

    def check_parameters(self, parameters: DiagnosisEditParameters) -> Iterator[Issue]:
        if (parameters.check == "first_only") != bool(parameters.codes):
            what = "first_only asks about codes, and no other check does."
            yield Issue("parameters", "/codes", what, "Name the beginnings of the codes, or another check.")

    def table_names(self, parameters: DiagnosisEditParameters) -> tuple[str, ...]:
        return (parameters.table,) if parameters.table else ()

    def branches(self, parameters: DiagnosisEditParameters) -> tuple[Branch, ...]:
        common: dict[str, Any] = {"at": "diagnosis.code", "when": {"fact": "diagnosis.fault", "is": parameters.check}}
        sequence = fix("List first the condition the guidelines put first", "needs_documentation")
        both = fix("Keep the one the record supports, or show that the two are unrelated", "needs_documentation")
        every: dict[Check, Branch] = {
            "first_listed": Branch(
                code="dx.first_listed", title="Code that may not be listed first", severity="deny_soft",
                message="Diagnosis {sequence} {code} is listed first, or first for a line; an external cause or a code of this kind never is.", fixes=(sequence,), **common,
            ),
            "first_only": Branch(
                code="dx.first_only", title="Code that is listed first or not at all", severity="warn", confidence="likely",
                message="Diagnosis {sequence} {code} is a reason for the encounter: it is listed first, or first for a line.", fixes=(sequence,),
                override_reasons=("several_encounters_on_the_day",), **common,
            ),
            "sequela_first": Branch(
                code="dx.sequela_first", title="Sequela listed before the condition it left", severity="warn", confidence="likely",
                message="Diagnosis {sequence} {code} says what caused the condition treated (seventh character S); the condition is listed before it.",
                fixes=(sequence,), **common,
            ),
            "manifestation": Branch(
                code="dx.manifestation", title="Manifestation without its etiology before it", severity="deny_soft",
                message="Diagnosis {sequence} {code} is a manifestation; the condition that causes it is listed before it.", fixes=(sequence,), **common,
            ),
            "duplicate": Branch(
                code="dx.duplicate", title="Diagnosis listed twice", severity="reject",
                message="Diagnosis {sequence} {code} is listed before, as diagnosis {other}.", fixes=(fix("Remove the second one and correct the pointers"),),
                next_action="correct_claim", **common,
            ),
            "excludes1": Branch(
                code="dx.excludes1", title="Excludes1 pair", severity="deny_soft" if parameters.adopts_excludes1 else "warn",
                confidence="likely" if parameters.adopts_excludes1 else "possible",
                message="Diagnoses {other} {other_code} and {sequence} {code} exclude each other (Excludes1) unless they are unrelated.", fixes=(both,),
                override_reasons=("conditions_unrelated",), **common,
            ),
            "laterality": Branch(
                code="dx.laterality", title="Diagnosis of the other side", severity="deny_soft", confidence="likely",
                message="Line {line_number}: modifier {modifier} and diagnosis {sequence} {code} name different sides.",
                fixes=(fix("Correct the modifier or the diagnosis as the record says", "needs_documentation"),), next_action="correct_claim", **common,
            ),
            "present_on_admission": Branch(
                code="dx.present_on_admission", title="Present-on-admission indicator is missing", severity="reject",
                message="Diagnosis {sequence} {code} has no present-on-admission indicator.", fixes=(fix("Add Y, N, U or W as the record says", "needs_documentation"),),
                next_action="correct_claim", **common,
            ),
        }  # fmt: skip
        return (every[parameters.check],)

    def derive(self, parameters: DiagnosisEditParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        day = view.date_through if view.bill[:2] in INPATIENT else view.date_from
        if day is None or not view.claim.diagnoses:
            return
        found = judged.lookups.codes(parameters.table, day) if parameters.table is not None else None
        if isinstance(found, Unknown):
            yield Candidate(lines=view.lines, facts={"diagnosis.fault": found}, place=Place("claim.diagnoses"))
            return
        lists = _Lists(parameters.table, found, day, judged.lookups)
        finders = {
            "first_listed": lambda: _first_listed(view, lists),
            "first_only": lambda: _first_only(view, parameters),
            "sequela_first": lambda: _sequela_first(view),
            "manifestation": lambda: _manifestations(view, lists),
            "duplicate": lambda: _duplicates(view),
            "excludes1": lambda: _excludes(view, lists),
            "laterality": lambda: _sides(view, lists),
            "present_on_admission": lambda: _not_present(view, lists),
        }
        faults = list(finders[parameters.check]())
        yield from (_candidate(view, parameters.check, *one) for one in faults)
        if not faults or lists.unknown is not None:
            yield Candidate(lines=view.lines, facts={"diagnosis.fault": lists.unknown}, place=Place("claim.diagnoses"))


class _Lists:
    """The rule's table on a day, and whether it was asked about a diagnosis it says nothing of."""

    def __init__(self, name: str | None, table: CodeTable | None, day: date, lookups: Lookups) -> None:
        self._name, self._table, self._day, self._lookups = name or "", table, day, lookups
        self.unknown: Unknown | None = None

    def holds(self, code: str, name: str) -> bool | None:
        """Whether a list names the code; None when that is not known."""
        key = code.replace(".", "")
        if self._table is None:
            return False
        if not self._table.has_text("list", name):
            self.unknown = Unknown("reference_table_missing", f"the list {name} in {self._name}")
            return None
        if self._table.says_nothing_of(key):
            self.unknown = not_in_extract(self._name)
            return None
        return name in self._table.texts_on(key, "list", self._day.toordinal())

    def excluded(self, code: str) -> tuple[str, ...]:
        """The Excludes1 notes of a code and of the categories above it."""
        if self._table is None:
            return ()
        notes = self._lookups.once(_notes, self._name, code, self._day)
        if notes is None:
            self.unknown = not_in_extract(self._name)
        return notes or ()


def _notes(lookups: Lookups, name: str, code: str, day: date) -> tuple[str, ...] | None:
    """The Excludes1 notes of a code and its categories; None when the table is an extract that holds none of them."""
    table = lookups.codes(name, day)
    keys = [code[:length] for length in range(3, len(code) + 1)]
    if isinstance(table, Unknown) or all(map(table.says_nothing_of, keys)):
        return None
    return tuple([note for key in keys for note in sorted(table.texts_on(key, "excluded", day.toordinal()))])


Fault = tuple[int, int | None, LineView | None, str]
"""(position, position of the other diagnosis, line, modifier)."""


def _candidate(view: ClaimView, check: str, position: int, other: int | None, line: LineView | None, modifier: str) -> Candidate:
    diagnosis = view.claim.diagnoses[position]
    facts: dict[str, FactValue] = {"diagnosis.fault": check}
    second: Diagnosis | None = view.claim.diagnoses[other] if other is not None else None
    using = [one for one in view.lines if diagnosis.sequence in one.line.diagnosis_pointers] or view.lines
    if check in ("first_listed", "manifestation") and position in (at for at, _ in _pointed_first(view)):
        using = [one for one in using if one.line.diagnosis_pointers[0] == diagnosis.sequence]
    causes = (f"diagnosis:{position}", *((f"diagnosis:{other}",) if other is not None else ()))
    return Candidate(
        lines=(line,) if line is not None else using,
        facts=facts,
        place=Place("diagnosis.present_on_admission" if check == "present_on_admission" else "diagnosis.code", position),
        key=f"{position}/{other}/{line.number if line is not None else ''}",
        causes=causes,
        tell=partial(
            Telling,
            params={
                "sequence": str(diagnosis.sequence),
                "code": diagnosis.code,
                "other": str(second.sequence) if second is not None else "",
                "other_code": shown_code(second.code) if second is not None else "",
                "line_number": str(line.number) if line is not None else "",
                "modifier": modifier,
            },
            actual={"code": shown_code(diagnosis.code)},
        ),
    )


def _first(view: ClaimView) -> tuple[int, Diagnosis] | None:
    """The principal diagnosis, else the one of sequence 1."""
    listed = list(enumerate(view.claim.diagnoses))
    principal = next((one for one in listed if one[1].type == "principal"), None)
    return principal or next((one for one in listed if one[1].sequence == 1), None)


def _first_listed(view: ClaimView, lists: _Lists) -> Iterator[Fault]:
    """External causes; on an inpatient hospital bill, the only one that has a principal diagnosis (UHDDS), those of the list too."""
    first = _first(view)
    unacceptable = first is not None and view.bill.startswith("11") and lists.holds(first[1].code, "unacceptable_principal")
    if first is not None and (unacceptable or first[1].code[:1] in "VWXY"):
        yield first[0], None, None, ""
    for position, diagnosis in _pointed_first(view):
        if diagnosis.code[:1] in "VWXY":
            yield position, None, None, ""


def _pointed_first(view: ClaimView) -> Iterator[tuple[int, Diagnosis]]:
    """Diagnoses other than the claim's first that a line points to first: they are the line's principal one."""
    first = _first(view)
    leading = _leading(view)
    for position, diagnosis in enumerate(view.claim.diagnoses):
        if diagnosis.sequence in leading and (first is None or position != first[0]):
            yield position, diagnosis


def _leading(view: ClaimView) -> set[int]:
    return {line.line.diagnosis_pointers[0] for line in view.lines if line.line.diagnosis_pointers}


def _first_only(view: ClaimView, parameters: DiagnosisEditParameters) -> Iterator[Fault]:
    """Codes of the list that are secondary on the claim and the first pointer of none of its lines."""
    first = _first(view)
    leading = _leading(view)
    for position, diagnosis in enumerate(view.claim.diagnoses):
        code = diagnosis.code.replace(".", "")
        if (
            diagnosis.type not in ("principal", "secondary")
            or diagnosis.sequence in leading
            or (first is not None and position == first[0])
        ):
            continue
        if code.startswith(parameters.codes) and not code.startswith(parameters.except_codes):
            yield position, None, None, ""


def _sequela_first(view: ClaimView) -> Iterator[Fault]:
    first = _first(view)
    code = first[1].code.replace(".", "") if first is not None else ""
    if first is not None and len(code) == 7 and code[0] in "ST" and code.endswith("S"):
        yield first[0], None, None, ""


def _manifestations(view: ClaimView, lists: _Lists) -> Iterator[Fault]:
    """A manifestation listed first, or pointed to first; one later on follows whatever is before it, which the record must bear out."""
    first = _first(view)
    if first is not None and lists.holds(first[1].code, "manifestation"):
        yield first[0], None, None, ""
    for position, diagnosis in _pointed_first(view):
        if lists.holds(diagnosis.code, "manifestation"):
            yield position, None, None, ""


def _duplicates(view: ClaimView) -> Iterator[Fault]:
    seen: dict[tuple[str, bool], int] = {}
    for position, diagnosis in enumerate(view.claim.diagnoses):
        if diagnosis.type in ("admitting", "reason_for_visit"):
            continue  # these repeat another diagnosis by design
        key = (diagnosis.code, diagnosis.type == "external_cause")
        if key in seen:
            yield position, seen[key], None, ""
        seen.setdefault(key, position)


def _excludes(view: ClaimView, lists: _Lists) -> Iterator[Fault]:
    """Pairs of which one's Excludes1 note, at its own level or one above, names the other."""
    listed = [
        (position, one.code.replace(".", ""))
        for position, one in enumerate(view.claim.diagnoses)
        if one.type not in ("admitting", "reason_for_visit")
    ]
    told: set[tuple[int, int]] = set()
    for position, code in listed:
        notes = lists.excluded(code)
        for other, other_code in listed:
            pair = (min(position, other), max(position, other))
            if other != position and other_code != code and pair not in told and any(_named(note, other_code) for note in notes):
                told.add(pair)
                yield pair[1], pair[0], None, ""


def _named(note: str, code: str) -> bool:
    """Whether a note (a code or category, or a range of them) names a code or something under it."""
    first, _, last = note.partition("-")
    if not last:
        return code.startswith(first)
    return first <= code[: len(first)] and code[: len(last)] <= last


def _sides(view: ClaimView, lists: _Lists) -> Iterator[Fault]:
    for line in view.lines:
        modifiers = [one for one in line.modifiers if one in _OPPOSITE]
        if len(modifiers) != 1:
            continue
        used = set(line.line.diagnosis_pointers)
        pointed = [(position, one) for position, one in enumerate(view.claim.diagnoses) if one.sequence in used]
        sides = {position: side for position, one in pointed for side in ("right", "left", "bilateral") if lists.holds(one.code, side)}
        # One diagnosis of the right side, or of both, is enough: the others are for something else.
        if sides and all(side == _OPPOSITE[modifiers[0]] for side in sides.values()):
            yield min(sides), None, line, modifiers[0]


def _not_present(view: ClaimView, lists: _Lists) -> Iterator[Fault]:
    if view.bill[:2] not in POA_BILLS:
        return
    for position, diagnosis in enumerate(view.claim.diagnoses):
        given = diagnosis.present_on_admission
        if diagnosis.type in ("admitting", "reason_for_visit") or given in ("Y", "N", "U", "W"):
            continue
        # An exempt code is sent without an indicator; 1 said so before 5010 (CR 7024).
        if given or lists.holds(diagnosis.code, "poa_exempt") is False:
            yield position, None, None, ""
