"""Where a finding points: JSON pointer, X12 loop and element, FHIR path, paper form box (domain.md 3.1)."""

from __future__ import annotations

import functools

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.parties import ClaimStruct


class Location(ClaimStruct, frozen=True, omit_defaults=False):
    """One place in four coordinate systems; null where a system has no such place."""

    json_pointer: str
    x12: str | None = None
    fhir: str | None = None
    form: str | None = None


class Place(msgspec.Struct, frozen=True):
    """A field of the claim (`line.procedure_code`), with the index of the line or of the repeated element; `slot` is the position from 0 in
    a field that is a list itself (modifiers)."""

    field: str
    index: int | None = None
    line_number: int | None = None
    slot: int | None = None


# field: (JSON pointer, 837P, 837I where it differs, FHIR, CMS-1500, UB-04). {i} is the index from 0, {n} from 1, {l} the line number.
# fmt: off
_PLACES: dict[str, tuple[str, str | None, str | None, str | None, str | None, str | None]] = {
    "claim": ("", "2300/CLM", None, "Claim", None, None),
    "claim.accident": ("/accident", "2300/CLM11", None, "Claim.accident", "10", "FL31"),
    "claim.accident.date": ("/accident/date", "2300/DTP*439", "2300/HI*BH", "Claim.accident.date", "10", "FL31"),
    "claim.accident.state": ("/accident/state", "2300/CLM11-4", "2300/REF*LU", "Claim.accident.locationAddress.state", "10b", "FL29"),
    "claim.attachments": ("/attachments", "2300/PWK", None, "Claim.supportingInfo", "10d", "FL80"),
    "claim.claim_frequency_code": ("/claim_frequency_code", "2300/CLM05-3", None, "Claim.supportingInfo", "22", "FL4"),
    "claim.clia_number": ("/clia_number", "2300/REF*X4", None, "Claim.supportingInfo", "23", None),
    "claim.property_casualty_claim_number": ("/property_casualty_claim_number", "2010BA/REF*Y4", None, "Claim.supportingInfo", "11b", None),
    "claim.condition_codes": ("/condition_codes", "2300/HI*BG", None, "Claim.supportingInfo", None, "FL18"),
    "claim.diagnoses": ("/diagnoses", "2300/HI", None, "Claim.diagnosis", "21", "FL67"),
    "claim.institutional.admission_at": ("/institutional/admission_at", None, "2300/DTP*435", "Claim.supportingInfo", None, "FL12"),
    "claim.institutional.admission_source": ("/institutional/admission_source", None, "2300/CL102", "Claim.supportingInfo", None, "FL15"),
    "claim.institutional.admission_type": ("/institutional/admission_type", None, "2300/CL101", "Claim.supportingInfo", None, "FL14"),
    "claim.institutional.discharge_hour": ("/institutional/discharge_hour", None, "2300/DTP*096", "Claim.supportingInfo", None, "FL16"),
    "claim.institutional.occurrence_codes": ("/institutional/occurrence_codes", None, "2300/HI*BH", "Claim.supportingInfo", None, "FL31"),
    "claim.institutional.patient_status": ("/institutional/patient_status", None, "2300/CL103", "Claim.supportingInfo", None, "FL17"),
    "claim.institutional.procedures": ("/institutional/procedures", None, "2300/HI*BBR", "Claim.procedure", None, "FL74"),
    "claim.institutional.statement_from": ("/institutional/statement_from", None, "2300/DTP*434", "Claim.billablePeriod.start", None, "FL6"),
    "claim.institutional.statement_through": ("/institutional/statement_through", None, "2300/DTP*434", "Claim.billablePeriod.end", None, "FL6"),
    "claim.institutional.type_of_bill": ("/institutional/type_of_bill", None, "2300/CLM05", "Claim.supportingInfo", None, "FL4"),
    "claim.institutional.value_codes": ("/institutional/value_codes", None, "2300/HI*BE", "Claim.supportingInfo", None, "FL39"),
    "claim.other_payers": ("/other_payers", "2320", None, "Claim.insurance", "9", "FL50"),
    "claim.patient": ("/patient", "2000C", None, "Claim.patient", "2", "FL8"),
    "claim.patient.birth_date": ("/patient/birth_date", "2010CA/DMG02", None, "Patient.birthDate", "3", "FL10"),
    "claim.patient.death_date": ("/patient/death_date", "2000C/PAT06", None, "Patient.deceasedDateTime", None, None),
    "claim.patient.last_name": ("/patient/last_name", "2010CA/NM103", None, "Patient.name", "2", "FL8"),
    "claim.patient.relationship_code": ("/patient/relationship_code", "2000C/PAT01", None, "Coverage.relationship", "6", "FL59"),
    "claim.patient.sex": ("/patient/sex", "2010CA/DMG03", None, "Patient.gender", "3", "FL11"),
    "claim.payer.msp_type_code": ("/payer/msp_type_code", "2000B/SBR05", None, "Claim.insurance", None, None),
    "claim.payer.payer_id": ("/payer/payer_id", "2010BB/NM109", None, "Claim.insurer", None, "FL50"),
    "claim.payer_claim_control_number": ("/payer_claim_control_number", "2300/REF*F8", None, "Claim.related[0].reference", "22", "FL64"),
    "claim.place_of_service_code": ("/place_of_service_code", "2300/CLM05-1", None, "Claim.facility", "24B", None),
    "claim.prior_authorization_numbers": ("/prior_authorization_numbers", "2300/REF*G1", None, "Claim.insurance[0].preAuthRef", "23", "FL63"),
    "claim.providers.attending.npi": ("/providers/attending/npi", None, "2310A/NM109", "Claim.careTeam", None, "FL76"),
    "claim.providers.billing.address": ("/providers/billing/address", "2010AA/N3", None, "Claim.provider", "33", "FL1"),
    "claim.providers.billing.npi": ("/providers/billing/npi", "2010AA/NM109", None, "Claim.provider", "33a", "FL56"),
    "claim.providers.billing.tax_id": ("/providers/billing/tax_id", "2010AA/REF*EI", None, "Claim.provider", "25", "FL5"),
    "claim.providers.billing.taxonomy_code": ("/providers/billing/taxonomy_code", "2000A/PRV03", None, "Claim.provider", "33b", "FL81"),
    "claim.providers.referring.npi": ("/providers/referring/npi", "2310A/NM109", "2310F/NM109", "Claim.careTeam", "17b", "FL78"),
    "claim.providers.rendering.npi": ("/providers/rendering/npi", "2310B/NM109", "2310D/NM109", "Claim.careTeam", "24J", None),
    "claim.providers.rendering.taxonomy_code": ("/providers/rendering/taxonomy_code", "2310B/PRV03", None, "Claim.careTeam", "24J", None),
    "claim.received_at": ("/received_at", None, None, None, None, None),
    "claim.referral_number": ("/referral_number", "2300/REF*9F", None, "Claim.referral", "23", "FL63"),
    "claim.service_lines": ("/service_lines", "2400", None, "Claim.item", "24", "FL42-47"),
    "claim.subscriber.birth_date": ("/subscriber/birth_date", "2010BA/DMG02", None, "Patient.birthDate", "3", "FL10"),
    "claim.subscriber.death_date": ("/subscriber/death_date", "2000B/PAT06", None, "Patient.deceasedDateTime", None, None),
    "claim.subscriber.last_name": ("/subscriber/last_name", "2010BA/NM103", None, "Patient.name", "2", "FL8"),
    "claim.subscriber.member_id": ("/subscriber/member_id", "2010BA/NM109", None, "Coverage.subscriberId", "1a", "FL60"),
    "claim.subscriber.relationship_code": ("/subscriber/relationship_code", "2000B/SBR02", None, "Coverage.relationship", "6", "FL59"),
    "claim.subscriber.sex": ("/subscriber/sex", "2010BA/DMG03", None, "Patient.gender", "3", "FL11"),
    "claim.total_charge_amount": ("/total_charge_amount", "2300/CLM02", None, "Claim.total", "28", "FL47"),
    "line": ("/service_lines/{i}", "2400[{n}]", None, "Claim.item[{i}]", "24 line {l}", "FL42 line {l}"),
    "line.charge_amount": ("/service_lines/{i}/charge_amount", "2400[{n}]/SV102", "2400[{n}]/SV203", "Claim.item[{i}].net", "24F line {l}", "FL47 line {l}"),
    "line.clia_number": ("/service_lines/{i}/clia_number", "2400[{n}]/REF*X4", None, "Claim.supportingInfo", "23", None),
    "line.description": ("/service_lines/{i}/description", "2400[{n}]/SV101-7", "2400[{n}]/SV202-7", "Claim.item[{i}].productOrService.text", "24 shaded line {l}", "FL43 line {l}"),
    "line.diagnosis_pointers": ("/service_lines/{i}/diagnosis_pointers", "2400[{n}]/SV107", None, "Claim.item[{i}].diagnosisSequence", "24E line {l}", None),
    "line.drug.ndc": ("/service_lines/{i}/drug/ndc", "2410[{n}]/LIN03", None, "Claim.item[{i}].detail", "24 shaded line {l}", "FL43 line {l}"),
    "line.drug.quantity": ("/service_lines/{i}/drug/quantity", "2410[{n}]/CTP04", None, "Claim.item[{i}].detail", "24 shaded line {l}", "FL43 line {l}"),
    "line.modifiers": ("/service_lines/{i}/modifiers", "2400[{n}]/SV101-3", "2400[{n}]/SV202-3", "Claim.item[{i}].modifier", "24D line {l}", "FL44 line {l}"),
    "line.place_of_service_code": ("/service_lines/{i}/place_of_service_code", "2400[{n}]/SV105", None, "Claim.item[{i}].locationCodeableConcept", "24B line {l}", None),
    "line.prior_authorization_number": ("/service_lines/{i}/prior_authorization_number", "2400[{n}]/REF*G1", None, "Claim.insurance[0].preAuthRef", "23", "FL63"),
    "line.providers.ordering.npi": ("/service_lines/{i}/providers/ordering/npi", "2420E[{n}]/NM109", None, "Claim.item[{i}].careTeamSequence", "17b", None),
    "line.providers.referring.npi": ("/service_lines/{i}/providers/referring/npi", "2420F[{n}]/NM109", "2420D[{n}]/NM109", "Claim.item[{i}].careTeamSequence", "17b", None),
    "line.providers.rendering.npi": ("/service_lines/{i}/providers/rendering/npi", "2420A[{n}]/NM109", "2420C[{n}]/NM109", "Claim.item[{i}].careTeamSequence", "24J line {l}", None),
    "line.providers.rendering.taxonomy_code": ("/service_lines/{i}/providers/rendering/taxonomy_code", "2420A[{n}]/PRV03", None, "Claim.item[{i}].careTeamSequence", "24J line {l}", None),
    "line.referring_clia_number": ("/service_lines/{i}/referring_clia_number", "2400[{n}]/REF*F4", None, "Claim.supportingInfo", None, None),
    "line.procedure_code": ("/service_lines/{i}/procedure_code", "2400[{n}]/SV101-2", "2400[{n}]/SV202-2", "Claim.item[{i}].productOrService", "24D line {l}", "FL44 line {l}"),
    "line.revenue_code": ("/service_lines/{i}/revenue_code", None, "2400[{n}]/SV201", "Claim.item[{i}].revenue", None, "FL42 line {l}"),
    "line.service_from": ("/service_lines/{i}/service_from", "2400[{n}]/DTP*472", None, "Claim.item[{i}].servicedDate", "24A line {l}", "FL45 line {l}"),
    "line.unit_count": ("/service_lines/{i}/unit_count", "2400[{n}]/SV104", "2400[{n}]/SV205", "Claim.item[{i}].quantity", "24G line {l}", "FL46 line {l}"),
}
# fmt: on
_HI_837I = {
    "principal": ("BK", "FL67"),
    "admitting": ("BJ", "FL69"),
    "reason_for_visit": ("PR", "FL70"),
    "external_cause": ("BN", "FL72"),
    "secondary": ("BF", "FL67"),
}  # fmt: skip
"""HI qualifier and UB-04 box of each type of diagnosis on an institutional claim."""
_LETTERS = "ABCDEFGHIJKLMNOPQ"
"""Boxes of the secondary diagnoses in FL67."""
_HI_COMPONENT = {"diagnosis.code": 2, "diagnosis.present_on_admission": 9}

