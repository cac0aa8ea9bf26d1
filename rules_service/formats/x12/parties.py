"""Loops 2000 and 2010 of an 837: the hierarchy, and the parties of its levels. A new HL forgets what belonged to the one before it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, ClassVar, TypeVar

from rules_service.claim.claim import Claim
from rules_service.formats.x12.drafts import Draft, day_of, span_of
from rules_service.formats.x12.places import Places, Position
from rules_service.formats.x12.segments import Segment
from rules_service.primitives.errors import Issue, RulesServiceError
from rules_service.primitives.money import Money

T = TypeVar("T")

MAX_ISSUES = 20
"""Of one claim; the rest would say the same."""
PARENTS = {"22": "20", "23": "22"}
"""HL03 of a level and of the one it belongs to: patient, subscriber, billing provider."""
LEVELS = {"85": "billing", "87": "billing", "PE": "billing", "IL": "subscriber", "PR": "subscriber", "QC": "patient"}
"""NM101 of the parties of a level, and the level."""
RESPONSIBILITY = {"P": "primary", "S": "secondary", "T": "tertiary"}


@dataclass(frozen=True, slots=True)
class Transmission:
    """What an answer to a transaction repeats of it: sender (ISA06), batch (BHT03), submitter (NM1*41), and the delimiters: element, component,
    repetition, segment."""

    sender: str = ""
    reference: str = ""
    submitter_name: str = ""
    submitter_id: str = ""
    delimiters: tuple[str, str, str, str] = ("*", ":", "^", "~")


@dataclass(frozen=True, slots=True)
class ReadClaim:
    """A claim, or why it could not be read, with the number of its CLM segment, where its parts stand, and CLM01 as it was sent. `charge` and
    `days` (first and last) are what could be read of a claim that could not."""

    outcome: Claim | RulesServiceError
    segment: int
    places: Mapping[str, Position] = field(default_factory=dict)
    patient_control_number: str = ""
    transmission: Transmission = field(default_factory=Transmission)
    charge: Money | None = None
    days: tuple[date, date] | None = None


@dataclass
class PartyLoops(ABC):
    """Loop state of one transaction."""

    CLAIM_ROLES: ClassVar[Mapping[str, str]] = {}
    LINE_ROLES: ClassVar[Mapping[str, str]] = {}
    """NM101 of loops 2310 and 2420, and the roles they stand for here."""

    transmission: Transmission = field(default_factory=Transmission)
    found: list[ReadClaim] = field(default_factory=list)
    billing: Draft = field(default_factory=dict)
    subscriber: Draft = field(default_factory=dict)
    payer: Draft = field(default_factory=dict)
    patient: Draft | None = None
    property_claims: dict[str, str] = field(default_factory=dict)
    """REF*Y4 of the open subscriber and patient: the number of the property and casualty payer's claim."""
    claim: Draft | None = None
    line: Draft | None = None
    other: Draft | None = None
    adjudication: Draft | None = None
    entity: Draft | None = None
    loop: str = "header"
    issues: list[Issue] = field(default_factory=list)
    billing_issues: list[Issue] = field(default_factory=list)
    """Faults of the billing provider, which are faults of every claim under it."""
    party_issues: list[Issue] = field(default_factory=list)
    """Faults of the subscriber, which are faults of each of their claims."""
    patient_issues: list[Issue] = field(default_factory=list)
    """Faults of a patient that is none."""
    levels: dict[str, list[str]] = field(default_factory=dict)
    """HL01 of the levels of each kind (HL03), the open one last."""
    start: int = 0
    places: Places = field(default_factory=Places)

    def take(self, segment: Segment, handler: Callable[[Any, Segment], None]) -> None:
        """Handle a segment and note where it stands."""
        listed = len((self.claim or {}).get("diagnoses", ()))
        handler(self, segment)
        code = segment.get(1) or ""
        if segment.name == "HL":
            self.places.level(segment.get(3))
        elif self.claim is None:
            self.places.of_party(segment)
        elif self.line is not None:
            self.places.of_line(segment, len(self.claim["service_lines"]) - 1, self.LINE_ROLES.get(code))
        else:
            added = range(listed, len(self.claim.get("diagnoses", ())))
            role = self.CLAIM_ROLES.get(code) if self.loop == "claim" else None
            self.places.of_claim(segment, added, len(self.claim.get("other_payers", ())), role)

    def fail(self, segment: Segment, code: str, message: str, mend: str, level: str | None = None) -> None:
        """Note a fault of the claim being read; with `level`, of every claim until that level ends."""
        of_level = {"patient": self.patient_issues, "billing": self.billing_issues}.get(level or self.loop, self.party_issues)
        issues = of_level if level is not None or self.claim is None else self.issues
        if len(issues) < MAX_ISSUES:
            issues.append(Issue(code, segment.where(), message, mend))

    def value(self, segment: Segment, index: int, read: Callable[[str], T], what: str) -> T | None:
        """An element in its type; a fault and None when it does not have its form."""
        return self.read(segment, segment.get(index), read, what, f"Element {index:02d}")

    def read(self, segment: Segment, text: str | None, read: Callable[[str], T], what: str, subject: str) -> T | None:
        """The same of any part of a segment, by its name."""
        if text is None:
            return None
        try:
            return read(text)
        except ValueError:
            article = "an" if what[0] in "aeiou" else "a"
            mend = "Check it against the implementation guide."
            self.fail(segment, f"x12.{what}", f"{subject} is not {article} {what}.", mend)
            return None

    def days(self, segment: Segment) -> tuple[date | None, date | None]:
        """DTP: a day (D8) or a range (RD8)."""
        if segment.get(2) == "RD8":
            return self.value(segment, 3, span_of, "date") or (None, None)
        if segment.get(2) != "D8":
            self.fail(segment, "x12.date", "Element 02 does not say that a day (D8) or a range of days (RD8) follows.", "Send D8 or RD8.")
            return None, None
        day = self.value(segment, 3, day_of, "date")
        return day, day

    def beginning(self, segment: Segment) -> None:
        """BHT: the submitter's number of the batch."""
        self.transmission = replace(self.transmission, reference=segment.get(3) or "")

    def unknown(self, segment: Segment) -> None:
        """A segment that no 837 has: what it was meant to say (another claim, or the level of those that follow) would be lost."""
        mend = "Check its identifier against the implementation guide."
        self.fail(segment, "x12.segment", "The guide has no segment of this name.", mend, "billing")

    def _out_of_level(self, segment: Segment, level: str) -> None:
        """A party of a level that never began: it is not the one of the claims before, and they are not its."""
        mend = "Send HL before the billing provider, subscriber or patient of the claims that follow."
        self.fail(segment, "x12.hierarchy", "A party of a level stands inside of a claim.", mend, level)

    def hierarchy(self, segment: Segment) -> None:
        self.finish()
        level = segment.get(3)
        if level == "20":
            self.billing, self.subscriber, self.payer, self.patient, self.property_claims = {}, {}, {}, None, {}
            self.billing_issues, self.party_issues, self.patient_issues, self.loop = [], [], [], "billing"
        elif level == "22":
            self.subscriber, self.payer, self.patient, self.property_claims = {}, {}, None, {}
            self.party_issues, self.patient_issues, self.loop = [], [], "subscriber"
        elif level == "23":
            self.patient = {}
            self.property_claims.pop("patient", None)
            self.patient_issues, self.loop = [], "patient"
        else:
            mend = "Send 20 (billing provider), 22 (subscriber) or 23 (patient) in HL03."
            self.fail(
                segment,
                "x12.hierarchy",
                "HL03 is none of the levels of an 837: whose claims follow is not known.",
                mend,
                "billing",
            )
        self.entity = None
        above, parent = self.levels.get(PARENTS.get(level or "", ""), [""]), segment.get(2) or ""
        # A patient belongs to whom HL02 says. A subscriber of no billing provider of the file is the open one's, by its place.
        if level in PARENTS and parent != above[-1] and (level == "23" or parent in above):
            self.fail(
                segment,
                "x12.hierarchy",
                "HL02 does not name the level that stands above this one.",
                "Send each subscriber after its billing provider and each patient after its subscriber, with HL01 of that level in HL02.",
            )
        self.levels.setdefault(level or "", []).append(segment.get(1) or "")

    def once(self, segment: Segment, known: object) -> None:
        """A fault where what a segment says was said already: neither of the two can be believed."""
        if known:
            self.fail(segment, "x12.repeated", f"{segment.name} says again what stands once in its loop.", "Send the segment once.")

    def subscriber_information(self, segment: Segment) -> None:
        """SBR of 2000B, or of 2320 once a claim is open."""
        responsibility = RESPONSIBILITY.get(segment.get(1) or "", "other")
        if self.claim is not None:
            if "service_lines" in self.claim:  # other payers stand before the lines
                self._out_of_level(segment, "subscriber")
            self.other = {
                "responsibility": responsibility,
                "claim_filing_indicator_code": segment.get(9),
                "msp_type_code": segment.get(5),
                "subscriber": {"relationship_code": segment.get(2)},
            }
            self.claim.setdefault("other_payers", []).append(self.other)
            self.loop, self.line = "other", None
            return
        self.once(segment, "responsibility" in self.payer)
        self.payer["responsibility"] = responsibility
        self.subscriber["relationship_code"] = segment.get(2)
        self.payer |= {"group_number": segment.get(3), "msp_type_code": segment.get(5), "claim_filing_indicator_code": segment.get(9)}

    def name(self, segment: Segment) -> None:
        """NM1: opens the entity that N3, N4, DMG, PRV and REF after it belong to."""
        code = segment.get(1) or ""
        entity: Draft = {}
        self.entity = entity
        if self.loop in ("claim", "line") and self.claim is not None:
            roles = self.LINE_ROLES if self.line is not None else self.CLAIM_ROLES
            role = roles.get(code)
            if role is not None:
                holder = self.line if self.line is not None else self.claim
                providers = holder.setdefault("providers", {})
                if role != "referring":  # the guide lets two of them stand: the first is who referred
                    self.once(segment, role in providers)
                providers.setdefault(role, entity)
                self._provider(entity, segment)
            elif code in LEVELS:
                self._out_of_level(segment, LEVELS[code])
            elif code in ("PW", "45"):
                holder = self.line if self.line is not None else self.claim
                holder.setdefault("ambulance", {})["pickup" if code == "PW" else "dropoff"] = entity
            return
        if self.loop == "other" and self.other is not None:
            if code == "IL":
                self.once(segment, "last_name" in self.other["subscriber"])
                self.other["subscriber"] |= self._person(segment)
                self.entity = self.other["subscriber"]
            elif code == "PR":
                self.once(segment, "payer_id" in self.other)
                self.other["payer_id"] = segment.get(9)
            return
        if code == "85":
            self.once(segment, "entity_type" in self.billing)
            self.billing |= entity
            self.entity = self.billing
            self._provider(self.billing, segment)
        elif code == "IL":
            self.once(segment, "last_name" in self.subscriber)
            self.subscriber |= self._person(segment)
            self.entity = self.subscriber
        elif code == "QC" and self.patient is None:
            mend = "Send the patient in a level of its own (HL03 23), or as the subscriber with relationship 18."
            self.fail(segment, "x12.hierarchy", "A patient is named outside of a patient's level.", mend)
        elif code == "QC" and self.patient is not None:
            self.once(segment, "last_name" in self.patient)
            self.patient |= self._person(segment)
            self.entity = self.patient
        elif code == "41":
            self.transmission = replace(self.transmission, submitter_name=segment.get(3) or "", submitter_id=segment.get(9) or "")
        elif code == "PR":
            self.once(segment, "payer_id" in self.payer)
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
        self.once(segment, ("line1" if segment.name == "N3" else "city") in address)
        if segment.name == "N3":
            address |= {"line1": segment.get(1), "line2": segment.get(2)}
        else:
            address |= {"city": segment.get(1), "state": segment.get(2), "zip": segment.get(3), "country": segment.get(4)}

    def demographics(self, segment: Segment) -> None:
        """DMG."""
        if self.entity is not None:
            self.once(segment, "birth_date" in self.entity)
            self.entity["birth_date"] = self.value(segment, 2, day_of, "date")
            self.entity["sex"] = segment.get(3)

    def specialty(self, segment: Segment) -> None:
        """PRV: of 2000A it is billing's, else of the entity before it."""
        holder = self.entity if self.entity is not None else self.billing if self.loop == "billing" else None
        if holder is not None:
            self.once(segment, "taxonomy_code" in holder)
            holder["taxonomy_code"] = segment.get(3)

    def patient_information(self, segment: Segment) -> None:
        """PAT."""
        if self.claim is not None:
            self._out_of_level(segment, "patient")
            return
        if self.loop == "patient" and self.patient is not None:
            self.patient["relationship_code"] = segment.get(1)
        if segment.get(5) == "D8":
            holder = self.patient if self.patient is not None else self.subscriber
            holder["death_date"] = self.value(segment, 6, day_of, "date")

    @abstractmethod
    def finish(self) -> None:
        """Close the open claim; the loops of the claim say how."""
