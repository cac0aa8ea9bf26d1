"""Values of FHIR as those of a claim, and the faults found on the way."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import TypeVar

from rules_service.claim.parties import Address
from rules_service.formats.fhir import resources as r
from rules_service.primitives.errors import Issue
from rules_service.primitives.money import Money, Quantity

T = TypeVar("T")
MAX_DIGITS = 15
MAX_ISSUES = 20
"""Of one claim; the rest would say the same."""

NPI = ("http://hl7.org/fhir/sid/us-npi",)
TAX_ID = ("urn:oid:2.16.840.1.113883.4.4", "http://hl7.org/fhir/sid/us-ssn", "urn:oid:2.16.840.1.113883.4.1")
TAXONOMY = ("http://nucc.org/provider-taxonomy", "http://nucc.org/provider-taxonomy/", "urn:oid:2.16.840.1.113883.6.101")
PROCEDURES = (
    "http://www.ama-assn.org/go/cpt", "urn:oid:2.16.840.1.113883.6.12", "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "urn:oid:2.16.840.1.113883.6.285", "http://www.ada.org/cdt",
)  # fmt: skip
MODIFIERS = (
    *PROCEDURES,
    "http://terminology.hl7.org/CodeSystem/modifiers",
    "https://www.nubc.org/CodeSystem/Modifiers",
    "urn:oid:2.16.840.1.113883.6.14",
)
DIAGNOSES = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10", "urn:oid:2.16.840.1.113883.6.90")
NDC = ("http://hl7.org/fhir/sid/ndc", "urn:oid:2.16.840.1.113883.6.69")


ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?")


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

    def number(self, where: str, value: Decimal | None) -> Decimal | None:
        """A number that can be reckoned with."""
        if value is not None and not is_reasonable(value):
            self.add("value", where, "The value is no number of a claim.", "Send a number of at most fifteen digits.")
            return None
        return value

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


def is_reasonable(value: Decimal) -> bool:
    """Whether a decimal is finite and of a size that occurs."""
    return value.is_finite() and abs(value.adjusted()) <= MAX_DIGITS and len(value.as_tuple().digits) <= MAX_DIGITS


def plain(value: Decimal) -> str:
    """A decimal without an exponent; a text that is no number for one nobody can reckon with."""
    return format(value, "f") if is_reasonable(value) else "no number"


def day_of(text: str) -> date:
    """YYYY-MM-DD, alone or at the start of an instant; ValueError otherwise."""
    if not _DAY.fullmatch(text):
        raise ValueError("not a day")
    return date.fromisoformat(text[:10])


def clock_of(text: str | None) -> str | None:
    """The hour and minute of an instant, as it is written; None for a day alone."""
    return text[11:16] if text is not None and len(text) >= 16 and _DAY.fullmatch(text) else None


def code_of(concept: r.CodeableConcept | None, systems: tuple[str, ...] = ()) -> str | None:
    """The code of one of the systems, else one that names no system; where no system is asked for, the first code there is."""
    coded = [one for one in concept.coding if one.code and one.system != ABSENT] if concept is not None else []
    found = next((one.code for one in coded if one.system in systems), None)
    return found or next((one.code for one in coded if not systems or one.system is None), None)


def payer_identifier(identifiers: tuple[r.Identifier, ...]) -> str | None:
    """A payer's id: the first identifier that is none of a provider or taxpayer."""
    return next((one.value for one in identifiers if one.value and one.system not in (*NPI, *TAX_ID)), None)


def code_in(concept: r.CodeableConcept | None, systems: tuple[str, ...]) -> str | None:
    """The code of one of the systems and no other."""
    return next((one.code for one in concept.coding if one.system in systems and one.code), None) if concept is not None else None


def codes_of(concept: r.CodeableConcept | None) -> tuple[str, ...]:
    """All its codes in their order, in lower case."""
    return tuple(one.code.lower() for one in concept.coding if one.code) if concept is not None else ()


def value_in(identifiers: tuple[r.Identifier, ...], systems: tuple[str, ...], types: tuple[str, ...] = ()) -> str | None:
    """The value of the first identifier of one of the systems, else of one of the types (HL7 table 0203)."""
    by_system = (one.value for one in identifiers if one.system in systems and one.value)
    by_type = (one.value for one in identifiers if one.value and set(codes_of(one.type)) & {kind.lower() for kind in types})
    return next(by_system, None) or next(by_type, None)


def address_of(found: tuple[r.Address, ...] | r.Address | None) -> Address | None:
    """The first address, as N3 and N4 would have it: ZIP without its dash, no country at home."""
    first = found if isinstance(found, r.Address) else found[0] if found else None
    if first is None:
        return None
    lines = (*(one for one in first.line if one), None, None)
    country = None if first.country in (None, "US", "USA") else first.country
    zip_code = first.postal_code.replace("-", "") if first.postal_code else None
    return Address(line1=lines[0], line2=lines[1], city=first.city, state=first.state, zip=zip_code, country=country)
