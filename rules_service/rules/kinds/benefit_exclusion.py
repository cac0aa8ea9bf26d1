"""`benefit_exclusion`: services a plan does not cover, or covers only with records attached (domain.md 2.8, 2.10).

Rows of a table with dates and conditions: `rule` is `excluded` (the benefit does not include it), `investigational`, `other_code` (the payer
wants another code) or `documentation` (the claim is not adjudicated without the attachment, PWK).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.conditional_rows import CONDITION_COLUMNS, row_for

ROW_COLUMNS = ("rule", "document", *CONDITION_COLUMNS)
RULES = ("covered", "excluded", "investigational", "other_code", "documentation")
"""`covered` takes a narrower case out of a wider exclusion."""


class BenefitExclusionParameters(Parameters, frozen=True):
    """`table` is a pack table of kind `benefit_rules`. `notice_modifiers` say that the patient was told and accepts to pay."""

    table: str
    notice_modifiers: tuple[str, ...] = ("GA", "GX", "GY")


class BenefitExclusionKind(RuleKind[BenefitExclusionParameters]):
    """One candidate a line whose code the table names."""

    name = "benefit_exclusion"
    title = "Services a plan excludes, or pays with records only"
    levels = ("line",)
    judges_void = False
    parameters = BenefitExclusionParameters
    specs = fact_specs(
        ("benefit.rule", "text", "covered, excluded, investigational, other_code or documentation."),
        ("benefit.notice_given", "flag", "A modifier says that the patient was told before the service."),
        ("benefit.attachment_present", "flag", "An attachment (PWK) is announced for the claim or the line."),
    )

    def table_names(self, parameters: BenefitExclusionParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def code_tables(self, parameters: BenefitExclusionParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def branches(self, parameters: BenefitExclusionParameters) -> tuple[Branch, ...]:
        def rule(*values: str) -> dict[str, object]:
            return {"fact": "benefit.rule", "in": list(values)}

        line = "Line {line_number} {code}: "
        return (
            Branch(
                code="benefit.patient_liable",
                title="Not covered, and the patient was told",
                at="line.procedure_code",
                severity="warn",
                category="clinical",
                when={"all": [rule("excluded", "investigational"), {"fact": "benefit.notice_given", "is": "true"}]},
                message=line + "the plan does not cover it; the notice on file lets the patient be billed.",
                fixes=(fix("Keep the signed notice", "needs_documentation"),),
            ),
            Branch(
                code="benefit.excluded",
                title="Service the plan excludes",
                at="line.procedure_code",
                severity="deny_hard",
                category="payer_specific",
                when=rule("excluded"),
                message=line + "the plan excludes this service on this date.",
                fixes=(fix("Not covered: bill the patient only with a notice given before the service", "not_fixable"),),
                override_reasons=("payer_confirmed",),
            ),
            Branch(
                code="benefit.investigational",
                title="Service the payer holds to be investigational",
                at="line.procedure_code",
                severity="deny_soft",
                category="clinical",
                when=rule("investigational"),
                message=line + "the payer holds this service to be investigational.",
                fixes=(fix("Ask for an exception with the record before billing", "needs_payer_contact"),),
                override_reasons=("payer_confirmed",),
            ),
            Branch(
                code="benefit.other_code",
                title="The payer wants another code",
                at="line.procedure_code",
                severity="deny_soft",
                category="payer_specific",
                when=rule("other_code"),
                message=line + "the payer takes another code for this service.{document}",
                fixes=(fix("Bill the code the payer takes"),),
                next_action="correct_claim",
            ),
            Branch(
                code="doc.required",
                title="Service that is not paid without a document",
                at="claim.attachments",
                severity="deny_soft",
                category="administrative",
                when={"all": [rule("documentation"), {"fact": "benefit.attachment_present", "is": "false"}]},
                message=line + "the payer asks for a document with the claim.{document}",
                fixes=(fix("Attach the document and announce it (PWK)", "needs_documentation"),),
                next_action="attach_documentation",
                override_reasons=("documentation_attached",),
            ),
        )

    def derive(self, parameters: BenefitExclusionParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.table, line.date_from)
            row = table if isinstance(table, Unknown) else row_for(table, line)
            if row is None:
                continue
            document = ""
            rule: FactValue
            if isinstance(row, Unknown) or isinstance(table, Unknown):
                rule = row if isinstance(row, Unknown) else table  # type: ignore[assignment]
            else:
                rule, document = (str(row.values[table.column(name)]) for name in ("rule", "document"))
            yield Candidate(
                lines=(line,),
                facts={
                    "benefit.rule": rule,
                    "benefit.notice_given": bool(set(parameters.notice_modifiers) & set(line.modifiers)),
                    "benefit.attachment_present": _attached(line),
                },
                place=Place("line.procedure_code", line.index, line.number),
                tell=partial(
                    Telling,
                    params={"line_number": str(line.number), "code": line.code, "document": f" It names: {document}." if document else ""},
                ),
            )


def _attached(line: LineView) -> bool:
    return any(one.line_number in (None, line.number) for one in line.claim.attachments)