_DENTAL = {
    "line.charge_amount": "2400[{n}]/SV302",
    "line.description": "2400[{n}]/SV301-7",
    "line.diagnosis_pointers": "2400[{n}]/SV311",
    "line.modifiers": "2400[{n}]/SV301-3",
    "line.place_of_service_code": "2400[{n}]/SV303",
    "line.procedure_code": "2400[{n}]/SV301-2",
    "line.unit_count": "2400[{n}]/SV306",
}
"""837D where it differs from the 837P. Boxes of its form (ADA) are not told."""

INHERITED = {"place_of_service_code": "claim.place_of_service_code", "clia_number": "claim.clia_number"}
"""Fields of a line that the claim's header fills where the line has none, and where they stand then."""

KNOWN_PLACES = frozenset(_PLACES) | frozenset(_HI_COMPONENT)


def locate(place: Place, claim: Claim) -> Location:
    """The four coordinates of a place on the claim."""
    if place.field in _HI_COMPONENT:
        return _diagnosis_location(place, claim)
    name = place.field.removeprefix("line.")
    if name in INHERITED and place.index is not None and getattr(claim.service_lines[place.index], name) is None and getattr(claim, name):
        place = Place(INHERITED[name])
    return _locate(place, claim.claim_type)


def of_patient(place: Place, claim: Claim) -> Place:
    """The place with the subscriber's fields for the patient's, where the patient is the subscriber."""
    if claim.patient is None and place.field.startswith("claim.patient."):
        return Place("claim.subscriber." + place.field.removeprefix("claim.patient."))
    return place


