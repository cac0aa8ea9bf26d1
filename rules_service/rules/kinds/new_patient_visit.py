"""`new_patient_visit`: a visit billed as a new patient's (CPT definition; Pub 100-04 ch. 12 s. 30.6.7).

A patient is new when no physician of the same group and specialty gave a professional service face to face within three years. Earlier
claims must be known; an earlier claim that the payer does not have is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial

from rules_service.claim.context import HistoryEntry
from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.dates import add_years
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import relevant_history
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners, ProviderScope

FACE_TO_FACE = frozenset({"evaluation", "new_patient", "procedure"})
"""Classes of codes for services given face to face."""


class NewPatientParameters(Parameters, frozen=True):
    """`code_classes` names the visits of new patients (class `new_patient`); `roster` states specialties that claims leave out."""

    code_classes: str
    years: int = 3
    provider_scope: ProviderScope = "billing_npi_and_specialty"
    roster: str | None = None


class NewPatientVisitKind(RuleKind[NewPatientParameters]):
    """One candidate a visit of a new patient."""

    name = "new_patient_visit"
    semantics = 3  # practitioners whose specialty nobody states; earlier lines of the claim; earlier services of which it is not known whose they are
    title = "New patients"
    levels = ("line",)
    claim_types = frozenset({"professional"})
    judges_void = False
    parameters = NewPatientParameters
    specs = fact_specs(
        ("patient.seen_before", "flag", "The group's specialty saw the patient within the years; unknown when history was not supplied.")
    )

    def table_names(self, parameters: NewPatientParameters) -> tuple[str, ...]:
        return (parameters.code_classes, *filter(None, (parameters.roster,)))

    def code_tables(self, parameters: NewPatientParameters) -> tuple[str, ...]:
        return (parameters.code_classes,)

    def branches(self, parameters: NewPatientParameters) -> tuple[Branch, ...]:
        return (
            Branch(
                code="visit.not_new",
                title="Visit of a new patient who was seen before",
                at="line.procedure_code",
                severity="deny_soft",
                when={"fact": "patient.seen_before", "is": "true"},
                message="Line {line_number} {code} is for a new patient; the practitioner, or the group in that specialty, saw the patient on {seen}.",
                fixes=(fix("Bill the visit of an established patient that the record supports", "needs_documentation"),),
                next_action="correct_claim",
                override_reasons=("different_specialty_documented",),
            ),
        )

    def derive(self, parameters: NewPatientParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.code_classes, line.date_from)
            if isinstance(table, Unknown):
                yield Candidate(lines=(line,), facts={"patient.seen_before": table})
                return
            day = line.date_from.toordinal()
            if "new_patient" not in table.texts_on(line.code, "class", day):
                continue
            history = relevant_history(judged.view)
            whose = Practitioners(parameters.provider_scope, judged.lookups, parameters.roster)
            earlier = (None, history) if isinstance(history, Unknown) else self._seen(parameters, whose, line, history, table)
            on_claim = self._seen_on_claim(whose, line, table)
            seen = max((day for day, _ in (earlier, on_claim) if day is not None), default=None)
            known: FactValue = True if seen is not None else on_claim[1] or earlier[1] or False
            yield Candidate(
                lines=(line,),
                facts={"patient.seen_before": known},
                place=Place("line.procedure_code", line.index, line.number),
                tell=partial(
                    Telling,
                    params={"line_number": str(line.number), "code": line.code, "seen": seen.isoformat() if seen else ""},
                    shown={"last_seen": seen.isoformat() if seen else None},
                ),
            )

    def _seen(
        self, parameters: NewPatientParameters, whose: Practitioners, line: LineView, history: tuple[HistoryEntry, ...], table: CodeTable
    ) -> tuple[date | None, Unknown | None]:
        """The last day within the years on which the group's specialty saw the patient face to face; what is not known of it.

        A code of another class, such as a laboratory test, is no visit; of a code without a class it is not known.
        """
        day = line.date_from or date.max
        last: date | None = None
        unsure: Unknown | None = None
        for entry in history:
            on, code = entry.line.service_from, entry.line.procedure_code
            if on is None or code is None or not on < day <= add_years(on, parameters.years):
                continue
            same, classes = whose.same_as_earlier(line, entry.line), _classes(table, code)
            if same is False or (classes and not classes & FACE_TO_FACE):
                continue
            if same is None:
                unsure = WHO_RENDERED_EARLIER
            elif classes:
                last = max(last or on, on)
            else:
                unsure = Unknown("context_not_supplied", "context.history: whether an earlier service was face to face")
        return last, unsure

    def _seen_on_claim(self, whose: Practitioners, line: LineView, table: CodeTable) -> tuple[date | None, Unknown | None]:
        """The last earlier day on which the claim itself has such a service; whether another may be."""
        day = line.date_from or date.min
        before = [
            (whose.same(line, other), other.date_from)
            for other in line.view.lines
            if other.date_from is not None
            and other.date_from < day
            and other.code is not None
            and _classes(table, other.code) & FACE_TO_FACE
        ]
        last = max((on for same, on in before if same), default=None)
        return last, SPECIALTY_NOT_KNOWN if any(same is None for same, _ in before) else None


def _classes(table: CodeTable, code: str) -> set[str]:
    return {str(row.values[table.column("class")]) for row in table.rows_of(code)}
