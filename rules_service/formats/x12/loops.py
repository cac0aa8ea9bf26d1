"""Loops 2300 to 2430 of an 837, as far as the three guides share them: claim, other payers, lines and their adjudication."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Literal

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Accident, Attachment, Claim, ClaimDates, Diagnosis, Epsdt, Note
from rules_service.claim.parties import Adjustment, ClaimProviders, Payer
from rules_service.formats.x12.drafts import (
    Draft,
    ambulance_of,
    line_of,
    number_of,
    other_payer_of,
    part_of,
    person_of,
    provider_of,
    struct_of,
)
from rules_service.formats.x12.parties import PartyLoops, ReadClaim
from rules_service.formats.x12.places import Position, position_of
from rules_service.formats.x12.segments import Segment
from rules_service.primitives.errors import InvalidClaim, Issue, RulesServiceError
from rules_service.primitives.money import Money, Quantity

MAX_HI = 12
CODE_SETS = ("HC", "HP", "AD")
"""Qualifiers of the procedure codes that are read: HCPCS with CPT, HIPPS, CDT."""
UNREAD_CODES = ("TC", "TQ", "CAH")
"""Qualifiers of HI that a guide has and nothing here reads: treatment codes, SNODENT, Advanced Billing Concepts."""
SERVICE_DAYS = ("service_from", "service_through")
ICD10_FIRST_DAY = date(2015, 10, 1)
"""45 CFR 162.1002(c)."""
UNIT_BASES = ("UN", "MJ", "DA", "F2")
CLAIM_DATES = {"431": "onset", "454": "initial_treatment", "304": "last_seen", "455": "last_xray", "484": "last_menstrual_period", "435": "admission",
               "096": "discharge", "090": "assumed_care", "091": "relinquished_care"}  # fmt: skip
DIAGNOSES = {
    "BK": "principal", "BF": "secondary", "BJ": "admitting", "PR": "reason_for_visit", "BN": "external_cause",
}  # fmt: skip
"""Qualifiers of HI; those of ICD-10 have an A before them."""
OTHER_AMOUNTS = {"D": "paid_amount", "A8": "noncovered_amount", "EAF": "remaining_liability_amount"}
CLAIM_NUMBERS = {
    "9F": "referral_number", "F8": "payer_claim_control_number", "X4": "clia_number", "EW": "mammography_certification", "LX": "ide_number",
}  # fmt: skip
LINE_NUMBERS = {
    "G1": "prior_authorization_number", "9F": "referral_number", "6R": "line_control_number", "X4": "clia_number", "F4": "referring_clia_number",
}  # fmt: skip


def _in_file(places: Mapping[str, Position], where: str) -> str:
    """A place in the claim as a place in the file; one in the file as it is."""
    at = position_of(places, where) if where.startswith("/") or not where else None
    return where if at is None else f"segment {at[0]}{'' if where else ' CLM'}, byte {at[1]}"


@dataclass
class ClaimLoops(PartyLoops):
    """What every guide's claims have. A guide says where the place of service stands, and reads its own segments."""

    claim_type: ClassVar[Literal["professional", "institutional", "dental"]]
    ninth: Segment | None = None
    """HI whose diagnoses are said to be ICD-9-CM."""
    has_product: bool = False
    """The open line names a product (LIN), a drug or another."""

    def open_claim(self, segment: Segment) -> None:
        self.finish()
        self.issues, self.start, self.loop, self.entity, self.claim, self.ninth = [], segment.number, "claim", None, {}, None
        facility = segment.parts(5)
        if len(facility) < 3:
            self.fail(
                segment,
                "x12.component_separator",
                "CLM05 is not split into place, qualifier and frequency by the separator that ISA16 declares.",
                "Declare in ISA16 the component separator the file uses, and send all three parts.",
            )
        if segment.get(1) is None:
            mend = "Send the patient control number: the payer's answers carry it back."
            self.fail(segment, "x12.required", "The claim has no number (CLM01).", mend)
        causes = segment.parts(11)
        self.claim = {
            "patient_control_number": segment.get(1) or "", "total_charge_amount": self.value(segment, 2, Money.parse, "amount"),
            "claim_frequency_code": part_of(facility, 2) or "", "assignment_code": segment.get(7),
            "benefits_assigned": segment.get(8), "release_code": segment.get(9), "special_program_code": segment.get(12), "delay_reason_code": segment.get(20),
        }  # fmt: skip
        if any(causes):
            self.claim["accident"] = {"causes": tuple(code for code in causes[:3] if code), "state": part_of(causes, 3)}
        self.facility(facility)

    def facility(self, parts: list[str]) -> None:
        """CLM05: place of service (qualifier B); a type of bill where the guide says so."""
        if self.claim is not None:
            self.claim["place_of_service_code"] = part_of(parts, 0)

    def finish(self) -> None:
        """Close the open claim."""
        if self.claim is None:
            return
        places, number = {**self.places.party, **self.places.claim}, self.claim["patient_control_number"]
        charge, days = self.claim.get("total_charge_amount"), self._days()
        try:
            outcome: Claim | RulesServiceError = self._build()
        except InvalidClaim as error:
            issues = [Issue(one.code, _in_file(places, one.where), one.message, one.mend) for one in error.issues]
            outcome = InvalidClaim(error.title, issues)
        self.found.append(ReadClaim(outcome, self.start, places, number, self.transmission, charge, days))
        self.claim, self.line, self.other, self.adjudication, self.entity, self.issues = None, None, None, None, None, []

    def _days(self) -> tuple[date, date] | None:
        """First and last day of the open claim, as far as they can be read."""
        days = [*self.own_days(), *(line.get(name) for line in (self.claim or {}).get("service_lines", ()) for name in SERVICE_DAYS)]
        known = [day for day in days if day is not None]
        return (min(known), max(known)) if known else None

    def own_days(self) -> list[date | None]:
        """Days of the claim that only this guide has."""
        return []

    def _build(self) -> Claim:
        draft = self.claim or {}
        draft["property_casualty_claim_number"] = self.property_claims.get("patient", self.property_claims.get("subscriber"))
        at = ""  # the claim itself
        if draft.get("total_charge_amount") is None and not any(issue.code == "x12.amount" for issue in self.issues):
            self.issues.append(Issue("x12.required", at, "The claim has no total charge (CLM02).", "Send the total of the line charges."))
        if not self.payer.get("payer_id"):
            self.issues.append(Issue("x12.required", at, "The claim has no payer (2010BB NM109).", "Send the payer's id in NM1*PR."))
        if not draft.get("claim_frequency_code") and not self.issues:
            self.issues.append(Issue("x12.required", at, "The claim has no frequency code (CLM05-3).", "Send 1, 7 or 8."))
        days = self._days()
        if self.ninth is not None and days is not None and days[1] >= ICD10_FIRST_DAY:
            self.fail(
                self.ninth,
                "x12.qualifier",
                "The qualifier of a diagnosis says ICD-9-CM, which services from 2015-10-01 on do not take.",
                "Send ICD-10-CM codes with their qualifiers (ABK, ABF and so on).",
            )
        issues = [*self.billing_issues, *self.party_issues, *self.patient_issues, *self.issues]
        if issues:
            raise InvalidClaim("A claim of the file cannot be read", issues)
        own, providers = self.own_parts(draft), draft.pop("providers", {})
        claim = Claim(
            claim_type=self.claim_type,
            payer=struct_of(Payer, self.payer),
            payer_responsibility=self.payer.get("responsibility", "primary"),
            subscriber=person_of(self.subscriber),
            patient=person_of(self.patient) if self.patient is not None else None,
            providers=ClaimProviders(
                billing=provider_of(self.billing), **{role: provider_of(entity) for role, entity in providers.items()}
            ),
            service_lines=tuple(line_of(line, index) for index, line in enumerate(draft.pop("service_lines", []))),
            diagnoses=tuple(Diagnosis(**one) for one in draft.pop("diagnoses", [])),
            other_payers=tuple(other_payer_of(one) for one in draft.pop("other_payers", [])),
            prior_authorization_numbers=tuple(draft.pop("prior_authorization_numbers", [])),
            anesthesia_procedures=tuple(draft.pop("anesthesia_procedures", [])),
            condition_codes=tuple(draft.pop("condition_codes", [])),
            attachments=tuple(Attachment(**one) for one in draft.pop("attachments", [])),
            notes=tuple(Note(**one) for one in draft.pop("notes", [])),
            dates=struct_of(ClaimDates, draft.pop("dates")) if "dates" in draft else None,
            accident=struct_of(Accident, draft.pop("accident")) if "accident" in draft else None,
            epsdt=struct_of(Epsdt, draft.pop("epsdt")) if "epsdt" in draft else None,
            ambulance=ambulance_of(draft.pop("ambulance")) if "ambulance" in draft else None,
            **own,
            **{key: value for key, value in draft.items() if value is not None},
        )
        return canonical_claim(claim)

    def own_parts(self, draft: Draft) -> dict[str, Any]:
        """What only this guide's claims have."""
        return {}

    def reference(self, segment: Segment) -> None:
        """REF, by the loop it stands in."""
        qualifier, text = segment.get(1) or "", segment.get(2)
        if text is None or part_of(segment.parts(4), 0) == "2U":  # REF04: it is another payer's number
            return
        if self.loop == "billing" and qualifier in ("EI", "SY") and self.entity is self.billing:
            self.billing["tax_id"] = text
        elif self.loop in ("subscriber", "patient") and qualifier == "Y4":
            self.once(segment, self.loop in self.property_claims)
            self.property_claims[self.loop] = text
        elif self.loop == "line" and self.line is not None:
            if qualifier in LINE_NUMBERS and self.adjudication is None:
                if qualifier != "G1":  # of several authorizations of a line the first counts
                    self.once(segment, LINE_NUMBERS[qualifier] in self.line)
                self.line.setdefault(LINE_NUMBERS[qualifier], text)
            elif qualifier in ("XZ", "VY") and "drug" in self.line:
                self.line["drug"]["prescription_number" if qualifier == "XZ" else "link_number"] = text
        elif self.loop == "claim" and self.claim is not None and self.entity is None:
            if qualifier == "G1":
                self.claim.setdefault("prior_authorization_numbers", []).append(text)
            elif qualifier in CLAIM_NUMBERS:
                self.once(segment, CLAIM_NUMBERS[qualifier] in self.claim)
                self.claim[CLAIM_NUMBERS[qualifier]] = text
            else:
                self.own_reference(qualifier, text)
        elif self.loop == "other" and self.other is not None and qualifier == "F8":
            self.other["payer_claim_control_number"] = text

    def own_reference(self, qualifier: str, text: str) -> None:
        """REF of the claim that only this guide has."""

    def date(self, segment: Segment) -> None:
        """DTP, by the loop it stands in."""
        qualifier = segment.get(1) or ""
        if self.own_date(qualifier, segment):
            return
        first, last = self.days(segment)
        if self.loop == "line" and self.line is not None:
            if self.adjudication is not None and qualifier == "573":
                self.adjudication["date"] = first
            elif qualifier == "472":
                self.once(segment, "service_from" in self.line)
                self.line["service_from"], self.line["service_through"] = first, last
        elif self.loop == "other" and self.other is not None:
            if qualifier == "573":
                self.once(segment, "adjudication_date" in self.other)
                self.other["adjudication_date"] = first
        elif self.claim is not None:
            if qualifier == "439":
                accident = self.claim.setdefault("accident", {})
                self.once(segment, "date" in accident)
                accident["date"] = first
            elif qualifier in CLAIM_DATES:
                self.once(segment, CLAIM_DATES[qualifier] in self.claim.setdefault("dates", {}))
                self.claim["dates"][CLAIM_DATES[qualifier]] = first

    def own_date(self, qualifier: str, segment: Segment) -> bool:
        """DTP that means something else in this guide; whether it was taken."""
        return False

    def health_information(self, segment: Segment) -> None:
        """HI: diagnoses, anaesthesia procedures, condition codes, and what only this guide has."""
        if self.claim is None:
            return
        if len(segment.elements) > MAX_HI + 1:
            self.fail(segment, "x12.too_many_codes", f"HI has at most {MAX_HI} codes.", "Repeat the segment.")
        for index in range(1, min(len(segment.elements), MAX_HI + 1)):
            parts = segment.parts(index)
            qualifier, code = part_of(parts, 0) or "", part_of(parts, 1)
            if code is None:
                continue
            kind = DIAGNOSES.get(qualifier.removeprefix("A"))
            if qualifier in DIAGNOSES and self.ninth is None:
                self.ninth = segment
            if kind is not None:
                known = self.claim.setdefault("diagnoses", [])
                known.append({"sequence": len(known) + 1, "code": code, "type": kind, "present_on_admission": part_of(parts, 8)})
            elif qualifier in ("BP", "BO"):
                self.claim.setdefault("anesthesia_procedures", []).append(code)
            elif qualifier == "BG":
                self.claim.setdefault("condition_codes", []).append(code)
            elif not self.own_code(segment, qualifier, code, parts) and qualifier not in UNREAD_CODES:
                self.fail(
                    segment, "x12.qualifier", "HI holds a code whose qualifier the guide does not have.", "Send the qualifier of the guide."
                )

    def own_code(self, segment: Segment, qualifier: str, code: str, parts: list[str]) -> bool:
        """A code of HI that only this guide has; whether it was taken."""
        return False

    def adjustment(self, segment: Segment) -> None:
        """CAS of 2320 or 2430: up to six triplets."""
        holder = self.adjudication if self.adjudication is not None else self.other
        if self.claim is None:
            return
        if holder is None:
            self.fail(segment, "x12.required", "CAS belongs to no payer.", "Send the payer before it: SBR (2320), or SVD of a line (2430).")
            return
        if not any(segment.elements[2:]):
            self.fail(segment, "x12.required", "CAS has no reason and amount.", "Send both (CAS02, CAS03), or leave the segment out.")
        for index in range(2, min(len(segment.elements), 20), 3):
            amount = self.value(segment, index + 1, Money.parse, "amount")
            if (segment.get(index) is None) != (segment.get(index + 1) is None):
                mend = "Send the reason and its amount, or neither."
                self.fail(
                    segment,
                    "x12.required",
                    f"An adjustment has a reason and an amount: one of CAS{index:02d} and CAS{index + 1:02d} is missing.",
                    mend,
                )
            if segment.get(index) is not None and amount is not None:
                holder.setdefault("adjustments", []).append(
                    Adjustment(
                        group_code=segment.get(1) or "", carc=segment.get(index) or "", amount=amount, quantity=segment.get(index + 2)
                    )
                )

    def amount(self, segment: Segment) -> None:
        """AMT: patient paid (F5), and of another payer what OTHER_AMOUNTS names."""
        qualifier, amount = segment.get(1) or "", self.value(segment, 2, Money.parse, "amount")
        if self.loop == "other" and self.other is not None and qualifier in OTHER_AMOUNTS:
            self.once(segment, OTHER_AMOUNTS[qualifier] in self.other)
            self.other[OTHER_AMOUNTS[qualifier]] = amount
        elif qualifier == "EAF" and self.adjudication is not None:
            self.adjudication["remaining_liability_amount"] = amount
        elif qualifier == "F5" and self.loop == "claim" and self.claim is not None:
            self.once(segment, "patient_paid_amount" in self.claim)
            self.claim["patient_paid_amount"] = amount

    def other_insurance(self, segment: Segment) -> None:
        """OI of 2320."""
        if self.other is not None:
            self.other |= {"benefits_assigned": segment.get(3), "release_code": segment.get(6)}

    def detail(self, segment: Segment) -> None:
        """PWK, NTE, CR1, CRC of the claim or a line, MOA of another payer. Attachments and notes of a line stand on the claim, with its number."""
        if self.claim is None:
            return
        name, holder = segment.name, self.claim if self.line is None else self.line
        number = None if self.line is None else self.line["line_number"]
        if name == "PWK":
            self.claim.setdefault("attachments", []).append(
                {"report_type": segment.get(1), "transmission": segment.get(2), "control_number": segment.get(6), "line_number": number}
            )
        elif name == "NTE" and segment.get(2):
            self.claim.setdefault("notes", []).append({"type": segment.get(1), "text": segment.get(2), "line_number": number})
        elif name == "CR1":
            holder.setdefault("ambulance", {}).update({"reason": segment.get(4), "miles": segment.get(6)})
        elif name == "CRC":
            codes = tuple(code for code in segment.elements[3:8] if code)
            if segment.get(1) == "07" and segment.get(2) == "Y":
                ambulance = holder.setdefault("ambulance", {})
                ambulance["conditions"] = (*ambulance.get("conditions", ()), *codes)
            elif segment.get(1) == "ZZ" and self.line is None:
                self.claim["epsdt"] = {"referral": segment.get(2), "condition_codes": codes}
            elif segment.get(1) == "75" and self.line is None:
                self.claim["homebound"] = segment.get(2) == "Y"
        elif name == "MOA" and self.other is not None:
            self.other["remarks"] = tuple(code for code in segment.elements[3:8] if code)

    # -- line (2400)

    def open_line(self, segment: Segment) -> None:
        if self.claim is None:
            return
        lines = self.claim.setdefault("service_lines", [])
        number = self.value(segment, 1, number_of, "number")
        self.line = {"line_number": number if number is not None else len(lines) + 1}
        lines.append(self.line)
        self.has_product = False
        self.loop, self.entity, self.other, self.adjudication = "line", None, None, None

    def charged(self, segment: Segment, procedure: int, charge: int, basis: int, units: int) -> Draft:
        """What the service segments of all guides have: procedure with its modifiers and description, charge, and units."""
        name, composite = segment.name, segment.parts(procedure)
        self.once(segment, self.line is not None and "charge_amount" in self.line)
        if part_of(composite, 1) is not None and (composite[0] or "HC") not in CODE_SETS:
            message = f"The procedure is of a code set that is not read here ({name}{procedure:02d}-1)."
            self.fail(segment, "x12.qualifier", message, "Send HC with a CPT or HCPCS code, HP with a HIPPS code, or AD with a CDT code.")
        amount = self.value(segment, charge, Money.parse, "amount")
        if amount is None and segment.get(charge) is None:
            self.fail(segment, "x12.required", f"The line has no charge ({name}{charge:02d}).", "Send the charge of the line.")
        unit = segment.get(basis) if basis else "UN"
        if unit is not None and unit not in UNIT_BASES:
            self.fail(segment, "x12.unit_basis", f"{name}{basis:02d} is not a unit this guide knows.", "Send UN or MJ.")
            unit = None
        return {
            "procedure_code": part_of(composite, 1), "modifiers": tuple(code for code in composite[2:6] if code), "description": part_of(composite, 6),
            "charge_amount": amount, "unit_basis": unit, "unit_count": self.value(segment, units, Quantity.parse, "quantity"),
        }  # fmt: skip

    def pointers(self, segment: Segment, index: int) -> tuple[int, ...]:
        """Diagnosis pointers: positions 1 to 12."""
        found: list[int] = []
        for text in segment.parts(index):
            if text.isdigit() and text.isascii() and len(text) <= 2:
                found.append(int(text))
            elif text:
                self.fail(
                    segment,
                    "x12.pointer",
                    f"{segment.name}{index:02d} holds a pointer that is no number.",
                    "Point to diagnoses by their position, 1 to 12.",
                )
        return tuple(found)

    def line_detail(self, segment: Segment) -> None:
        """LIN, CTP, SVD."""
        if self.line is None:
            return
        if segment.name == "LIN":
            self.has_product = True
        if segment.name == "LIN" and segment.get(2) == "N4":
            self.once(segment, "drug" in self.line)
            self.line["drug"] = {"ndc": segment.get(3)}
        elif segment.name == "CTP" and not self.has_product:
            self.fail(segment, "x12.required", "The quantity of a drug stands before its number (LIN).", "Send LIN before CTP.")
        elif segment.name == "CTP" and "drug" in self.line:
            self.once(segment, "quantity" in self.line["drug"])
            self.line["drug"] |= {"quantity": self.value(segment, 4, Quantity.parse, "quantity"), "unit": part_of(segment.parts(5), 0)}
        elif segment.name == "SVD":
            procedure = segment.parts(3)
            bundled = self.value(segment, 6, number_of, "number")
            self.adjudication = {
                "payer_id": segment.get(1), "paid_amount": self.value(segment, 2, Money.parse, "amount"), "procedure_code": part_of(procedure, 1),
                "modifiers": tuple(code for code in procedure[2:6] if code), "paid_units": self.value(segment, 5, Quantity.parse, "quantity"), "bundled_line": bundled,
            }  # fmt: skip
            self.line.setdefault("prior_adjudication", []).append(self.adjudication)
