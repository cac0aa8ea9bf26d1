"""Values of FHIR as those of a claim, and the faults found on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TypeVar

from rules_service.claim.parties import Address
from rules_service.formats.fhir import resources as r
from rules_service.primitives.errors import Issue
from rules_service.primitives.money import Money, Quantity

T = TypeVar("T")
MAX_ISSUES = 20
"""Of one claim; the rest would say the same."""

NPI = ("http://hl7.org/fhir/sid/us-npi",)
TAX_ID = ("urn:oid:2.16.840.1.113883.4.4", "http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1")
TAXONOMY = ("http://nucc.org/provider-taxonomy", "http://nucc.org/provider-taxonomy/", "urn:oid:2.16.840.1.113883.6.101")
PROCEDURES = (
    "http://www.ama-assn.org/go/cpt", "urn:oid:2.16.840.1.113883.6.12", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "urn:oid:2.16.840.1.113883.6.285", "http://www.ada.org/cdt",
)  # fmt: skip
DIAGNOSES = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.90")
NDC = ("http://hl7.org/fhir/sid/ndc", "urn:oid:2.16.840.1.113883.6.69")


class Faults:
    """What is wrong with a resource, each with a FHIRPath expression."""

    def __init__(self) -> None:
        self.found: list[Issue] = []

    def add(self, code: str, where: str, message: str, mend: str) -> None:
        """Note a fault."""
        if len(self.found) < MAX_ISSUES:
            self.found.append(Issue(f"fhir.{code}", where, message, mend))

    def read(self, where: str, value: str | None, read: Callable[[str], T], what: str, mend: str) -> T | None:
        """A text in its type; a fault and None when it does not have its form."""
        if value is None:
            return None
        try:
            return read(value)
        except ValueError:
            self.add("value", where, f"The value is not {what}.", mend)
            return None

    def day(self, where: str, value: str | None) -> date | None:
        """A date, or the day of an instant. A year or month alone is no day."""
        return self.read(where, value, day_of, "a whole day", "Send YYYY-MM-DD.")

    def money(self, where: str, value: r.Money | None) -> Money | None:
        """An amount in dollars and cents."""
        if value is None or value.value is None:
            return None
        if value.currency not in (None, "USD"):
            self.add("currency", f"{where}.currency", "Amounts are in US dollars.", "Send USD.")
        return self.read(f"{where}.value", plain(value.value), Money.parse, "an amount of dollars and cents", "Send at most two decimals.")

    def quantity(self, where: str, value: Decimal | None) -> Quantity | None:
        """A number of units."""
        text = None if value is None else plain(value)
        return self.read(where, text, Quantity.parse, "a quantity", "Send at most three decimals.")


def plain(value: Decimal) -> str:
    """A decimal without an exponent."""
    return format(value, "f") if abs(value.adjusted()) < 40 else "too long"


def day_of(text: str) -> date:
    """YYYY-MM-DD, alone or at the start of an instant; ValueError otherwise."""
    if len(text) > 10 and text[10] != "T":
        raise ValueError("not a day")
    return date.fromisoformat(text[:10])


def code_of(concept: r.CodeableConcept | None, systems: tuple[str, ...] = ()) -> str | None:
    """The code of one of the systems, else the first code there is."""
    coded = [one for one in concept.coding if one.code] if concept is not None else []
    return next((one.code for one in coded if one.system in systems), coded[0].code if coded else None)


def code_in(concept: r.CodeableConcept | None, systems: tuple[str, ...]) -> str | None:
    """The code of one of the systems and no other."""
    return next((one.code for one in concept.coding if one.system in systems and one.code), None) if concept is not None else None


def codes_of(concept: r.CodeableConcept | None) -> set[str]:
    """All its codes, in lower case."""
    return {one.code.lower() for one in concept.coding if one.code} if concept is not None else set()


def value_in(identifiers: tuple[r.Identifier, ...], systems: tuple[str, ...], types: tuple[str, ...] = ()) -> str | None:
    """The value of the first identifier of one of the systems, else of one of the types (HL7 table 0203)."""
    by_system = (one.value for one in identifiers if one.system in systems and one.value)
    by_type = (one.value for one in identifiers if one.value and codes_of(one.type) & {kind.lower() for kind in types})
    return next(by_system, None) or next(by_type, None)


def address_of(found: tuple[r.Address, ...] | r.Address | None) -> Address | None:
    """The first address, as N3 and N4 would have it: ZIP without its dash, no country at home."""
    first = found if isinstance(found, r.Address) else found[0] if found else None
    if first is None:
        return None
    lines = (*first.line, None, None)
    country = None if first.country in (None, "US", "USA") else first.country
    zip_code = first.postal_code.replace("-", "") if first.postal_code else None
    return Address(line1=lines[0], line2=lines[1], city=first.city, state=first.state, zip=zip_code, country=country)
