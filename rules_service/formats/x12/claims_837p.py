"""837P (005010X222A1) to canonical claims. The reader knows loops and elements, no rule.

A claim that cannot be read fails alone, with the segment it failed at; a broken envelope or another version refuses the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import TypeVar

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Accident, Attachment, Claim, ClaimDates, Diagnosis, Epsdt, Note
from rules_service.claim.parties import Adjustment, ClaimProviders, Payer
from rules_service.formats.x12.drafts import (
    Draft,
    ambulance_of,
    day_of,
    line_of,
    other_payer_of,
    part_of,
    person_of,
    provider_of,
    struct_of,
)
from rules_service.formats.x12.segments import Segment, Transaction, fault, transactions
from rules_service.primitives.errors import InvalidClaim, Issue, RulesServiceError
from rules_service.primitives.money import Money, Quantity

T = TypeVar("T")

VERSION = "005010X222"
MAX_CLAIMS = 5_000
MAX_ISSUES = 20
"""Of one claim; the rest would say the same."""
RESPONSIBILITY = {"P": "primary", "S": "secondary", "T": "tertiary"}
CLAIM_ROLES = {
    "82": "rendering",
    "DN": "referring",
    "P3": "referring",
    "77": "service_facility",
    "DQ": "supervising",
    "DD": "assistant_surgeon",
}
LINE_ROLES = {**CLAIM_ROLES, "DK": "ordering", "QB": "purchased_service"}
CLAIM_DATES = {"431": "onset", "454": "initial_treatment", "304": "last_seen", "455": "last_xray", "484": "last_menstrual_period", "435": "admission",
               "096": "discharge", "090": "assumed_care", "091": "relinquished_care"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReadClaim:
    """A claim, or why it could not be read, with the number of its CLM segment."""

    outcome: Claim | RulesServiceError
    segment: int


@dataclass
class _Reader:
    """Loop state of one transaction. A new HL forgets what belonged to the one before it."""

    found: list[ReadClaim] = field(default_factory=list)
    billing: Draft = field(default_factory=dict)
    subscriber: Draft = field(default_factory=dict)
    payer: Draft = field(default_factory=dict)
    patient: Draft | None = None
    claim: Draft | None = None
    line: Draft | None = None
    other: Draft | None = None
    adjudication: Draft | None = None
    entity: Draft | None = None
    loop: str = "header"
    issues: list[Issue] = field(default_factory=list)
    party_issues: list[Issue] = field(default_factory=list)
    """Faults of the subscriber and patient, which are faults of each of their claims."""
    start: int = 0

    def fail(self, segment: Segment, code: str, message: str, mend: str) -> None:
        """Note a fault of the claim being read."""
        issues = self.party_issues if self.claim is None else self.issues
        if len(issues) < MAX_ISSUES:
            issues.append(Issue(code, segment.where(), message, mend))

    def value(self, segment: Segment, index: int, read: Callable[[str], T], what: str) -> T | None:
        """An element in its type; a fault and None when it does not have its form."""
        text = segment.get(index)
        if text is None:
            return None
        try:
            return read(text)
        except ValueError:
            self.fail(
                segment,
                f"x12.{what}",
                f"Element {index:02d} is not {('an ' if what[0] in 'aeiou' else 'a ') + what}.",
                "Check the element against the implementation guide.",
            )
            return None

    def days(self, segment: Segment) -> tuple[date | None, date | None]:
        """DTP: a day (D8) or a range (RD8)."""
        text = segment.get(3)
        if segment.get(2) == "RD8" and text is not None:
            first, _, last = text.partition("-")
            try:
                return day_of(first), day_of(last)
            except ValueError:
                self.fail(segment, "x12.date", "Element 03 is not a range of dates.", "Write CCYYMMDD-CCYYMMDD.")
                return None, None
        day = self.value(segment, 3, day_of, "date")
        return day, day

    # -- loops

    def hierarchy(self, segment: Segment) -> None:
        self.finish()
        level = segment.get(3)
        if level == "20":
            self.billing, self.subscriber, self.payer, self.patient = {}, {}, {}, None
            self.party_issues, self.loop = [], "billing"
        elif level == "22":
            self.subscriber, self.payer, self.patient = {}, {}, None
            self.party_issues, self.loop = [], "subscriber"
        elif level == "23":
            self.patient = {}
            self.loop = "patient"
        self.entity = None

    def subscriber_information(self, segment: Segment) -> None:
        """SBR of 2000B, or of 2320 once a claim is open."""
        responsibility = RESPONSIBILITY.get(segment.get(1) or "", "other")
        if self.claim is not None:
            self.other = {
                "responsibility": responsibility,
                "claim_filing_indicator_code": segment.get(9),
                "msp_type_code": segment.get(5),
                "subscriber": {"relationship_code": segment.get(2)},
            }
            self.claim.setdefault("other_payers", []).append(self.other)
            self.loop, self.line = "other", None
            return
        self.payer["responsibility"] = responsibility
        self.subscriber["relationship_code"] = segment.get(2)
        self.payer |= {"group_number": segment.get(3), "msp_type_code": segment.get(5), "claim_filing_indicator_code": segment.get(9)}

    def name(self, segment: Segment) -> None:
        """NM1: opens the entity that N3, N4, DMG, PRV and REF after it belong to."""
        code = segment.get(1) or ""
        entity: Draft = {}
        self.entity = entity
        if self.loop in ("claim", "line") and self.claim is not None:
            roles = LINE_ROLES if self.line is not None else CLAIM_ROLES
            role = roles.get(code)
            if role is not None:
                holder = self.line if self.line is not None else self.claim
                holder.setdefault("providers", {})[role] = entity
                self._provider(entity, segment)
            elif code in ("PW", "45"):
                self.claim.setdefault("ambulance", {})["pickup" if code == "PW" else "dropoff"] = entity
            return
        if self.loop == "other" and self.other is not None:
            if code == "IL":
                self.other["subscriber"] |= self._person(segment)
                self.entity = self.other["subscriber"]
            elif code == "PR":
                self.other["payer_id"] = segment.get(9)
            return
        if code == "85":
            self.billing |= entity
            self.entity = self.billing
            self._provider(self.billing, segment)
        elif code == "IL":
            self.subscriber |= self._person(segment)
            self.entity = self.subscriber
        elif code == "QC" and self.patient is not None:
            self.patient |= self._person(segment)
            self.entity = self.patient
        elif code == "PR":
            self.payer |= {"payer_id": segment.get(9), "name": segment.get(3)}

    @staticmethod
    def _person(segment: Segment) -> Draft:
        return {
            "last_name": segment.get(3),
            "first_name": segment.get(4),
            "middle_name": segment.get(5),
            "suffix": segment.get(7),
            "member_id": segment.get(9),
        }

    @staticmethod
    def _provider(entity: Draft, segment: Segment) -> None:
        entity |= {"entity_type": segment.get(2), "last_or_organization_name": segment.get(3), "first_name": segment.get(4)}
        if segment.get(8) == "XX":
            entity["npi"] = segment.get(9)
        elif segment.get(8) in ("24", "34"):
            entity["tax_id"] = segment.get(9)

    def place(self, segment: Segment) -> None:
        """N3 and N4."""
        if self.entity is None:
            return
        address = self.entity.setdefault("address", {})
        if segment.name == "N3":
            address |= {"line1": segment.get(1), "line2": segment.get(2)}
        else:
            address |= {"city": segment.get(1), "state": segment.get(2), "zip": segment.get(3), "country": segment.get(4)}

    def demographics(self, segment: Segment) -> None:
        """DMG."""
        if self.entity is not None:
            self.entity["birth_date"] = self.value(segment, 2, day_of, "date")
            self.entity["sex"] = segment.get(3)

    def specialty(self, segment: Segment) -> None:
        """PRV: of 2000A it is billing's, else of the entity before it."""
        holder = self.entity if self.entity is not None else self.billing if self.loop == "billing" else None
        if holder is not None:
            holder["taxonomy_code"] = segment.get(3)

    def patient_information(self, segment: Segment) -> None:
        """PAT."""
        if self.loop == "patient" and self.patient is not None:
            self.patient["relationship_code"] = segment.get(1)
        if segment.get(5) == "D8":
            holder = self.patient if self.patient is not None else self.subscriber
            holder["death_date"] = self.value(segment, 6, day_of, "date")

    # -- claim (2300)

    def open_claim(self, segment: Segment) -> None:
        self.finish()
        self.issues, self.start, self.loop, self.entity, self.claim = [], segment.number, "claim", None, {}
        facility = segment.parts(5)
        if len(facility) < 3:
            self.fail(
                segment,
                "x12.component_separator",
                "CLM05 is not split into place, qualifier and frequency by the separator that ISA16 declares.",
                "Declare in ISA16 the component separator the file uses, and send all three parts.",
            )
        causes = segment.parts(11)
        self.claim = {
            "patient_control_number": segment.get(1) or "", "total_charge_amount": self.value(segment, 2, Money.parse, "amount"),
            "place_of_service_code": part_of(facility, 0), "claim_frequency_code": part_of(facility, 2) or "", "assignment_code": segment.get(7),
            "benefits_assigned": segment.get(8), "release_code": segment.get(9), "special_program_code": segment.get(12), "delay_reason_code": segment.get(20),
        }  # fmt: skip
        if causes:
            self.claim["accident"] = {"causes": tuple(code for code in causes[:3] if code), "state": part_of(causes, 3)}

    def finish(self) -> None:
        """Close the open claim."""
        if self.claim is None:
            return
        try:
            outcome: Claim | RulesServiceError = self._build()
        except RulesServiceError as error:
            outcome = error
        self.found.append(ReadClaim(outcome, self.start))
        self.claim, self.line, self.other, self.adjudication, self.entity, self.issues = None, None, None, None, None, []
        if len(self.found) > MAX_CLAIMS:
            raise fault("x12.too_many_claims", "file", f"A file has at most {MAX_CLAIMS} claims here.", "Split the file.")

    def _build(self) -> Claim:
        draft = self.claim or {}
        at = f"segment {self.start} CLM"
        if draft.get("total_charge_amount") is None and not any(issue.code == "x12.amount" for issue in self.issues):
            self.issues.append(Issue("x12.required", at, "The claim has no total charge (CLM02).", "Send the total of the line charges."))
        if not self.payer.get("payer_id"):
            self.issues.append(Issue("x12.required", at, "The claim has no payer (2010BB NM109).", "Send the payer's id in NM1*PR."))
        if not draft.get("claim_frequency_code") and not self.issues:
            self.issues.append(Issue("x12.required", at, "The claim has no frequency code (CLM05-3).", "Send 1, 7 or 8."))
        if self.issues or self.party_issues:
            raise InvalidClaim("A claim of the file cannot be read", [*self.party_issues, *self.issues])
        providers = draft.pop("providers", {})
        claim = Claim(
            claim_type="professional",
            payer=struct_of(Payer, self.payer),
            payer_responsibility=self.payer.get("responsibility", "primary"),
            subscriber=person_of(self.subscriber),
            patient=person_of(self.patient) if self.patient is not None else None,
            providers=ClaimProviders(
                billing=provider_of(self.billing), **{role: provider_of(entity) for role, entity in providers.items()}
            ),
            service_lines=tuple(line_of(line) for line in draft.pop("service_lines", [])),
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
            **{key: value for key, value in draft.items() if value is not None},
        )
        return canonical_claim(claim)

    def reference(self, segment: Segment) -> None:
        """REF, by the loop it stands in."""
        qualifier, text = segment.get(1), segment.get(2)
        if text is None:
            return
        if self.loop == "billing" and qualifier in ("EI", "SY") and self.entity is self.billing:
            self.billing["tax_id"] = text
        elif self.loop == "line" and self.line is not None:
            name = {
                "G1": "prior_authorization_number",
                "9F": "referral_number",
                "6R": "line_control_number",
                "X4": "clia_number",
                "F4": "referring_clia_number",
            }.get(qualifier or "")
            if name is not None and self.adjudication is None:
                self.line[name] = text
            elif qualifier in ("XZ", "VY") and "drug" in self.line:
                self.line["drug"]["prescription_number" if qualifier == "XZ" else "link_number"] = text
        elif self.loop == "claim" and self.claim is not None and self.entity is None:
            if qualifier == "G1":
                self.claim.setdefault("prior_authorization_numbers", []).append(text)
            else:
                name = {
                    "9F": "referral_number",
                    "F8": "payer_claim_control_number",
                    "X4": "clia_number",
                    "EW": "mammography_certification",
                    "LX": "ide_number",
                }.get(qualifier or "")
                if name is not None:
                    self.claim[name] = text
        elif self.loop == "other" and self.other is not None and qualifier == "F8":
            self.other["payer_claim_control_number"] = text

    def date(self, segment: Segment) -> None:
        """DTP, by the loop it stands in."""
        qualifier = segment.get(1) or ""
        first, last = self.days(segment)
        if self.loop == "line" and self.line is not None:
            if self.adjudication is not None and qualifier == "573":
                self.adjudication["date"] = first
            elif qualifier == "472":
                self.line["service_from"], self.line["service_through"] = first, last
        elif self.loop == "other" and self.other is not None:
            if qualifier == "573":
                self.other["adjudication_date"] = first
        elif self.claim is not None:
            if qualifier == "439":
                self.claim.setdefault("accident", {})["date"] = first
            elif qualifier in CLAIM_DATES:
                self.claim.setdefault("dates", {})[CLAIM_DATES[qualifier]] = first

    def health_information(self, segment: Segment) -> None:
        """HI: diagnoses, anaesthesia procedures, condition codes."""
        if self.claim is None:
            return
        for index in range(1, len(segment.elements)):
            parts = segment.parts(index)
            qualifier, code = part_of(parts, 0), part_of(parts, 1)
            if code is None:
                continue
            if qualifier in ("ABK", "BK", "ABF", "BF"):
                known = self.claim.setdefault("diagnoses", [])
                known.append({"sequence": len(known) + 1, "code": code, "type": "principal" if qualifier.endswith("K") else "secondary"})
            elif qualifier in ("BP", "BO"):
                self.claim.setdefault("anesthesia_procedures", []).append(code)
            elif qualifier == "BG":
                self.claim.setdefault("condition_codes", []).append(code)

    def adjustment(self, segment: Segment) -> None:
        """CAS of 2320 or 2430: up to six triplets."""
        holder = self.adjudication if self.adjudication is not None else self.other
        if holder is None:
            return
        for index in range(2, min(len(segment.elements), 20), 3):
            amount = self.value(segment, index + 1, Money.parse, "amount")
            if segment.get(index) is not None and amount is not None:
                holder.setdefault("adjustments", []).append(
                    Adjustment(
                        group_code=segment.get(1) or "", carc=segment.get(index) or "", amount=amount, quantity=segment.get(index + 2)
                    )
                )

    def amount(self, segment: Segment) -> None:
        """AMT: patient paid (F5), payer paid (D)."""
        paid = self.value(segment, 2, Money.parse, "amount")
        if segment.get(1) == "D" and self.loop == "other" and self.other is not None:
            self.other["paid_amount"] = paid
        elif segment.get(1) == "F5" and self.loop == "claim" and self.claim is not None:
            self.claim["patient_paid_amount"] = paid

    def detail(self, segment: Segment) -> None:
        """PWK, NTE, CR1, CRC, MOA of the claim (or the line, for PWK)."""
        if self.claim is None:
            return
        name = segment.name
        if name == "PWK":
            number = self.line["line_number"] if self.line is not None else None
            self.claim.setdefault("attachments", []).append(
                {"report_type": segment.get(1), "transmission": segment.get(2), "control_number": segment.get(6), "line_number": number}
            )
        elif name == "NTE" and segment.get(2):
            self.claim.setdefault("notes", []).append({"type": segment.get(1), "text": segment.get(2)})
        elif name == "CR1" and self.line is None:
            self.claim.setdefault("ambulance", {}).update({"reason": segment.get(4), "miles": segment.get(6)})
        elif name == "CRC" and self.line is None:
            codes = tuple(code for code in segment.elements[3:8] if code)
            if segment.get(1) == "07":
                self.claim.setdefault("ambulance", {})["conditions"] = codes
            elif segment.get(1) == "ZZ":
                self.claim["epsdt"] = {"referral": segment.get(2), "condition_codes": codes}
            elif segment.get(1) == "75":
                self.claim["homebound"] = segment.get(2) == "Y"
        elif name == "MOA" and self.other is not None:
            self.other["remarks"] = tuple(code for code in segment.elements[3:8] if code)

    # -- line (2400)

    def open_line(self, segment: Segment) -> None:
        if self.claim is None:
            return
        lines = self.claim.setdefault("service_lines", [])
        number = self.value(segment, 1, int, "whole number")
        self.line = {"line_number": number if number is not None else len(lines) + 1}
        lines.append(self.line)
        self.loop, self.entity, self.other, self.adjudication = "line", None, None, None

    def service(self, segment: Segment) -> None:
        """SV1."""
        if self.line is None:
            return
        procedure = segment.parts(1)
        charge = self.value(segment, 2, Money.parse, "amount")
        if charge is None and segment.get(2) is None:
            self.fail(segment, "x12.required", "The line has no charge (SV102).", "Send the charge of the line.")
        basis = segment.get(3)
        if basis is not None and basis not in ("UN", "MJ", "DA", "F2"):
            self.fail(segment, "x12.unit_basis", "SV103 is not a unit this guide knows.", "Send UN or MJ.")
            basis = None
        pointers: list[int] = []
        for text in segment.parts(7):
            if text.isdigit() and text.isascii() and len(text) <= 2:
                pointers.append(int(text))
            elif text:
                self.fail(
                    segment, "x12.pointer", "SV107 holds a pointer that is no number.", "Point to diagnoses by their position, 1 to 12."
                )
        self.line |= {
            "procedure_code": part_of(procedure, 1), "modifiers": tuple(code for code in procedure[2:6] if code), "description": part_of(procedure, 6), "charge_amount": charge,
            "unit_basis": basis, "unit_count": self.value(segment, 4, Quantity.parse, "quantity"), "place_of_service_code": segment.get(5), "diagnosis_pointers": tuple(pointers),
            "emergency": segment.get(9), "epsdt": segment.get(11), "family_planning": segment.get(12),
        }  # fmt: skip

    def line_detail(self, segment: Segment) -> None:
        """SV5, LIN, CTP, SVD."""
        if self.line is None:
            return
        if segment.name == "SV5":
            self.line["dme"] = {
                "rental_price": self.value(segment, 4, Money.parse, "amount"),
                "purchase_price": self.value(segment, 5, Money.parse, "amount"),
                "months": segment.get(3),
            }
        elif segment.name == "LIN" and segment.get(2) == "N4":
            self.line["drug"] = {"ndc": segment.get(3)}
        elif segment.name == "CTP" and "drug" in self.line:
            self.line["drug"] |= {"quantity": self.value(segment, 4, Quantity.parse, "quantity"), "unit": part_of(segment.parts(5), 0)}
        elif segment.name == "SVD":
            procedure = segment.parts(3)
            bundled = self.value(segment, 6, int, "whole number")
            self.adjudication = {
                "payer_id": segment.get(1), "paid_amount": self.value(segment, 2, Money.parse, "amount"), "procedure_code": part_of(procedure, 1),
                "modifiers": tuple(code for code in procedure[2:6] if code), "paid_units": self.value(segment, 5, Quantity.parse, "quantity"), "bundled_line": bundled,
            }  # fmt: skip
            self.line.setdefault("prior_adjudication", []).append(self.adjudication)


