"""`payment_status`: whether the hospital outpatient prospective payment system pays a code on this bill.

The status indicator of Addendum B (42 CFR 419; Pub 100-04 ch. 4 s. 10.1.1 and Addendum D1). C is paid to inpatients only; B is not recognised on an
outpatient hospital bill, where another code says the same; E1 is covered by no outpatient benefit, E2 has no price; M is not billable to the
contractor; Y is equipment that the DME contractor pays. All other letters are paid, packaged, or paid under another schedule. Lines that are
billed for their denial (GA, GX, GY, GZ, charges that are not covered, condition codes 20 and 21) are not asked; CA says of an inpatient
procedure that the patient died before an admission.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.locations import Place
from rules_service.facts.view import LineView
from rules_service.findings.finding import Severity
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

STATUSES: dict[str, tuple[str, str, Severity, str, str]] = {
    "status.inpatient_only": ("C", "Procedure that is paid to inpatients only", "deny_soft", "it is paid to inpatients only", "Bill it on the stay if the patient was admitted, with CA if the patient died before; otherwise it is not paid"),
    "status.not_recognized": ("B", "Code that outpatient hospital bills do not take", "reject", "outpatient hospital bills take another code for it", "Bill the code that the payment system takes for this service"),
    "status.not_covered": ("E1", "Code that is not covered", "deny_hard", "the outpatient benefit does not cover it", "Not covered: tell the patient before the service"),
    "status.not_priced": ("E2", "Code without a price", "deny_hard", "it has no price and is not paid", "Not paid: ask the contractor before the service"),
    "status.not_valid": ("M", "Code that is not billed to the contractor", "deny_soft", "it is not billed to this contractor", "Bill the code the payer uses"),
    "wrong.payer": ("Y", "Equipment that the DME contractor pays", "deny_soft", "equipment is billed to the DME contractor", "Bill the DME contractor, by the supplier's enrolment"),
}  # fmt: skip
"""Finding: its status, title, severity, what is said, and the way out."""
ASKED_DENIAL = frozenset({"GA", "GX", "GY", "GZ"})
BILLED_FOR_DENIAL = frozenset({"20", "21"})
"""Condition codes: the patient asked for the bill; a denial is needed for another payer (Pub 100-04 ch. 1 s. 60)."""
DIED_BEFORE_ADMISSION = "CA"


class PaymentStatusParameters(Parameters, frozen=True):
    """`table` is Addendum B; `statuses` the letters that are asked about."""

    table: str
    statuses: tuple[str, ...] = ("B", "C", "E1", "E2", "M", "Y")


class PaymentStatusKind(RuleKind[PaymentStatusParameters]):
    """One candidate a line with a code."""

    name = "payment_status"
    title = "Codes the outpatient prospective payment system does not pay"
    levels = ("line",)
    claim_types = frozenset({"institutional"})
    judges_void = False
    parameters = PaymentStatusParameters
    specs = fact_specs(
        ("status.indicator", "text", "The status indicator of the code; absent when the list does not have it, unknown without the list."),
        ("status.excepted", "flag", "The line is billed for its denial, or the patient died before an admission."),
    )

    def check_parameters(self, parameters: PaymentStatusParameters) -> Iterator[Issue]:
        known = {status for status, *_ in STATUSES.values()}
        if not parameters.statuses or not known.issuperset(parameters.statuses):
            yield Issue(
                "parameters", "/statuses", "Something is asked about some statuses only.", f"Name some of {', '.join(sorted(known))}."
            )

    def table_names(self, parameters: PaymentStatusParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def branches(self, parameters: PaymentStatusParameters) -> tuple[Branch, ...]:
        found = []
        for code, (status, title, severity, said, way) in STATUSES.items():
            if status in parameters.statuses:
                found.append(
                    Branch(
                        code=code,
                        title=title,
                        at="line.procedure_code",
                        severity=severity,
                        confidence="likely",
                        when={"all": [{"fact": "status.indicator", "is": status}, {"fact": "status.excepted", "is": "false"}]},
                        message=f"Line {{line_number}} {{code}}: {said} (status {{indicator}}).",
                        fixes=(fix(way, "not_fixable" if severity == "deny_hard" else "needs_documentation"),),
                        next_action="correct_claim",
                        override_reasons=("payer_confirmed",),
                    )
                )
        return tuple(found)

    def derive(self, parameters: PaymentStatusParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.table, line.date_from, of=line.code)
            indicator = None if isinstance(table, Unknown) else table.text_on(line.code, "status", line.date_from.toordinal())
            died = indicator == "C" and DIED_BEFORE_ADMISSION in line.modifiers
            yield Candidate(
                lines=(line,),
                facts={
                    "status.indicator": table if isinstance(table, Unknown) else indicator,
                    "status.excepted": died or _is_billed_for_denial(line),
                },
                place=Place("line.procedure_code", line.index, line.number),
                tell=partial(
                    Telling,
                    params={"line_number": str(line.number), "code": line.code, "indicator": indicator or ""},
                    shown={"indicator": indicator, "service_date": line.date_from.isoformat()},
                ),
            )


def _is_billed_for_denial(line: LineView) -> bool:
    noncovered = line.line.noncovered_amount
    return (
        not ASKED_DENIAL.isdisjoint(line.modifiers)
        or not BILLED_FOR_DENIAL.isdisjoint(line.claim.condition_codes)
        or (noncovered is not None and noncovered.cents >= line.line.charge_amount.cents > 0)
    )
