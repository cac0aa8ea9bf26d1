"""`coordination_of_benefits`: which payer comes first, and whether the other payer's answer is there and adds up.

837 loops 2320, 2330 and 2430; domain.md 2.11. Exactly one payer of a claim is primary. A secondary claim carries the other payer with what
it paid, its adjustments and the date, and for each line and payer the charge is what was paid plus the adjustments. Medicare as a later
payer names the reason (SBR05). Nothing is said of other payers whose answer is at the level of the claim only.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from rules_service.claim.locations import Place
from rules_service.claim.parties import OtherPayer
from rules_service.claim.service_lines import PriorAdjudication
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView
from rules_service.primitives.money import Money
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix

PRIMARY = frozenset({"primary", "P"})
MEDICARE = frozenset({"MA", "MB"})


ORDER = {"primary": 0, "P": 0, "secondary": 1, "S": 1, "tertiary": 2, "T": 2, "other": 3}


class CoordinationParameters(Parameters, frozen=True):
    """`requires_msp_type`: this payer is Medicare and wants the reason why another payer comes first (SBR05), one of `msp_types`;
    institutional claims have no such element and give it by value code."""

    requires_msp_type: bool = False
    msp_types: tuple[str, ...] = ("12", "13", "14", "15", "16", "41", "42", "43", "47")


class CoordinationOfBenefitsKind(RuleKind[CoordinationParameters]):
    """One candidate the claim, one a line and other payer, one an other payer without a date."""

    name = "coordination_of_benefits"
    title = "Coordination of benefits"
    levels = ("claim",)
    semantics = (
        3  # the reason why Medicare comes second on professional claims only; balances of the whole claim; every payer before this one
    )
    parameters = CoordinationParameters
    specs = fact_specs(
        ("cob.question", "text", "order, balance, claim_balance or date."),
        ("cob.is_secondary", "flag", "This payer is not the primary one."),
        ("cob.primaries", "count", "Primary payers on the claim, this one included; 1 when no other payer is given."),
        ("cob.primary_paid", "flag", "Every payer that comes before this one is given with what it paid."),
        ("cob.msp_type_present", "flag", "The reason why Medicare comes second is given, and is one in use."),
        ("cob.difference", "money", "Charge minus what the other payer paid and adjusted; 0 when it adds up."),
        ("cob.dated", "flag", "The day on which the other payer decided is given."),
        ("cob.other_coverage", "flag", "The last eligibility answer names other coverage on the date; unknown when it was not supplied."),
    )

    def branches(self, parameters: CoordinationParameters) -> tuple[Branch, ...]:
        order = {"fact": "cob.question", "is": "order"}
        secondary = {"fact": "cob.is_secondary", "is": "true"}
        common: dict[str, Any] = {"category": "eligibility", "owner_role": "biller", "next_action": "correct_claim"}
        found = [
            Branch(
                code="cob.primary_count",
                title="Not exactly one primary payer",
                at="claim.other_payers",
                severity="reject",
                when={"all": [order, {"fact": "cob.primaries", "is_not": "1"}]},
                message="The claim has {primaries} primary payers; exactly one comes first.",
                fixes=(fix("Set the payers' order (SBR01): one primary"),),
                **common,
            ),
            Branch(
                code="cob.no_primary_info",
                title="Secondary claim without the primary payer's answer",
                at="claim.other_payers",
                severity="deny_soft",
                when={"all": [order, secondary, {"fact": "cob.primary_paid", "is": "false"}]},
                message="The claim goes to a payer that is not the primary one, and the decision of a payer before it is missing (loops 2320, 2330B, 2430).",
                fixes=(fix("Add what the primary payer paid and adjusted, or bill it first", "needs_payer_contact"),),
                **common,
            ),
            Branch(
                code="cob.out_of_balance",
                title="Another payer's line does not add up",
                at="line.charge_amount",
                severity="reject",
                when={"all": [{"fact": "cob.question", "is": "balance"}, {"fact": "cob.difference", "is_not": "0"}]},
                message="Line {line_number}: the charge differs by {difference} from what the other payer paid and adjusted.",
                fixes=(fix("Take the amounts from the other payer's remittance"),),
                **common,
            ),
            Branch(
                code="cob.claim_out_of_balance",
                title="Another payer's claim does not add up",
                at="claim.other_payers",
                severity="reject",
                when={"all": [{"fact": "cob.question", "is": "claim_balance"}, {"fact": "cob.difference", "is_not": "0"}]},
                message="The total charge differs by {difference} from what the other payer paid and adjusted.",
                fixes=(fix("Take the amounts from the other payer's remittance"),),
                **common,
            ),
            Branch(
                code="cob.date_missing",
                title="Another payer's decision without its date",
                at="claim.other_payers",
                severity="reject",
                when={"all": [{"fact": "cob.question", "is": "date"}, {"fact": "cob.dated", "is": "false"}]},
                message="Another payer's decision is given without its date (DTP*573).",
                fixes=(fix("Add the date of the other payer's decision"),),
                **common,
            ),
            Branch(
                code="cob.other_coverage",
                title="The payer knows of other coverage",
                at="claim.other_payers",
                severity="warn",
                confidence="likely",
                when={"all": [order, {"fact": "cob.is_secondary", "is": "false"}, {"fact": "cob.other_coverage", "is": "true"}]},
                message="The claim is billed as primary, and the last eligibility answer names other coverage on the date of service.",
                fixes=(fix("Ask the patient which coverage comes first", "needs_payer_contact"),),
                override_reasons=("this_payer_is_primary",),
                **common,
            ),
        ]
        if parameters.requires_msp_type:
            msp = Branch(
                code="cob.msp_type_missing",
                title="Medicare as a later payer without the reason",
                at="claim.payer.msp_type_code",
                severity="reject",
                when={"all": [order, secondary, {"fact": "cob.msp_type_present", "is": "false"}]},
                message="Medicare is billed as a later payer without an insurance type code in use that says why (SBR05).",
                fixes=(fix("Add the insurance type code, such as 12 for a working aged patient"),),
                **common,
            )
            found.insert(2, msp)
        return tuple(found)

    def derive(self, parameters: CoordinationParameters, judged: Judged) -> Iterator[Candidate]:
        view = judged.view
        claim = view.claim
        is_secondary = claim.payer_responsibility not in (None, "primary")
        primaries = [one for one in claim.other_payers if one.responsibility in PRIMARY]
        count = len(primaries) + (not is_secondary)
        lines_of = {one.payer_id for line in claim.service_lines for one in line.prior_adjudication}
        mine = ORDER.get(claim.payer_responsibility or "primary", 0)
        before = [one for one in claim.other_payers if ORDER.get(one.responsibility or "", mine) < mine] or claim.other_payers
        paid = bool(before) and all(one.paid_amount is not None or one.adjustments or one.payer_id in lines_of for one in before)
        yield Candidate(
            lines=view.lines,
            amount=view.total_at_risk,
            place=Place("claim.other_payers"),
            facts={
                **_NOTHING,
                "cob.question": "order",
                "cob.is_secondary": is_secondary,
                # Without any other payer there is no order to judge: a secondary claim then lacks the primary's answer, which says it all.
                "cob.primaries": count if claim.other_payers else 1,
                "cob.primary_paid": paid,
                "cob.msp_type_present": claim.claim_type == "institutional" or claim.payer.msp_type_code in parameters.msp_types,
                "cob.other_coverage": _other_coverage(view),
            },
            tell=partial(Telling, params={"primaries": str(count)}, expected={"primary_payers": 1}, actual={"primary_payers": count}),
        )
        yield from self._balances(view)
        for number, other in enumerate(claim.other_payers):
            dated = other.adjudication_date is not None or any(
                one.date for line in claim.service_lines for one in line.prior_adjudication if one.payer_id == other.payer_id
            )
            if other.paid_amount is not None and not dated:
                facts: dict[str, FactValue] = {**_NOTHING, "cob.question": "date", "cob.dated": False}
                yield Candidate(
                    lines=view.lines, amount=view.total_at_risk, place=Place("claim.other_payers"), key=str(number), facts=facts
                )

    def _balances(self, view: ClaimView) -> Iterator[Candidate]:
        """A line adds up payer by payer, whose decision may stand in several parts; the claim adds up with its lines (837 TR3 section 1.4.1)."""
        for line in view.lines:
            parts: dict[str | None, list[PriorAdjudication]] = {}
            for prior in line.line.prior_adjudication:
                parts.setdefault(prior.payer_id, []).append(prior)
            for number, decided in enumerate(parts.values()):
                difference = line.line.charge_amount.cents - sum(map(_settled, decided))
                yield Candidate(
                    lines=(line,),
                    place=Place("line.charge_amount", line.index, line.number),
                    key=str(number),
                    facts={**_NOTHING, "cob.question": "balance", "cob.difference": difference},
                    tell=partial(
                        Telling,
                        params={"line_number": str(line.number), "difference": str(Money(difference))},
                        actual={"difference": str(Money(difference))},
                    ),
                )
        for number, other in enumerate(view.claim.other_payers):
            left = _claim_difference(view, other)
            if left is not None:
                yield Candidate(
                    lines=view.lines,
                    amount=view.total_at_risk,
                    place=Place("claim.other_payers"),
                    key=str(number),
                    facts={**_NOTHING, "cob.question": "claim_balance", "cob.difference": left},
                    tell=partial(Telling, params={"difference": str(Money(left))}, actual={"difference": str(Money(left))}),
                )


_NOTHING: dict[str, FactValue] = dict.fromkeys(
    ("cob.is_secondary", "cob.primaries", "cob.primary_paid", "cob.msp_type_present", "cob.difference", "cob.dated", "cob.other_coverage")
)


def _settled(prior: PriorAdjudication) -> int:
    paid = prior.paid_amount.cents if prior.paid_amount is not None else 0
    return paid + sum(one.amount.cents for one in prior.adjustments)


def _claim_difference(view: ClaimView, other: OtherPayer) -> int | None:
    """Total charge minus what a payer paid and adjusted, on the claim and on its lines; None where it has decided nothing."""
    lines = [one for line in view.lines for one in line.line.prior_adjudication if one.payer_id == other.payer_id]
    if other.paid_amount is None and not lines:
        return None
    adjusted = sum(one.amount.cents for one in (*other.adjustments, *(one for line in lines for one in line.adjustments)))
    on_lines = sum(one.paid_amount.cents for one in lines if one.paid_amount is not None)
    paid = on_lines if other.paid_amount is None else other.paid_amount.cents
    return view.claim.total_charge_amount.cents - paid - adjusted


def _other_coverage(view: ClaimView) -> FactValue:
    """Whether the eligibility answer names coverage by another payer on the claim's first day. Absent when nothing was supplied: a claim
    without an eligibility answer is not held for that."""
    context = view.claim.context
    spans = context.eligibility.other_coverage if context is not None and context.eligibility is not None else None
    day = view.date_from
    if spans is None or day is None:
        return None
    return any(span.holds(day) for span in spans)
