"""What of a FHIR Claim is refused: with a FHIRPath expression, and with nothing of the claim repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.formats.fhir.claims import read_fhir
from rules_service.primitives.errors import InputError, InvalidClaim
from tests.formats.test_fhir import BUNDLE, ITEM, bundle, contained, read, refusals, urns
from tests.support.fhir_writer import concept


@pytest.mark.parametrize("name", ["patient", "provider", "insurer"])
def test_a_reference_that_leads_nowhere_is_refused_instead_of_read_as_absent(name: str) -> None:
    document, found = bundle()
    found[name] = {"reference": "Organization/SECRET"}
    (refusal,) = refusals(document)
    assert refusal == ("fhir.payer" if name == "insurer" else "fhir.reference", f"Bundle.entry[0].resource.{name}")


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
        ({"item": [ITEM | {"modifier": [{"text": "GZ"}]}]}, "fhir.value", "item[0].modifier[0]"),
        ({"item": [ITEM | {"quantity": {"value": 500, "unit": "mg"}}]}, "fhir.unit", "item[0].quantity"),
        ({"item": [ITEM | {"servicedPeriod": {"start": "2026-11-20"}}]}, "fhir.value", "item[0].servicedPeriod"),
        ({"item": [ITEM | {"careTeamSequence": [7]}]}, "fhir.reference", "item[0].careTeamSequence[0]"),
        ({"item": [ITEM | {"informationSequence": [7]}]}, "fhir.reference", "item[0].informationSequence[0]"),
        (
            {"item": [ITEM | {"detail": [{"sequence": 1, "productOrService": concept("P1001"), "net": {"value": 1}}]}]},
            "fhir.detail",
            "item[0].detail[0]",
        ),
        ({"diagnosis": [{"sequence": 1}]}, "fhir.diagnosis", "diagnosis[0]"),
        (
            {"supportingInfo": [{"sequence": 1, "category": concept("SECRET", "urn:payer-rules:claim-field")}]},
            "fhir.claim_field",
            "supportingInfo[0].category",
        ),
        ({"item": []}, "no_service_lines", "item"),
        ({"item": [ITEM | {"quantity": {"value": 5, "unit": "h"}}]}, "fhir.unit", "item[0].quantity"),
        ({"item": [ITEM | {"quantity": {"value": 5, "comparator": ">"}}]}, "fhir.value", "item[0].quantity.comparator"),
        ({"item": [ITEM | {"modifier": [concept("59", "http://snomed.info/sct")]}]}, "fhir.value", "item[0].modifier[0]"),
        ({"item": [ITEM | {"detail": [{"sequence": 1, "productOrService": concept("P1001")}]}]}, "fhir.detail", "item[0].detail[0]"),
    ],
)
def test_a_claim_that_cannot_be_read_is_refused_with_a_fhirpath_expression(change: dict[str, Any], code: str, where: str) -> None:
    document, found = bundle()
    found |= change
    told = refusals(document)
    assert (code, f"Bundle.entry[0].resource.{where}") in told
    alone = contained(document)
    assert (code, f"Claim.{where}") in refusals(alone)


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


@pytest.mark.parametrize(
    "item",
    [
        {"unitPrice": {"value": 1e300}, "quantity": {"value": 1e300}}, {"unitPrice": {"value": "sNaN"}}, {"unitPrice": {"value": "Infinity"}, "quantity": {"value": 0}},
        {"net": {"value": "NaN"}}, {"net": {"value": 1}, "quantity": {"value": "-Infinity"}},
    ],
)  # fmt: skip
def test_numbers_nobody_can_reckon_with_are_refused(item: dict[str, Any]) -> None:
    document, found = bundle()
    found["item"] = [{"sequence": 1, "productOrService": concept("P9213"), "servicedDate": "2026-11-20"} | item]
    assert {code for code, _ in refusals(document)} <= {"fhir.value", "fhir.required"}
    text = json.dumps(document).replace("1e+300", "1e999999")
    assert {code for code, _ in refusals(text.encode())} <= {"fhir.value", "fhir.required"}


def test_a_claim_of_more_parts_than_any_has_is_refused_before_they_are_read() -> None:
    document, found = bundle()
    found["diagnosis"] = [{"sequence": number, "diagnosisReference": {"reference": "Condition/1"}} for number in range(1, 1_500)]
    assert refusals(document) == [("fhir.too_many", "Bundle.entry[0].resource.diagnosis")]


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


@pytest.mark.parametrize("path", [(0,), (0, "item", 0), (0, "insurance", 0), (0, "type"), (1,), (3,), (3, "relationship")])
def test_what_may_turn_the_meaning_round_is_not_read(path: tuple[str | int, ...]) -> None:
    document, _ = bundle()
    part: Any = document["entry"][path[0]]["resource"]
    for step in path[1:]:
        part = part[step]
    part["modifierExtension"] = [{"url": "http://example.org/not", "valueBoolean": True}]
    assert [code for code, _ in refusals(document)] == ["fhir.modifier"]
    part["modifierExtension"] = []
    read(document)


def test_rules_to_read_a_resource_by_are_not_understood() -> None:
    document, claim = bundle()
    claim["implicitRules"] = "http://example.org/rules"
    assert refusals(document) == [("fhir.modifier", "Bundle.entry[0].resource.implicitRules")]
    document, _ = bundle()
    document["implicitRules"] = "http://example.org/rules"
    assert refusals(document) == [("fhir.modifier", "Bundle.implicitRules")]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_policy_that_is_none_makes_no_claim(status: str) -> None:
    document, _ = bundle()
    document["entry"][3]["resource"]["status"] = status
    assert refusals(document) == [("fhir.coverage", "Bundle.entry[0].resource.insurance.coverage.resolve().status")]


@pytest.mark.parametrize("member", ["beneficiary", "subscriber"])
def test_a_policy_of_another_person_makes_no_claim(member: str) -> None:
    document, _ = bundle()
    document["entry"].append({"fullUrl": "http://example.org/Patient/r9", "resource": {"resourceType": "Patient", "id": "r9"}})
    document["entry"][3]["resource"][member] = {"reference": "Patient/r9"}
    assert refusals(document) == [("fhir.coverage", f"Bundle.entry[0].resource.insurance.coverage.resolve().{member}")]


def test_two_resources_of_one_type_and_id_at_two_addresses_are_refused() -> None:
    document, _ = bundle()
    patient = next(entry for entry in document["entry"] if entry["resource"]["resourceType"] == "Patient")
    other = patient["resource"] | {"birthDate": "1999-01-01"}
    at_home = patient["fullUrl"]
    for address in ("https://other.example.org/fhir/Patient/" + other["id"], "urn:uuid:7777", at_home, None):
        entry = {"resource": other} | ({"fullUrl": address} if address else {})
        for first, second in ((patient, entry), (entry, patient)):
            both = {"entry": [document["entry"][0], first, second, *(one for one in document["entry"][1:] if one is not patient)]}
            assert refusals(document | both) == [("fhir.reference", "Bundle.entry[2].resource.id")], address
    document["entry"].append(patient)
    assert read(document).subscriber.last_name == "SAMPLE", "the same resource twice is no other one"


@pytest.mark.parametrize("named", ["urn:uuid:99999999-9999-4999-8999-999999999999", "Patient/OTHER"])
@pytest.mark.parametrize("form", [lambda one: one, urns])
def test_a_policy_of_a_person_who_is_not_here_is_another_person_s(named: str, form: Any) -> None:
    document = form(bundle()[0])
    policy = next(entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Coverage")
    policy["beneficiary"] = {"reference": named}
    assert refusals(document) == [("fhir.coverage", "Bundle.entry[0].resource.insurance.coverage.resolve().beneficiary")]


def test_what_stands_once_is_not_taken_from_the_first_of_two() -> None:
    document, found = bundle()
    rendering = {"provider": found["provider"], "role": concept("rendering")}
    other = {"provider": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1467560003"}}, "role": concept("primary")}
    found["careTeam"] = [rendering | {"sequence": 1}, rendering | {"sequence": 2}]
    assert read(document).providers.rendering is not None, "one and the same is not two"
    found["careTeam"] = [rendering | {"sequence": 1}, other | {"sequence": 2}]
    assert refusals(document) == [("fhir.repeated", "Bundle.entry[0].resource.careTeam[1].role")]
    found["careTeam"] = [rendering | {"sequence": 1}, {"provider": found["provider"], "role": concept("supervisor"), "sequence": 1}]
    assert refusals(document) == [("fhir.repeated", "Bundle.entry[0].resource.careTeam[1].sequence")]
