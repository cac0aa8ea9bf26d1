"""FHIR R4 Claims: what is read from where."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.claim.service_lines import Ambulance
from rules_service.formats.fhir.answers import operation_outcome
from rules_service.formats.fhir.claims import read_fhir
from rules_service.primitives.errors import InputError
from tests.support.builders import claim
from tests.support.fhir_writer import NUBC, concept, write_fhir
from tests.support.one_claim import carried

BUNDLE = write_fhir(carried(claim()))


ITEM = {"sequence": 1, "productOrService": concept("P9213"), "servicedDate": "2026-11-20", "net": {"value": 100}}


def bundle() -> tuple[dict[str, Any], dict[str, Any]]:
    """A Bundle and its Claim, to be changed."""
    found = copy.deepcopy(BUNDLE)
    return found, found["entry"][0]["resource"]


def read(document: dict[str, Any]) -> Claim:
    return read_fhir(json.dumps(document).encode()).claim


def refusals(document: dict[str, Any] | bytes) -> list[tuple[str, str]]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(InputError) as refused:
        read_fhir(body)
    assert "SECRET" not in str(refused.value)
    return [(issue.code, issue.where) for issue in refused.value.issues]


def contained(document: dict[str, Any]) -> dict[str, Any]:
    """The Claim alone, with the other resources contained."""
    found = copy.deepcopy(document["entry"][0]["resource"])
    text = json.dumps([found, [entry["resource"] for entry in document["entry"][1:]]])
    for entry in document["entry"][1:]:
        resource = entry["resource"]
        text = text.replace(f'"{resource["resourceType"]}/{resource["id"]}"', f'"#{resource["id"]}"')
    found, resources = json.loads(text)
    return found | {"contained": resources}


def urns(document: dict[str, Any]) -> dict[str, Any]:
    """The Bundle with urn:uuid names instead of ids."""
    text = json.dumps(document)
    for number, entry in enumerate(document["entry"]):
        resource = entry["resource"]
        text = text.replace(f'"{resource["resourceType"]}/{resource["id"]}"', f'"urn:uuid:{number}"').replace(
            f'"{entry["fullUrl"]}"', f'"urn:uuid:{number}"'
        )
    return json.loads(text)  # type: ignore[no-any-return]


def test_references_lead_to_contained_resources_and_to_entries_by_id_url_or_urn() -> None:
    expected = encode_json(read(BUNDLE))
    absolute = json.loads(json.dumps(BUNDLE).replace('"reference": "', '"reference": "https://ehr.example.org/fhir/'))
    for document in (contained(BUNDLE), urns(BUNDLE), absolute):
        assert encode_json(read(document)) == expected


def test_a_reference_by_identifier_needs_no_resource_where_the_identifier_is_enough() -> None:
    document, found = bundle()
    found["insurer"] = {"identifier": {"value": "EXAMPLE01"}, "display": "Example payer"}
    found["provider"] = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}}
    told = read(document)
    assert (told.payer.payer_id, told.payer.name, told.providers.billing.npi) == ("EXAMPLE01", "Example payer", "1234567893")


def test_a_void_is_a_cancelled_claim_and_a_replacement_names_the_claim_before() -> None:
    document, found = bundle()
    found["supportingInfo"] = []
    assert read(document).claim_frequency_code == "1"
    found["related"] = [{"relationship": concept("prior"), "reference": {"value": "ICN9"}}]
    assert (read(document).claim_frequency_code, read(document).payer_claim_control_number) == ("7", "ICN9")
    found["status"] = "cancelled"
    assert read(document).claim_frequency_code == "8"


def test_the_charge_of_an_item_without_net_is_its_price_times_quantity() -> None:
    document, found = bundle()
    item = found["item"][0]
    del item["net"], found["total"]
    item |= {"unitPrice": {"value": 12.5, "currency": "USD"}, "quantity": {"value": 3}, "factor": 2}
    told = read(document)
    assert (str(told.service_lines[0].charge_amount), str(told.total_charge_amount)) == ("75.00", "75.00")


def test_amounts_are_read_as_written_and_not_through_a_float() -> None:
    text = json.dumps(BUNDLE).replace('"total": {"value": 150.0', '"total": {"value": 8888888888.10')
    assert str(read_fhir(text.encode()).claim.total_charge_amount) == "8888888888.10"


def test_a_provider_some_items_name_belongs_to_their_lines() -> None:
    document = write_fhir(carried(claim(lines=[{}, {}])))
    found = document["entry"][0]["resource"]
    npi = {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1467560003"}}
    found["careTeam"] = [
        {
            "sequence": 1,
            "provider": npi,
            "role": concept("performing"),
            "qualification": concept("208D00000X", "http://nucc.org/provider-taxonomy"),
        }
    ]
    found["item"][1]["careTeamSequence"] = [1]
    told = read(document)
    assert (told.providers.rendering, told.service_lines[0].providers) == (None, None)
    assert told.service_lines[1].providers is not None
    assert told.service_lines[1].providers.rendering is not None
    assert (told.service_lines[1].providers.rendering.npi, told.service_lines[1].providers.rendering.taxonomy_code) == (
        "1467560003",
        "208D00000X",
    )
    found["item"][0]["careTeamSequence"] = [1]
    everywhere = read(document)
    assert everywhere.providers.rendering is not None
    assert everywhere.service_lines[1].providers is None


def test_a_dependent_is_the_patient_and_the_policy_holder_the_subscriber() -> None:
    patient = {"relationship_code": "19", "first_name": "KID", "last_name": "SAMPLE", "birth_date": "2015-01-01", "sex": "M"}
    told = read(write_fhir(carried(claim(patient=patient))))
    assert told.patient is not None
    assert (told.patient.first_name, told.patient.relationship_code, told.subscriber.first_name) == ("KID", "19", "JANE")
    assert (told.subscriber.member_id, told.subscriber.relationship_code) == ("W123456789", None)


def test_codes_of_nubc_are_told_by_their_system() -> None:
    document, found = bundle()
    found["type"] = concept("institutional")
    found["billablePeriod"] = {"start": "2026-11-18", "end": "2026-11-20"}
    found["supportingInfo"] = [
        {"sequence": 1, "category": concept("typeofbill"), "code": concept("0114")},
        {"sequence": 2, "category": concept("info"), "code": concept("80", NUBC + "ValueCodes"), "valueQuantity": {"value": 3}},
        {"sequence": 3, "category": concept("info"), "code": concept("A1", NUBC + "OccurrenceCodes"), "timingDate": "2026-11-18"},
        {
            "sequence": 4,
            "category": concept("admissionperiod"),
            "timingPeriod": {"start": "2026-11-18T08:00:00-05:00", "end": "2026-11-20"},
        },
    ]
    told = read(document)
    assert told.institutional is not None
    assert (told.institutional.type_of_bill, told.claim_frequency_code, told.institutional.admission_at) == (
        "0114",
        "4",
        "2026-11-18T08:00",
    )
    assert (str(told.institutional.value_codes[0].amount), str(told.institutional.occurrence_codes[0].date)) == ("3.00", "2026-11-18")
    assert (str(told.institutional.statement_through), told.dates and str(told.dates.discharge)) == ("2026-11-20", "2026-11-20")


def test_every_resource_has_contained_ones_of_its_own() -> None:
    document, found = bundle()
    coverage = next(entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Coverage")
    coverage |= {
        "payor": [{"reference": "#1"}],
        "contained": [{"resourceType": "Organization", "id": "1", "identifier": [{"value": "RIGHT"}]}],
    }
    found["contained"] = [{"resourceType": "Organization", "id": "1", "identifier": [{"value": "WRONG"}]}]
    del found["insurer"]
    assert read(document).payer.payer_id == "RIGHT"


def test_an_absolute_reference_leads_only_to_its_own_address() -> None:
    document, found = bundle()
    found["patient"] = {"reference": f"https://other.example.org/fhir/{found['patient']['reference']}"}
    assert ("fhir.reference", "Bundle.entry[0].resource.patient") in refusals(document)
    document, found = bundle()
    found["patient"]["reference"] += "/_history/2"
    assert read(document).subscriber.last_name == "SAMPLE"


def test_a_payer_s_id_is_no_number_of_a_taxpayer_or_provider() -> None:
    document, _ = bundle()
    for entry in document["entry"]:
        if entry["resource"].get("identifier", [{}])[0].get("system") == "urn:payer":
            entry["resource"]["identifier"] = [
                {"system": "urn:oid:2.16.840.1.113883.4.4", "value": "123456789"}, {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}, {"value": "60054"},
            ]  # fmt: skip
    assert read(document).payer.payer_id == "60054"


def test_only_a_prior_claim_is_the_one_before() -> None:
    document, found = bundle()
    found["supportingInfo"] = []
    found["related"] = [
        {"relationship": concept("associated"), "reference": {"value": "OTHER"}},
        {"relationship": concept("prior"), "reference": {"value": "ICN1"}},
    ]
    assert (read(document).payer_claim_control_number, read(document).claim_frequency_code) == ("ICN1", "7")
    del found["related"][1]
    assert (read(document).payer_claim_control_number, read(document).claim_frequency_code) == (None, "1")


def test_codes_of_other_systems_are_no_codes_of_the_claim() -> None:
    document, found = bundle()
    found["diagnosis"][0]["diagnosisCodeableConcept"] = concept("44054006", "http://snomed.info/sct")
    assert ("fhir.diagnosis", "Bundle.entry[0].resource.diagnosis[0]") in refusals(document)
    document, found = bundle()
    found["item"][0]["productOrService"] = concept("not-applicable", "http://terminology.hl7.org/CodeSystem/data-absent-reason")
    found["diagnosis"][0]["onAdmission"] = concept("y")
    told = read(document)
    assert (told.service_lines[0].procedure_code, told.diagnoses[0].present_on_admission) == (None, "Y")


def test_the_type_of_claim_is_the_first_that_is_known() -> None:
    document, found = bundle()
    found["type"] = {"coding": [{"code": "other"}, {"code": "professional"}, {"code": "institutional"}]}
    assert read(document).claim_type == "professional"


def test_an_institutional_claim_has_no_place_of_service() -> None:
    document, found = bundle()
    found["type"] = concept("institutional")
    found["supportingInfo"] = [
        {"sequence": 1, "category": concept("place_of_service_code", "urn:payer-rules:claim-field"), "valueString": "11"}
    ]
    assert read(document).place_of_service_code is None


def test_instants_are_whole_and_names_are_those_of_now() -> None:
    document, found = bundle()
    found["item"][0]["servicedDate"] = "20261120"
    assert ("fhir.value", "Bundle.entry[0].resource.item[0].servicedDate") in refusals(document)
    document, _ = bundle()
    patient = next(entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Patient")
    patient["name"] = [{"use": "old", "family": "BEFORE"}, {"family": "NOW", "given": ["JANE", None]}]
    assert (read(document).subscriber.last_name, read(document).subscriber.first_name) == ("NOW", "JANE")


def test_a_provider_who_bills_and_renders_stands_in_both_places_as_in_the_other_formats() -> None:
    document, found = bundle()
    found["careTeam"] = [{"sequence": 1, "provider": found["provider"], "role": concept("rendering")}]
    claim = read(document)
    assert claim.providers.rendering == claim.providers.billing


def test_a_finding_on_a_diagnosis_points_to_where_it_stands_in_the_claim() -> None:
    document, found = bundle()
    coded = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J06.9"}]}
    found["diagnosis"] = [{"sequence": 2, "diagnosisCodeableConcept": coded}, {"sequence": 1, "diagnosisCodeableConcept": coded}]
    order = read_fhir(json.dumps(document).encode()).diagnoses
    assert order == (1, 0)
    finding = {
        "location": {"fhir": "Claim.diagnosis[1].diagnosisCodeableConcept"}, "fixes": [], "rule_id": "X", "rule_version": 1, "suppressed_by": None, "waiver": None,
        "severity": "warn", "category": "coding", "code": "dx.x", "title": "t", "predicted_denial": None, "message": "m",
    }  # fmt: skip
    evaluation = {"findings": [finding], "not_evaluated": [], "coverage": {}, "evaluation_id": "ev_1"}
    for place in ("Claim", "Bundle.entry[2].resource"):
        (issue,) = operation_outcome(evaluation, order, place)["issue"]
        assert issue["expression"] == [f"{place}.diagnosis[0].diagnosisCodeableConcept"]


def test_a_trip_of_an_ambulance_is_told_by_its_fields() -> None:
    document, found = bundle()
    named = (("ambulance.reason", "A"), ("ambulance.miles", "5"), ("ambulance.conditions", "01"), ("ambulance.conditions", "08"))
    found["supportingInfo"] = [
        {"sequence": number, "category": concept(name, "urn:payer-rules:claim-field"), "valueString": value}
        for number, (name, value) in enumerate(named, 1)
    ]
    trip = Ambulance(reason="A", miles="5", conditions=("01", "08"))
    assert read(document).ambulance == trip
    found["item"][0]["informationSequence"] = [1, 2, 3, 4]
    assert (read(document).ambulance, read(document).service_lines[0].ambulance) == (None, trip)


def test_the_claim_s_patient_is_known_by_its_id_too() -> None:
    document, found = bundle()
    patient = next(entry for entry in document["entry"] if entry["resource"]["resourceType"] == "Patient")
    policy = next(entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Coverage")
    patient["fullUrl"] = "urn:uuid:1234"
    found["patient"] = {"reference": "urn:uuid:1234"}
    policy["beneficiary"] = {"reference": "https://ehr.example.org/fhir/Patient/" + patient["resource"]["id"]}
    assert read(document).subscriber.last_name == "SAMPLE"
