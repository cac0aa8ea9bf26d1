"""Policies besides the focal one, and what their payers answered: `Claim.insurance` with a ClaimResponse as other payers and line adjudications.

An adjudication whose category is an X12 group code (CO, PR, OA, PI) is an adjustment: its reason is the CARC. One of category `benefit` or
`paidtoprovider` is what was paid.
"""

from __future__ import annotations

import msgspec

from rules_service.claim.parties import Adjustment, OtherPayer
from rules_service.claim.service_lines import PriorAdjudication
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.parties import FILING_INDICATORS, Parties
from rules_service.formats.fhir.references import Resources
from rules_service.formats.fhir.values import Faults, code_in, code_of
from rules_service.primitives.money import Money

GROUPS = frozenset({"CO", "PR", "OA", "PI"})
PAID = frozenset({"benefit", "paidtoprovider"})
RESPONSIBILITIES = {1: "primary", 2: "secondary", 3: "tertiary"}


def responsibility_of(insurance: r.Insurance, coverage: r.Coverage | None) -> str:
    """The place of a policy in the order of payment: `Coverage.order`, else the sequence on the claim."""
    order = coverage.order if coverage is not None and coverage.order is not None else insurance.sequence
    return RESPONSIBILITIES.get(order, "other")


class OtherPayers:
    """Reads the policies that are not focal."""

    def __init__(self, place: str, resources: Resources, parties: Parties, faults: Faults) -> None:
        self._place, self._resources, self._parties, self._faults = place, resources, parties, faults
        self.by_line: dict[int, list[PriorAdjudication]] = {}
        """What these payers said of each line, by its number; filled while they are read."""

    def read(self, patient: r.Reference, insurances: tuple[tuple[int, r.Insurance], ...]) -> tuple[OtherPayer, ...]:
        """Every other payer, in the order of the claim."""
        return tuple(self._one(f"{self._place}.insurance[{number}]", patient, insurance) for number, insurance in insurances)

    def _one(self, where: str, patient: r.Reference, insurance: r.Insurance) -> OtherPayer:
        coverage = self._parties.coverage(f"{where}.coverage", insurance.coverage)
        payor = coverage.payor[0] if coverage is not None and coverage.payor else None
        payer_id, _ = self._parties.payer_id(f"{where}.coverage.resolve().payor", payor)
        holder, relationship = self._parties.insured(f"{where}.coverage", coverage, patient)
        # As in loop 2330A, which has the subscriber's name and number only; the birthday of a parent says whose plan comes first.
        born = holder.birth_date if relationship != "18" else None
        subscriber = msgspec.structs.replace(holder, birth_date=born, death_date=None, sex=None, relationship_code=relationship or None)
        response = self._resources.find(insurance.claim_response, r.ClaimResponse)
        if insurance.claim_response is not None and response is None:
            self._faults.add(
                "reference",
                f"{where}.claimResponse",
                "The reference leads to no ClaimResponse of the request.",
                "Put it into the Bundle, or contain it.",
            )
        told = OtherPayer(
            payer_id=payer_id, responsibility=responsibility_of(insurance, coverage), subscriber=subscriber,
            claim_filing_indicator_code=code_in(coverage.type, FILING_INDICATORS) if coverage is not None else None,
        )  # fmt: skip
        if response is None:
            return told
        at = f"{where}.claimResponse.resolve()"
        for item in response.item:
            judged = PriorAdjudication(
                payer_id=payer_id, date=self._faults.day(f"{at}.created", response.created), paid_amount=self._paid(at, item.adjudication),
                adjustments=self._adjustments(at, item.adjudication),
            )  # fmt: skip
            self.by_line.setdefault(item.item_sequence, []).append(judged)
        totals = tuple(r.Adjudication(category=one.category, amount=one.amount) for one in response.total)
        paid = self._faults.money(f"{at}.payment.amount", response.payment.amount if response.payment is not None else None)
        return OtherPayer(
            payer_id=payer_id, responsibility=told.responsibility, subscriber=subscriber, claim_filing_indicator_code=told.claim_filing_indicator_code,
            paid_amount=paid or self._paid(at, totals), adjudication_date=self._faults.day(f"{at}.created", response.created),
            payer_claim_control_number=next((one.value for one in response.identifier if one.value), None),
            adjustments=self._adjustments(at, response.adjudication),
        )  # fmt: skip

    def _paid(self, where: str, told: tuple[r.Adjudication, ...]) -> Money | None:
        return next((self._faults.money(f"{where}.amount", one.amount) for one in told if (code_of(one.category) or "") in PAID), None)

    def _adjustments(self, where: str, told: tuple[r.Adjudication, ...]) -> tuple[Adjustment, ...]:
        found = []
        for one in told:
            group, carc = code_of(one.category), code_of(one.reason)
            amount = self._faults.money(f"{where}.adjudication.amount", one.amount) if group in GROUPS else None
            if group is not None and carc is not None and amount is not None:
                found.append(Adjustment(group_code=group, carc=carc, amount=amount))
        return tuple(found)
