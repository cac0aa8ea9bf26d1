"""The three 837 guides, each with the segments only it has: professional (X222A1), institutional (X223A2 or A3), dental (X224A2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any, ClassVar, Literal

from rules_service.claim.claim import (
    Dental,
    Institutional,
    InstitutionalProcedure,
    OccurrenceCode,
    OccurrenceSpan,
    ValueCode,
)
from rules_service.formats.x12.drafts import Draft, day_of, instant_of, number_of, part_of, span_of, struct_of
from rules_service.formats.x12.loops import ClaimLoops
from rules_service.formats.x12.segments import Segment
from rules_service.primitives.money import Money

Handler = Callable[[Any, Segment], None]

ROLES = {"82": "rendering", "DN": "referring", "77": "service_facility"}
PROFESSIONAL_ROLES = {**ROLES, "DQ": "supervising", "DD": "assistant_surgeon"}
HOSPITAL_ROLES = {**ROLES, "72": "operating", "ZZ": "other_operating"}


@dataclass
class Professional(ClaimLoops):
    """005010X222A1."""

    CLAIM_ROLES = PROFESSIONAL_ROLES
    LINE_ROLES: ClassVar = {**PROFESSIONAL_ROLES, "DK": "ordering", "QB": "purchased_service"}
    claim_type: ClassVar[Literal["professional", "institutional", "dental"]] = "professional"

    def service(self, segment: Segment) -> None:
        """SV1."""
        if self.line is not None:
            self.line |= self.charged(segment, procedure=1, charge=2, basis=3, units=4) | {
                "place_of_service_code": segment.get(5), "diagnosis_pointers": self.pointers(segment, 7),
                "emergency": segment.get(9), "epsdt": segment.get(11), "family_planning": segment.get(12),
            }  # fmt: skip

    def equipment(self, segment: Segment) -> None:
        """SV5."""
        if self.line is not None:
            self.once(segment, "dme" in self.line)
            self.line["dme"] = {
                "rental_price": self.value(segment, 4, Money.parse, "amount"),
                "purchase_price": self.value(segment, 5, Money.parse, "amount"),
                "months": segment.get(3),
            }


@dataclass
class InstitutionalGuide(ClaimLoops):
    """005010X223A2; what it alone has is gathered in `own`."""

    CLAIM_ROLES: ClassVar = {**HOSPITAL_ROLES, "71": "attending"}
    LINE_ROLES = HOSPITAL_ROLES
    claim_type: ClassVar[Literal["professional", "institutional", "dental"]] = "institutional"
    own: Draft = field(default_factory=dict)

    def facility(self, parts: list[str]) -> None:
        """CLM05: facility and class (qualifier A), and the frequency, which make the type of bill."""
        facility, frequency = part_of(parts, 0), part_of(parts, 2)
        self.own = {"type_of_bill": f"{facility:0>3}{frequency or ''}" if facility else None}

    def own_parts(self, draft: Draft) -> dict[str, Any]:
        return {
            "institutional": struct_of(
                Institutional, {name: tuple(value) if isinstance(value, list) else value for name, value in self.own.items()}
            )
        }

    def own_date(self, qualifier: str, segment: Segment) -> bool:
        if self.loop != "claim":
            return False
        if qualifier == "434":
            self.once(segment, "statement_from" in self.own)
            self.own["statement_from"], self.own["statement_through"] = self.days(segment)
        elif qualifier == "435":
            self.once(segment, "admission_at" in self.own)
            self._in_form(segment, {"D8": 8, "DT": 12})
            self.own["admission_at"] = self.value(segment, 3, instant_of, "date")
            day = self.own["admission_at"] and day_of((segment.get(3) or "")[:8])
            if self.claim is not None and day:
                self.claim.setdefault("dates", {})["admission"] = day
        elif qualifier == "096":
            self.once(segment, "discharge_hour" in self.own)
            self._in_form(segment, {"TM": 4, "DT": 12})
            text = segment.get(3) or ""
            self.own["discharge_hour"] = text[8:10] if segment.get(2) == "DT" else text[:2]
        return qualifier in ("434", "435", "096")

    def own_days(self) -> list[date | None]:
        return [self.own.get("statement_from"), self.own.get("statement_through")]

    def _in_form(self, segment: Segment, forms: dict[str, int]) -> None:
        """DTP02 is one of the forms, and DTP03 has as many digits as that form."""
        text = segment.get(3) or ""
        if len(text) != forms.get(segment.get(2) or "") or not (text.isascii() and text.isdigit()):
            told = " or ".join(f"{digits} digits after {form}" for form, digits in forms.items())
            self.fail(segment, "x12.date", "Element 03 is not in the form that element 02 says.", f"Send {told}.")

    def own_code(self, segment: Segment, qualifier: str, code: str, parts: list[str]) -> bool:
        if qualifier in ("BR", "BBR", "BQ", "BBQ"):
            procedure = InstitutionalProcedure(code=code, date=self._day(segment, part_of(parts, 3)), principal=qualifier.endswith("R"))
            self.own.setdefault("procedures", []).append(procedure)
        elif qualifier == "BH":
            self.own.setdefault("occurrence_codes", []).append(OccurrenceCode(code=code, date=self._day(segment, part_of(parts, 3))))
        elif qualifier == "BI":
            first, last = self._span(segment, part_of(parts, 3))
            self.own.setdefault("occurrence_spans", []).append(OccurrenceSpan(code=code, from_=first, through=last))
        elif qualifier == "BE":
            amount = self.read(segment, part_of(parts, 4), Money.parse, "amount", "A value code")
            self.own.setdefault("value_codes", []).append(ValueCode(code=code, amount=amount))
        elif qualifier == "DR":
            self.once(segment, "drg" in self.own)
            self.own["drg"] = code
        else:
            return False
        return True

    def _day(self, segment: Segment, text: str | None) -> Any:
        return self.read(segment, text, day_of, "date", "A code of the segment")

    def _span(self, segment: Segment, text: str | None) -> Any:
        return self.read(segment, text, span_of, "date", "A code of the segment") or (None, None)

    def own_reference(self, qualifier: str, text: str) -> None:
        if qualifier == "LU" and self.claim is not None:
            self.claim.setdefault("accident", {})["state"] = text

    def admission(self, segment: Segment) -> None:
        """CL1."""
        if self.claim is not None:
            self.once(segment, "admission_type" in self.own)
            self.own |= {"admission_type": segment.get(1), "admission_source": segment.get(2), "patient_status": segment.get(3)}

    def inpatient_adjudication(self, segment: Segment) -> None:
        """MIA of 2320: remark codes."""
        if self.other is not None:
            self.other["remarks"] = tuple(code for index in (5, 20, 21, 22, 23) if (code := segment.get(index)))

    def service(self, segment: Segment) -> None:
        """SV2."""
        if self.line is not None:
            self.line |= self.charged(segment, procedure=2, charge=3, basis=4, units=5) | {
                "revenue_code": segment.get(1), "noncovered_amount": self.value(segment, 7, Money.parse, "amount"),
            }  # fmt: skip


@dataclass
class DentalGuide(ClaimLoops):
    """005010X224A2: carried and read, judged by the general rules only."""

    CLAIM_ROLES = PROFESSIONAL_ROLES
    LINE_ROLES = PROFESSIONAL_ROLES
    claim_type: ClassVar[Literal["professional", "institutional", "dental"]] = "dental"
    own: Draft = field(default_factory=dict)

    def facility(self, parts: list[str]) -> None:
        super().facility(parts)
        self.own = {}

    def own_parts(self, draft: Draft) -> dict[str, Any]:
        first, last = self.own.pop("service", (None, None))
        for line in draft.get("service_lines", ()):  # DTP*472 of the claim is that of every line without its own
            if line.get("service_from") is None:
                line["service_from"], line["service_through"] = first, last
        teeth = tuple(self.own.pop("missing_teeth", ()))
        return {"dental": struct_of(Dental, {**self.own, "missing_teeth": teeth})} if self.own or teeth else {}

    def own_reference(self, qualifier: str, text: str) -> None:
        if qualifier == "G3":
            self.own["predetermination_id"] = text

    def own_date(self, qualifier: str, segment: Segment) -> bool:
        if self.loop == "claim" and qualifier == "452":
            self.own["banding_date"] = self.days(segment)[0]
        elif self.loop == "claim" and qualifier == "472":
            self.own["service"] = self.days(segment)
        elif self.loop == "line" and qualifier == "441" and self.line is not None:
            self.line.setdefault("prosthesis", {})["prior_date"] = self.days(segment)[0]
        else:
            return False
        return True

    def orthodontics(self, segment: Segment) -> None:
        """DN1."""
        if self.claim is not None:
            self.own["orthodontic_months"] = self.value(segment, 1, number_of, "number")

    def tooth_status(self, segment: Segment) -> None:
        """DN2: a missing tooth."""
        if self.claim is not None and segment.get(2) == "M" and segment.get(1):
            self.own.setdefault("missing_teeth", []).append(segment.get(1))

    def service(self, segment: Segment) -> None:
        """SV3."""
        if self.line is None:
            return
        self.line |= self.charged(segment, procedure=1, charge=2, basis=0, units=6) | {
            "place_of_service_code": segment.get(3), "oral_cavity": tuple(code for code in segment.parts(4) if code),
            "diagnosis_pointers": self.pointers(segment, 11),
        }  # fmt: skip
        if segment.get(5):
            self.line["prosthesis"] = {"type": segment.get(5)}

    def tooth(self, segment: Segment) -> None:
        """TOO."""
        if self.line is not None and segment.get(2):
            surfaces = tuple(code for code in segment.parts(3) if code)
            self.line.setdefault("tooth", []).append({"number": segment.get(2), "surfaces": surfaces})


_SHARED: dict[str, Handler] = {
    "BHT": ClaimLoops.beginning,
    "HL": ClaimLoops.hierarchy, "SBR": ClaimLoops.subscriber_information, "NM1": ClaimLoops.name, "N3": ClaimLoops.place, "N4": ClaimLoops.place,
    "DMG": ClaimLoops.demographics, "PRV": ClaimLoops.specialty, "PAT": ClaimLoops.patient_information, "CLM": ClaimLoops.open_claim,
    "REF": ClaimLoops.reference, "DTP": ClaimLoops.date, "HI": ClaimLoops.health_information, "CAS": ClaimLoops.adjustment, "AMT": ClaimLoops.amount, "OI": ClaimLoops.other_insurance,
    "PWK": ClaimLoops.detail, "NTE": ClaimLoops.detail, "CR1": ClaimLoops.detail, "CRC": ClaimLoops.detail, "MOA": ClaimLoops.detail,
    "LX": ClaimLoops.open_line, "LIN": ClaimLoops.line_detail, "CTP": ClaimLoops.line_detail, "SVD": ClaimLoops.line_detail,
}  # fmt: skip
UNREAD = frozenset(
    {"ST", "SE", "N2", "PER", "CUR", "CN1", "K3", "CR2", "CR3", "CR6", "HCP", "HSD", "MEA", "PS1", "LQ", "FRM", "QTY", "MOA", "MIA"}
)
"""Segments of the guides that say nothing a claim here holds."""
GUIDES: dict[str, tuple[type[ClaimLoops], dict[str, Handler]]] = {
    "005010X222": (Professional, {**_SHARED, "SV1": Professional.service, "SV5": Professional.equipment}),
    "005010X223": (
        InstitutionalGuide,
        {**_SHARED, "SV2": InstitutionalGuide.service, "CL1": InstitutionalGuide.admission, "MIA": InstitutionalGuide.inpatient_adjudication},
    ),
    "005010X224": (
        DentalGuide,
        {
            **_SHARED, "SV3": DentalGuide.service, "TOO": DentalGuide.tooth, "DN1": DentalGuide.orthodontics, "DN2": DentalGuide.tooth_status,
        },
    ),
}  # fmt: skip
"""The reader of each guide, by the beginning of its version, with what it does at a segment."""
