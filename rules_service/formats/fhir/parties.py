"""People, providers and policies of a FHIR claim as those of a canonical one."""

from __future__ import annotations

from typing import Any

from rules_service.claim.parties import Payer, Person, Provider
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.references import Pool, type_and_id
from rules_service.formats.fhir.values import (
    NPI,
    TAX_ID,
    TAXONOMY,
    Faults,
    address_of,
    code_in,
    code_of,
    codes_of,
    payer_identifier,
    value_in,
)

SEX = {"male": "M", "female": "F", "other": "U", "unknown": "U"}
RELATIONSHIPS = {"self": "18", "spouse": "01", "child": "19", "common": "53", "parent": "G8", "injured": "G8", "other": "G8"}
"""Subscriber relationship of HL7 to that of X12 (SBR02, PAT01)."""
FILING_INDICATORS = ("https://x12.org/codes/claim-filing-indicator-codes",)
MENDED = "Put the resource into the Bundle, or contain it in the Claim; nothing is fetched."


class Parties:
    """Reads what references lead to."""

    def __init__(self, resources: Pool, faults: Faults, place: str = "Claim") -> None:
        self._resources, self._faults, self._place = resources, faults, place

    def person(self, where: str, reference: r.Reference | None) -> dict[str, Any]:
        """A Patient or RelatedPerson as the fields of a Person; a fault when it is not here."""
        found = self._resources.find(reference, r.Named)
        if found is None:
            self._faults.add("reference", where, "The reference leads to no resource of the request.", MENDED)
            return {}
        name = _name_of(found) or r.HumanName()
        given = (*name.given, None, None)
        return {
            "last_name": name.family, "first_name": given[0], "middle_name": given[1], "suffix": name.suffix[0] if name.suffix else None,
            "birth_date": self._faults.day(f"{where}.resolve().birthDate", found.birth_date),
            "death_date": self._faults.day(f"{where}.resolve().deceasedDateTime", found.deceased_date_time),
            "sex": SEX.get(found.gender or ""), "address": address_of(found.address),
        }  # fmt: skip

    def provider(self, where: str, reference: r.Reference, qualification: r.CodeableConcept | None = None) -> Provider | None:
        """A Practitioner, PractitionerRole, Organization or Location as a provider, or a reference by identifier alone; a fault otherwise."""
        found = self._resources.find(reference, r.Named)
        if found is None:
            if reference.identifier is None:
                self._faults.add("reference", where, "The reference leads to no resource of the request and gives no identifier.", MENDED)
                return None
            own = (reference.identifier,)
            return Provider(
                npi=value_in(own, NPI, ("NPI",)), tax_id=value_in(own, TAX_ID, ("TAX", "EN")), taxonomy_code=code_in(qualification, TAXONOMY),
                last_or_organization_name=reference.display,
            )  # fmt: skip
        person = found
        if found.resource_type == "PractitionerRole":
            person = self._resources.find(found.practitioner, r.Named) or self._resources.find(found.organization, r.Named) or found
        held = (*person.identifier, *(found.identifier if found is not person else ()))
        types = found.type if isinstance(found.type, tuple) else (found.type,)
        taxonomies = (qualification, *found.specialty, *person.specialty, *types, *(one.code for one in person.qualification))
        name = _name_of(person)
        return Provider(
            entity_type="1" if person.resource_type in ("Practitioner", "PractitionerRole") else "2",
            npi=value_in(held, NPI, ("NPI",)),
            tax_id=value_in(held, TAX_ID, ("TAX", "EN")),
            taxonomy_code=next((code for one in taxonomies if (code := code_in(one, TAXONOMY))), None),
            last_or_organization_name=person.name if isinstance(person.name, str) else name.family if name else None,
            first_name=name.given[0] if name and name.given else None,
            address=address_of(person.address),
        )

    def coverage(self, where: str, reference: r.Reference) -> r.Coverage | None:
        """A Coverage; a fault when it is not here."""
        found = self._resources.find(reference, r.Coverage)
        if found is None:
            self._faults.add("reference", where, "The reference leads to no Coverage of the request.", MENDED)
        elif found.status in ("cancelled", "entered-in-error"):
            mend = "Name the policy that is in force."
            self._faults.add("coverage", f"{where}.resolve().status", "The policy is cancelled, or was entered in error.", mend)
        return found

    def _is_other(self, named: r.Reference | None, patient: r.Reference) -> bool:
        """Whether a reference names a Patient that is not the claim's; of one that is not here, by its name."""
        found, own = self._resources.find(named, r.Named), self._resources.find(patient, r.Named)
        if found is not None and found.resource_type != "Patient":
            return False
        if found is not None and own is not None:
            return found != own
        told = f"Patient/{found.id}" if found is not None and found.id else type_and_id(named.reference) if named is not None else ""
        mine = f"Patient/{own.id}" if own is not None and own.id else type_and_id(patient.reference)
        if "#" in (patient.reference or ""):  # contained: it has no name by which it could be another
            return False
        return bool(told) and told != mine and (own is not None or mine.startswith("Patient/"))

    def insured(self, where: str, coverage: r.Coverage | None, patient: r.Reference) -> tuple[Person, str]:
        """The subscriber of a policy and the patient's relationship to it (18: they are the same person)."""
        if coverage is None:
            return Person(), ""
        member_id = coverage.subscriber_id or value_in(coverage.identifier, (), ("MB",))
        member_id = member_id or next((one.value for one in coverage.identifier if one.value), None)
        named = coverage.subscriber.reference if coverage.subscriber is not None else None
        told = next((RELATIONSHIPS[code] for code in codes_of(coverage.relationship) if code in RELATIONSHIPS), None)
        if self._is_other(coverage.beneficiary, patient):
            mend = "Name the policy of the claim's patient."
            self._faults.add("coverage", f"{where}.resolve().beneficiary", "The policy is another person's.", mend)
        if told == "18" and self._is_other(coverage.subscriber, patient):
            message = "The relationship is self, and the subscriber is another person than the patient."
            self._faults.add("coverage", f"{where}.resolve().subscriber", message, "Send the relationship to the subscriber.")
        relationship = told or ("18" if named in (None, patient.reference) else "21")
        if relationship == "18":
            return Person(**self.person(f"{self._place}.patient", patient), member_id=member_id, relationship_code="18"), relationship
        holder = self.person(f"{where}.resolve().subscriber", coverage.subscriber) if named else {}
        return Person(**holder, member_id=member_id), relationship

    def payer_id(self, where: str, reference: r.Reference | None) -> tuple[str | None, str | None]:
        """(id, name) of a payer; a fault when the request does not say its id."""
        found = self._resources.find(reference, r.Named)
        held = found.identifier if found is not None else ()
        if reference is not None and reference.identifier is not None:
            held = (*held, reference.identifier)
        name = found.name if found is not None and isinstance(found.name, str) else reference.display if reference is not None else None
        value = payer_identifier(held)
        if value is None:
            self._faults.add(
                "payer",
                where,
                "The payer has no identifier.",
                "Give Organization.identifier, or Reference.identifier, with the payer's id.",
            )
        return value, name

    def payer(self, coverage: r.Coverage | None, insurer: r.Reference | None, told: dict[str, Any]) -> Payer:
        """The destination payer, with what the policy, and the claim besides, say of the plan."""
        reference = insurer or (coverage.payor[0] if coverage is not None and coverage.payor else None)
        value, name = self.payer_id(f"{self._place}.insurer", reference)
        classes = {code: one.value for one in (coverage.class_ if coverage is not None else ()) for code in codes_of(one.type)}
        filing = code_in(coverage.type, FILING_INDICATORS) if coverage is not None else None
        return Payer(
            payer_id=value or "", name=name, claim_filing_indicator_code=filing, group_number=classes.get("group"), plan_id=classes.get("plan"),
            **told,
        )  # fmt: skip


def _name_of(found: r.Named) -> r.HumanName | None:
    """The first name a person goes by now."""
    names = found.name if isinstance(found.name, tuple) else ()
    return next((one for one in names if one.use != "old"), None)


def role_of(role: r.CodeableConcept | None, is_institutional: bool) -> str | None:
    """The role of a member of the care team, by HL7's codes and those of the US claim profiles. Without one, and for HL7's `primary`, it is who
    is responsible: the attending provider of an institutional claim, the rendering one of any other."""
    told = "primary" if role is None else (code_of(role) or "").lower().replace("-", "")
    return "attending" if told == "primary" and is_institutional else ROLES.get(told)


ROLES = {
    "primary": "rendering", "performing": "rendering", "rendering": "rendering", "referring": "referring", "ordering": "ordering", "supervisor": "supervising",
    "supervising": "supervising", "attending": "attending", "operating": "operating", "otheroperating": "other_operating", "assist": "assistant_surgeon",
    "purchasedservice": "purchased_service",
}  # fmt: skip