_HANDLERS: dict[str, Callable[[_Reader, Segment], None]] = {
    "HL": _Reader.hierarchy, "SBR": _Reader.subscriber_information, "NM1": _Reader.name, "N3": _Reader.place, "N4": _Reader.place, "DMG": _Reader.demographics,
    "PRV": _Reader.specialty, "PAT": _Reader.patient_information, "CLM": _Reader.open_claim, "REF": _Reader.reference, "DTP": _Reader.date, "HI": _Reader.health_information,
    "CAS": _Reader.adjustment, "AMT": _Reader.amount, "PWK": _Reader.detail, "NTE": _Reader.detail, "CR1": _Reader.detail, "CRC": _Reader.detail, "MOA": _Reader.detail,
    "LX": _Reader.open_line, "SV1": _Reader.service, "SV5": _Reader.line_detail, "LIN": _Reader.line_detail, "CTP": _Reader.line_detail, "SVD": _Reader.line_detail,
}  # fmt: skip


def read_837p(data: bytes) -> list[ReadClaim]:
    """Every claim of every transaction, in file order; X12Error refuses the file."""
    found: list[ReadClaim] = []
    for transaction in transactions(data):
        found.extend(_read_transaction(transaction))
    if not found:
        raise fault("x12.no_claims", "file", "The file holds no claim (CLM).", "Send an 837P with at least one claim.")
    return found


def _read_transaction(transaction: Transaction) -> Iterable[ReadClaim]:
    where = transaction.segments[0].where()
    if transaction.kind != "837":
        raise fault("x12.not_837", where, "The transaction is not an 837.", "Send claims (837) here.")
    if transaction.version.startswith("004010"):
        raise fault(
            "x12.version_4010", where, "The transaction is version 4010, which was replaced by 5010 on 2012-01-01.", "Send 005010X222A1."
        )
    if not transaction.version.startswith(VERSION):
        raise fault(
            "x12.version",
            where,
            "The transaction is not a professional claim of version 005010X222A1.",
            "Send 837P; institutional and dental claims are taken as JSON.",
        )
    reader = _Reader()
    for segment in transaction.segments:
        handler = _HANDLERS.get(segment.name)
        if handler is not None:
            handler(reader, segment)
    reader.finish()
    return reader.found