@functools.lru_cache(maxsize=65_536)
def _locate(place: Place, claim_type: str) -> Location:
    """Fields without an entry are named by their JSON pointer alone."""
    entry = _PLACES.get(place.field)
    if entry is None:
        level, _, path = place.field.partition(".")
        inner = path.replace(".", "/")
        pointer = f"/service_lines/{place.index}/{inner}" if level == "line" else f"/{inner}"
        return Location(json_pointer=pointer)
    index = place.index or 0
    names = {"i": index, "n": index + 1, "l": place.line_number or index + 1}
    pointer, professional, institutional, fhir, cms1500, ub04 = entry
    if claim_type == "dental":
        professional, cms1500 = _DENTAL.get(place.field, professional), None
    is_institutional = claim_type == "institutional"
    x12 = institutional if is_institutional and institutional else professional
    if place.slot is not None:
        pointer, fhir = f"{pointer}/{place.slot}", fhir and f"{fhir}[{place.slot}]"
        x12 = x12 and f"{x12[:-1]}{int(x12[-1]) + place.slot}"
    form = ub04 if is_institutional else cms1500
    return Location(
        json_pointer=pointer.format(**names),
        x12=x12 and x12.format(**names),
        fhir=fhir and fhir.format(**names),
        form=form and ("UB-04 " if is_institutional else "CMS-1500 ") + form.format(**names),
    )


def _diagnosis_location(place: Place, claim: Claim) -> Location:
    """A diagnosis by its position: one HI segment on 837P, one a type of diagnosis on 837I."""
    index = place.index or 0
    component = _HI_COMPONENT[place.field]
    name = place.field.partition(".")[2]
    x12, form = f"2300/HI{index + 1:02d}-{component}", None if claim.claim_type == "dental" else f"CMS-1500 21 item {index + 1}"
    if claim.claim_type == "institutional" and index < len(claim.diagnoses):
        kind = claim.diagnoses[index].type
        ordinal = sum(one.type == kind for one in claim.diagnoses[:index])
        qualifier, box = _HI_837I[kind]
        letter = _LETTERS[ordinal : ordinal + 1] if kind == "secondary" else ""
        x12, form = f"2300/HI*{qualifier}/HI{ordinal % 12 + 1:02d}-{component}", f"UB-04 {box}{letter}"
    element = "onAdmission" if component == 9 else "diagnosisCodeableConcept"
    return Location(json_pointer=f"/diagnoses/{index}/{name}", x12=x12, fhir=f"Claim.diagnosis[{index}].{element}", form=form)
