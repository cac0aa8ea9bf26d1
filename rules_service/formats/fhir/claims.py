"""A FHIR R4 Claim, alone with contained resources or in a Bundle, as a canonical claim (domain table of docs/fhir.md).

Resources that are not in the request are never fetched. A payer without an id, a provider, patient or policy that is not here make no claim:
read as absent they would give findings about things that were only not sent.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import (
    Accident,
    Claim,
    ClaimDates,
    ClaimType,
    Dental,
    Diagnosis,
    DiagnosisType,
    Institutional,
    InstitutionalProcedure,
)
from rules_service.claim.parties import ClaimProviders, Person, Provider
from rules_service.formats.fhir import resources as r
from rules_service.formats.fhir.information import Information, trip_of
from rules_service.formats.fhir.items import Items
from rules_service.formats.fhir.other_payers import OtherPayers, responsibility_of
from rules_service.formats.fhir.parties import Parties, role_of
from rules_service.formats.fhir.references import Resources
from rules_service.formats.fhir.values import DIAGNOSES, Faults, code_of, codes_of
from rules_service.primitives.errors import InvalidClaim, Issue
from rules_service.primitives.money import Money

TYPES: dict[str, ClaimType] = {"professional": "professional", "institutional": "institutional", "oral": "dental"}
DIAGNOSIS_TYPES: dict[str, DiagnosisType] = {
    "principal": "principal", "admitting": "admitting", "patientreasonforvisit": "reason_for_visit", "externalcause": "external_cause",
    "externalcauseofinjury": "external_cause",
}  # fmt: skip
MOST = {"item": 999, "diagnosis": 100, "care_team": 200, "supporting_info": 2_000, "insurance": 20, "procedure": 100, "related": 20}
"""Parts of a claim that are read at most."""
CAMEL = {"care_team": "careTeam", "supporting_info": "supportingInfo"}
LISTS = {"service_lines": "item", "diagnoses": "diagnosis"}
ELEMENTS = {
    "line_number": "sequence", "sequence": "sequence", "modifiers": "modifier", "diagnosis_pointers": "diagnosisSequence", "unit_count": "quantity",
    "service_from": "serviced", "service_through": "serviced",
}  # fmt: skip
_LISTED = re.compile(r"/(?P<list>service_lines|diagnoses)(/(?P<index>\d+))?(/(?P<field>\w+))?\Z")
ACCIDENTS = {"MVA": "AA", "WPA": "EM"}
"""HL7's kinds of accident to X12's related causes (CLM11); any other is OA."""


class FhirClaim(msgspec.Struct, frozen=True):
    """A claim that was read, and what its answer repeats of it."""

    claim: Claim
    type: r.CodeableConcept
    use: str
    patient: r.Reference
    insurer: r.Reference | None
    diagnoses: tuple[int, ...]
    """Where each diagnosis stands in the Claim: the canonical claim has them in order of sequence."""
    place: str
    """Where the Claim stands in what was sent."""


def read_fhir(body: bytes) -> FhirClaim:
    """The claim of a body; MalformedBody when it is not strict JSON, InvalidClaim with FHIRPath expressions when it is no claim."""
    resources = Resources(body)
    found, place, faults = resources.claim, resources.place, Faults()
    _bounded(found, place)
    claim_type = _type_of(found, place)
    claim = _Reading(resources, place, claim_type, faults).claim()
    if faults.found:
        raise InvalidClaim("The body is not a claim", faults.found)
    diagnoses = tuple(number for number, _ in _listed(found))
    try:
        canonical = canonical_claim(claim)
    except InvalidClaim as error:
        raise InvalidClaim(error.title, [_expressed(issue, place, diagnoses) for issue in error.issues]) from None
    return FhirClaim(canonical, found.type, found.use, found.patient, found.insurer, diagnoses, place)


def _expressed(issue: Issue, place: str, diagnoses: Sequence[int]) -> Issue:
    """A fault of the canonical claim where it stands in the resource, as far as lines and diagnoses go."""
    found = _LISTED.match(issue.where)
    if found is None:
        return issue
    name, index, field = found["list"], found["index"], found["field"] or ""
    if index is not None and name == "diagnoses":
        index = str(diagnoses[int(index)])
    at = f"[{index}]" if index is not None else ""
    inner = f".{ELEMENTS[field]}" if field in ELEMENTS else ""
    return Issue(issue.code, f"{place}.{LISTS[name]}{at}{inner}", issue.message, issue.mend)


def _listed(claim: r.Claim) -> list[tuple[int, r.Diagnosis]]:
    """The diagnoses in order of sequence, each with where it stands."""
    return sorted(enumerate(claim.diagnosis), key=lambda one: one[1].sequence)


def _bounded(claim: r.Claim, place: str) -> None:
    """InvalidClaim for a claim of more parts than any has: what is read costs by the part."""
    for name, limit in MOST.items():
        if len(getattr(claim, name)) > limit:
            where = f"{place}.{CAMEL.get(name, name)}"
            issue = Issue("fhir.too_many", where, f"A claim has at most {limit} of these here.", "Split the claim.")
            raise InvalidClaim("The claim is too large", [issue])


def _type_of(claim: r.Claim, place: str) -> ClaimType:
    """The type of claim; InvalidClaim for what is not judged here."""
    issue = None
    claim_type = next((TYPES[code] for code in codes_of(claim.type) if code in TYPES), None)
    if claim.use == "preauthorization":
        issue = Issue(
            "fhir.preauthorization", f"{place}.use", "A request for prior authorization is decided by the payer; claims are judged here.", "Send it to the payer's Claim/$submit."
        )  # fmt: skip
    elif claim.use not in ("claim", "predetermination"):
        issue = Issue("fhir.value", f"{place}.use", "The use is none of FHIR's.", "Send claim or predetermination.")
    elif claim.status not in ("active", "draft", "cancelled"):
        issue = Issue(
            "fhir.status", f"{place}.status", "The claim is not one to be judged.", "Send active, draft, or cancelled for a void."
        )
    elif claim_type is None:
        issue = Issue(
            "fhir.claim_type", f"{place}.type", "Claims of this type are not judged.", "Send professional, institutional or oral."
        )
    if issue is not None or claim_type is None:
        raise InvalidClaim("The claim is not judged here", [issue] if issue is not None else [])
    return claim_type


class _Reading:
    """One claim being read."""

    def __init__(self, resources: Resources, place: str, claim_type: ClaimType, faults: Faults) -> None:
        self._resources, self._place, self._type, self._faults = resources, place, claim_type, faults
        self._found = resources.claim
        self._parties = Parties(resources, faults, place)
        self._prior = [one for one in self._found.related if "prior" in codes_of(one.relationship)]
        """The claim this one replaces or voids."""
        self._line_of = {number: item.sequence for item in reversed(self._found.item) for number in item.information_sequence}
        self._information = Information(place, self._found.supporting_info, set(self._line_of), faults)

    def claim(self) -> Claim:
        """The claim; what is wrong with it stands in the faults."""
        found, place = self._found, self._place
        self._sequences()
        focal = self._focal()
        coverage = self._parties.coverage(f"{place}.insurance.coverage", focal.coverage) if focal is not None else None
        subscriber, relationship = self._parties.insured(f"{place}.insurance.coverage", coverage, found.patient)
        patient = None
        if coverage is not None and relationship != "18":
            patient = Person(**self._parties.person(f"{place}.patient", found.patient), relationship_code=relationship)
        others = OtherPayers(place, self._resources, self._parties, self._faults)
        other_payers = others.read(found.patient, tuple(one for one in enumerate(found.insurance) if not one[1].focal))
        providers, team = self._providers()
        information, more = self._information, dict(self._information.claim)
        items = Items(place, found, information, team, self._type, self._faults)
        told = more.pop("place_of_service_code", None)
        header = None if self._type == "institutional" else told or self._place_of_service()
        lines = items.lines(others.by_line, header)
        more["ambulance"] = trip_of([more])
        more["claim_frequency_code"] = more.get("claim_frequency_code") or self._frequency()
        referral = found.referral.identifier if found.referral is not None else None
        attachments = tuple(self._attached(sequence, one) for sequence, one in information.attachments)
        return Claim(
            claim_type=self._type, patient_control_number=next((one.value for one in found.identifier if one.value), ""),
            payer=self._parties.payer(coverage, found.insurer, information.payer), payer_responsibility=responsibility_of(focal, coverage) if focal is not None else None,  # type: ignore[arg-type]
            subscriber=subscriber, patient=patient, providers=providers, place_of_service_code=header,
            total_charge_amount=self._faults.money(f"{place}.total", found.total) or Money(sum(line.charge_amount.cents for line in lines)),
            service_lines=lines, diagnoses=self._diagnoses(), other_payers=other_payers, attachments=attachments, notes=tuple(information.notes),
            prior_authorization_numbers=focal.pre_auth_ref if focal is not None else (), condition_codes=tuple(information.condition_codes),
            payer_claim_control_number=next((one.reference.value for one in self._prior if one.reference is not None and one.reference.value), None),
            dates=ClaimDates(**information.dates) if any(information.dates.values()) else None, accident=self._accident(),
            institutional=self._institutional() if self._type == "institutional" else None,
            dental=Dental(missing_teeth=tuple(information.missing_teeth)) if information.missing_teeth else None,
            **({"referral_number": referral.value} if referral is not None else {}) | more,
        )  # fmt: skip

    def _focal(self) -> r.Insurance | None:
        focal = [one for one in self._found.insurance if one.focal]
        if len(focal) != 1:
            self._faults.add(
                "focal", f"{self._place}.insurance", "One insurance, and only one, is focal.", "Mark the policy the claim is sent to."
            )
        return focal[0] if focal else None

    def _sequences(self) -> None:
        """Faults where two entries have one sequence: what names it would mean either."""
        team, information = ([one.sequence for one in entries] for entries in (self._found.care_team, self._found.supporting_info))
        for name, sequences in (("careTeam", team), ("supportingInfo", information)):
            seen: set[int] = set()
            for number, sequence in enumerate(sequences):
                if sequence in seen:
                    message = "Another entry has this sequence."
                    self._faults.add("repeated", f"{self._place}.{name}[{number}].sequence", message, "Number the entries from 1.")
                seen.add(sequence)

    def _providers(self) -> tuple[ClaimProviders, dict[int, tuple[str, Provider]]]:
        """The providers of the claim, and, by sequence, those of lines: members of the care team that some items name and others do not."""
        found, place = self._found, self._place
        billing = self._parties.provider(f"{place}.provider", found.provider) or Provider()
        roles: dict[str, Provider] = {}
        team: dict[int, tuple[str, Provider]] = {}
        named = Counter(number for item in found.item for number in set(item.care_team_sequence))
        for number, member in enumerate(found.care_team):
            role = role_of(member.role, self._type == "institutional")
            provider = self._parties.provider(f"{place}.careTeam[{number}].provider", member.provider, member.qualification)
            if role is None or provider is None:
                continue
            if named[member.sequence] in (0, len(found.item)) or role == "attending":
                if roles.get(role, provider) != provider and role != "referring":
                    message = "Another member of the care team has this role for the whole claim."
                    mend = "Send one, or name each by the items that are theirs (careTeamSequence)."
                    self._faults.add("repeated", f"{place}.careTeam[{number}].role", message, mend)
                roles.setdefault(role, provider)
            else:
                team[member.sequence] = (role, provider)
        if found.facility is not None:
            facility = self._parties.provider(f"{place}.facility", found.facility)
            if facility is not None:
                roles["service_facility"] = facility
        return ClaimProviders(billing=billing, **roles), team

    def _place_of_service(self) -> str | None:
        """The claim's place of service is that of its first line; other lines say where they differ."""
        return code_of(self._found.item[0].location_codeable_concept) if self._found.item else None

    def _frequency(self) -> str:
        """Void when cancelled; else what the type of bill says; else a replacement when an earlier claim is named."""
        bill = self._information.institutional.get("type_of_bill")
        if self._found.status == "cancelled":
            return "8"
        if self._type == "institutional" and bill:
            return str(bill)[-1]
        return "7" if self._prior else "1"

    def _diagnoses(self) -> tuple[Diagnosis, ...]:
        """In order of sequence; the first is principal when none says what it is."""
        listed = _listed(self._found)
        untyped = not any(one.type for _, one in listed)
        read = []
        for position, (number, one) in enumerate(listed):
            condition = self._resources.find(one.diagnosis_reference, r.Condition)
            code = code_of(one.diagnosis_codeable_concept or (condition.code if condition is not None else None), DIAGNOSES)
            if code is None:
                self._faults.add("diagnosis", f"{self._place}.diagnosis[{number}]", "The diagnosis has no code.", "Send an ICD-10-CM code.")
                continue
            kinds = [DIAGNOSIS_TYPES[kind] for concept in one.type for kind in codes_of(concept) if kind in DIAGNOSIS_TYPES]
            kind: DiagnosisType = kinds[0] if kinds else "principal" if untyped and position == 0 else "secondary"
            read.append(
                Diagnosis(
                    sequence=one.sequence, code=code, type=kind, present_on_admission=(code_of(one.on_admission) or "").upper() or None
                )
            )
        return tuple(read)

    def _accident(self) -> Accident | None:
        found = self._found.accident
        if found is None:
            return None
        kind = code_of(found.type)
        state = found.location_address.state if found.location_address is not None else None
        causes = (ACCIDENTS.get(kind, "OA"),) if kind else ()
        return Accident(causes=causes, date=self._faults.day(f"{self._place}.accident.date", found.date), state=state)

    def _institutional(self) -> Institutional:
        found, place, own = self._found, self._place, dict(self._information.institutional)
        period = found.billable_period or r.Period()
        packages = (code_of(one.package_code) for one in found.diagnosis)
        own["drg"] = own.get("drg") or next((code for code in packages if code), None)
        procedures = []
        for number, one in enumerate(found.procedure):
            code = code_of(one.procedure_codeable_concept)
            if code is not None:
                day = self._faults.day(f"{place}.procedure[{number}].date", one.date)
                principal = any({"primary", "principal"} & set(codes_of(kind)) for kind in one.type)
                procedures.append(InstitutionalProcedure(code=code, date=day, principal=principal))
        lists: dict[str, Any] = {name: tuple(value) for name, value in own.items() if isinstance(value, list)}
        return Institutional(
            **{**own, **lists}, statement_from=self._faults.day(f"{place}.billablePeriod.start", period.start),
            statement_through=self._faults.day(f"{place}.billablePeriod.end", period.end), procedures=tuple(procedures),
        )  # fmt: skip

    def _attached(self, sequence: int, attachment: Any) -> Any:
        return msgspec.structs.replace(attachment, line_number=self._line_of.get(sequence))
