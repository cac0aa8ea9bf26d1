"""Where a finding points: JSON pointer, X12 loop and element, FHIR path, paper form box (domain.md 3.1)."""

from __future__ import annotations

import functools

import msgspec

from rules_service.claim.parties import ClaimStruct


class Location(ClaimStruct, frozen=True, omit_defaults=False):
    """One place in four coordinate systems; null where a system has no such place."""

    json_pointer: str
    x12: str | None = None
    fhir: str | None = None
    form: str | None = None


class Place(msgspec.Struct, frozen=True):
    """A field of the claim (`line.procedure_code`), with the index of the line or of the repeated element."""

    field: str
    index: int | None = None
    line_number: int | None = None


# field: (JSON pointer, 837P, 837I where it differs, FHIR, CMS-1500, UB-04). {i} is the index from 0, {n} from 1, {l} the line number.
_PLACES: dict[str, tuple[str, str | None, str | None, str | None, str | None, str | None]] = {
    "claim": ("", "2300/CLM", None, "Claim", None, None),
    "claim.total_charge_amount": ("/total_charge_amount", "2300/CLM02", None, "Claim.total", "28", "FL47"),
    "claim.claim_frequency_code": ("/claim_frequency_code", "2300/CLM05-3", None, "Claim.supportingInfo", "22", "FL4"),
    "claim.place_of_service_code": ("/place_of_service_code", "2300/CLM05-1", None, "Claim.facility", "24B", None),
    "claim.prior_authorization_numbers": (
        "/prior_authorization_numbers",
        "2300/REF*G1",
        None,
        "Claim.insurance[0].preAuthRef",
        "23",
        "FL63",
    ),
    "claim.referral_number": ("/referral_number", "2300/REF*9F", None, "Claim.referral", "23", "FL63"),
    "claim.payer_claim_control_number": ("/payer_claim_control_number", "2300/REF*F8", None, "Claim.related[0].reference", "22", "FL64"),
    "claim.received_at": ("/received_at", None, None, None, None, None),
    "claim.service_lines": ("/service_lines", "2400", None, "Claim.item", "24", "FL42-47"),
    "claim.diagnoses": ("/diagnoses", "2300/HI", None, "Claim.diagnosis", "21", "FL67"),
    "claim.other_payers": ("/other_payers", "2320", None, "Claim.insurance", "9", "FL50"),
    "claim.attachments": ("/attachments", "2300/PWK", None, "Claim.supportingInfo", "10d", "FL80"),
    "claim.patient": ("/patient", "2000C", None, "Claim.patient", "2", "FL8"),
    "claim.clia_number": ("/clia_number", "2300/REF*X4", None, "Claim.supportingInfo", "23", None),
    "claim.providers.billing.taxonomy_code": ("/providers/billing/taxonomy_code", "2000A/PRV03", None, "Claim.provider", "33b", "FL81"),
    "claim.providers.rendering.taxonomy_code": ("/providers/rendering/taxonomy_code", "2310B/PRV03", None, "Claim.careTeam", "24J", None),
    "claim.providers.billing.tax_id": ("/providers/billing/tax_id", "2010AA/REF*EI", None, "Claim.provider", "25", "FL5"),
    "line.clia_number": ("/service_lines/{i}/clia_number", "2400[{n}]/REF*X4", None, "Claim.supportingInfo", "23", None),
    "line.drug.quantity": (
        "/service_lines/{i}/drug/quantity",
        "2410[{n}]/CTP04",
        None,
        "Claim.item[{i}].detail",
        "24 shaded line {l}",
        "FL43 line {l}",
    ),
    "line.description": (
        "/service_lines/{i}/description",
        "2400[{n}]/SV101-7",
        "2400[{n}]/SV202-7",
        "Claim.item[{i}].productOrService.text",
        "24 shaded line {l}",
        "FL43 line {l}",
    ),
    "claim.payer.payer_id": ("/payer/payer_id", "2010BB/NM109", None, "Claim.insurer", None, "FL50"),
    "claim.subscriber.member_id": ("/subscriber/member_id", "2010BA/NM109", None, "Coverage.subscriberId", "1a", "FL60"),
    "claim.subscriber.birth_date": ("/subscriber/birth_date", "2010BA/DMG02", None, "Patient.birthDate", "3", "FL10"),
    "claim.patient.birth_date": ("/patient/birth_date", "2010CA/DMG02", None, "Patient.birthDate", "3", "FL10"),
    "claim.providers.billing.address": ("/providers/billing/address", "2010AA/N3", None, "Claim.provider", "33", "FL1"),
    "claim.providers.billing.npi": ("/providers/billing/npi", "2010AA/NM109", None, "Claim.provider", "33a", "FL56"),
    "claim.providers.rendering.npi": ("/providers/rendering/npi", "2310B/NM109", "2310D/NM109", "Claim.careTeam", "24J", None),
    "claim.providers.referring.npi": ("/providers/referring/npi", "2310A/NM109", "2310F/NM109", "Claim.careTeam", "17b", "FL78"),
    "claim.providers.attending.npi": ("/providers/attending/npi", None, "2310A/NM109", "Claim.careTeam", None, "FL76"),
    "claim.institutional.type_of_bill": ("/institutional/type_of_bill", None, "2300/CLM05", "Claim.supportingInfo", None, "FL4"),
    "diagnosis.code": (
        "/diagnoses/{i}/code",
        "2300/HI{n:02d}-2",
        None,
        "Claim.diagnosis[{i}].diagnosisCodeableConcept",
        "21 item {n}",
        "FL67",
    ),
    "line": ("/service_lines/{i}", "2400[{n}]", None, "Claim.item[{i}]", "24 line {l}", "FL42 line {l}"),
    "line.procedure_code": (
        "/service_lines/{i}/procedure_code",
        "2400[{n}]/SV101-2",
        "2400[{n}]/SV202-2",
        "Claim.item[{i}].productOrService",
        "24D line {l}",
        "FL44 line {l}",
    ),
    "line.modifiers": (
        "/service_lines/{i}/modifiers",
        "2400[{n}]/SV101-3",
        "2400[{n}]/SV202-3",
        "Claim.item[{i}].modifier",
        "24D line {l}",
        "FL44 line {l}",
    ),
    "line.unit_count": (
        "/service_lines/{i}/unit_count",
        "2400[{n}]/SV104",
        "2400[{n}]/SV205",
        "Claim.item[{i}].quantity",
        "24G line {l}",
        "FL46 line {l}",
    ),
    "line.charge_amount": (
        "/service_lines/{i}/charge_amount",
        "2400[{n}]/SV102",
        "2400[{n}]/SV203",
        "Claim.item[{i}].net",
        "24F line {l}",
        "FL47 line {l}",
    ),
    "line.service_from": (
        "/service_lines/{i}/service_from",
        "2400[{n}]/DTP*472",
        None,
        "Claim.item[{i}].servicedDate",
        "24A line {l}",
        "FL45 line {l}",
    ),
    "line.place_of_service_code": (
        "/service_lines/{i}/place_of_service_code",
        "2400[{n}]/SV105",
        None,
        "Claim.item[{i}].locationCodeableConcept",
        "24B line {l}",
        None,
    ),
    "line.revenue_code": ("/service_lines/{i}/revenue_code", None, "2400[{n}]/SV201", "Claim.item[{i}].revenue", None, "FL42 line {l}"),
    "line.diagnosis_pointers": (
        "/service_lines/{i}/diagnosis_pointers",
        "2400[{n}]/SV107",
        None,
        "Claim.item[{i}].diagnosisSequence",
        "24E line {l}",
        None,
    ),
    "line.prior_authorization_number": (
        "/service_lines/{i}/prior_authorization_number",
        "2400[{n}]/REF*G1",
        None,
        "Claim.insurance[0].preAuthRef",
        "23",
        "FL63",
    ),
    "line.drug.ndc": (
        "/service_lines/{i}/drug/ndc",
        "2410[{n}]/LIN03",
        None,
        "Claim.item[{i}].detail",
        "24 shaded line {l}",
        "FL43 line {l}",
    ),
}

KNOWN_PLACES = frozenset(_PLACES)


@functools.lru_cache(maxsize=65_536)
def locate(place: Place, claim_type: str) -> Location:
    """The four coordinates of a place. Fields without an entry are named by their JSON pointer alone."""
    entry = _PLACES.get(place.field)
    if entry is None:
        level, _, path = place.field.partition(".")
        inner = path.replace(".", "/")
        pointer = f"/service_lines/{place.index}/{inner}" if level == "line" else f"/{inner}"
        return Location(json_pointer=pointer)
    index = place.index or 0
    names = {"i": index, "n": index + 1, "l": place.line_number or index + 1}
    pointer, professional, institutional, fhir, cms1500, ub04 = entry
    is_institutional = claim_type == "institutional"
    x12 = institutional if is_institutional and institutional else professional
    form = ub04 if is_institutional else cms1500
    return Location(
        json_pointer=pointer.format(**names),
        x12=x12 and x12.format(**names),
        fhir=fhir and fhir.format(**names),
        form=form and ("UB-04 " if is_institutional else "CMS-1500 ") + form.format(**names),
    )
