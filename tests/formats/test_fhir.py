"""FHIR R4 Claims: what is read from where, what is refused with a FHIRPath expression, and that nothing of the claim is repeated."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.fhir.claims import read_fhir
from rules_service.primitives.errors import InputError, InvalidClaim
from tests.support.builders import claim
from tests.support.fhir_writer import NUBC, concept, write_fhir
from tests.support.one_claim import carried

BUNDLE = write_fhir(carried(claim()))


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


@pytest.mark.parametrize("name", ["patient", "provider", "insurer"])
def test_a_reference_that_leads_nowhere_is_refused_instead_of_read_as_absent(name: str) -> None:
    document, found = bundle()
    found[name] = {"reference": "Organization/SECRET"}
    code, where = refusals(document)[0]
    assert (code, where.rpartition("Claim.")[2] or where) in (
        ("fhir.reference", "patient"),
        ("fhir.reference", "Bundle.entry[0].resource.provider"),
        ("fhir.payer", "insurer"),
    )


def test_a_policy_that_is_not_here_is_refused() -> None:
    document, found = bundle()
    found["insurance"][0]["coverage"] = {"reference": "Coverage/SECRET"}
    assert ("fhir.reference", "Bundle.entry[0].resource.insurance.coverage") in refusals(document)


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"use": "preauthorization"}, "fhir.preauthorization", "use"),
        ({"use": "SECRET"}, "fhir.value", "use"),
        ({"status": "entered-in-error"}, "fhir.status", "status"),
        ({"type": concept("vision")}, "fhir.claim_type", "type"),
        ({"insurance": []}, "fhir.focal", "insurance"),
        ({"total": {"value": 1.234}}, "fhir.value", "total.value"),
        ({"total": {"value": 1, "currency": "EUR"}}, "fhir.currency", "total.currency"),
        (
            {"item": [{"sequence": 1, "productOrService": concept("P9213"), "servicedDate": "2026-11"}]},
            "fhir.value",
            "item[0].servicedDate",
        ),
        ({"item": [{"sequence": 1, "productOrService": concept("P9213"), "servicedDate": "2026-11-20"}]}, "fhir.required", "item[0].net"),
        ({"item": [{"sequence": "SECRET", "productOrService": concept("P9213")}]}, "wrong_type", "item[0].sequence"),
        ({"item": [{"sequence": 1}]}, "missing_field", "item[0]"),
        ({"diagnosis": [{"sequence": 1}]}, "fhir.diagnosis", "diagnosis[0]"),
        (
            {"supportingInfo": [{"sequence": 1, "category": concept("SECRET", "urn:payer-rules:claim-field")}]},
            "fhir.claim_field",
            "supportingInfo[0].category",
        ),
        ({"item": []}, "no_service_lines", None),
    ],
)
def test_a_claim_that_cannot_be_read_is_refused_with_a_fhirpath_expression(change: dict[str, Any], code: str, where: str | None) -> None:
    document, found = bundle()
    found |= change
    told = refusals(document)
    assert (code, f"Bundle.entry[0].resource.{where}" if where else "/service_lines") in told
    alone = contained(document)
    assert (code, f"Claim.{where}" if where else "/service_lines") in refusals(alone)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"resourceType": "Patient"}', "fhir.resource_type"),
        (b'{"resourceType": "Bundle", "entry": []}', "fhir.one_claim"),
        (b'{"resourceType": "Claim", "resourceType": "Claim"}', "duplicate_key"),
        (b"[]", "wrong_type"),
        (b"{", "malformed_json"),
        (b'{"resourceType": "Claim", "status": NaN}', "malformed_json"),
    ],
)
def test_what_is_no_claim_is_refused(body: bytes, code: str) -> None:
    assert refusals(body)[0][0] == code


def test_a_key_given_twice_is_refused() -> None:
    text = json.dumps(BUNDLE).replace('"use": "claim"', '"use": "claim", "use": "claim"')
    assert refusals(text.encode())[0][0] == "duplicate_key"


def test_two_claims_in_one_bundle_are_refused() -> None:
    document, found = bundle()
    document["entry"].append({"resource": found})
    assert refusals(document) == [("fhir.one_claim", "Bundle.entry")]


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


@settings(max_examples=400)
@given(st.data())
def test_a_damaged_resource_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    body = bytearray(json.dumps(BUNDLE).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b'"', b"{}", b"[", b"1e999", b"null", b'"sequence":-1,', b"9" * 40, b"true"])
        )
    try:
        read_fhir(bytes(body))
    except InputError as error:
        assert error.issues
        assert all(issue.message for issue in error.issues)


def test_every_value_of_a_resource_may_be_anything_and_the_claim_is_read_or_refused() -> None:
    """Each member in turn replaced by each kind of JSON value."""
    odd = [None, True, -1, 10**30, 1e300, "", "x" * 300, [], {}, [None], [{}], {"value": "x"}, {"coding": [{"code": "Ω"}]}]

    def walk(node: Any) -> list[tuple[Any, Any]]:
        found = [(node, key) for key in (node if isinstance(node, dict) else range(len(node)))]
        return found + [
            pair
            for key in list(node if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], (dict, list))
            for pair in walk(node[key])
        ]

    document, _ = bundle()
    for node, key in walk(document):
        kept = node[key]
        for value in odd:
            node[key] = value
            try:
                read(document)
            except InvalidClaim as error:
                assert error.issues, (key, value)
        node[key] = kept
