"""FHIR over real HTTP: one claim in three formats has equal findings, and what is answered is valid FHIR R4."""

from __future__ import annotations

import copy
import json
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from tests.support.builders import THREE_FINDINGS, claim
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import carried, claims
from tests.support.server import ROOT, Server
from tests.support.x12_writer import write_837

PATH = "/fhir/Claim/$validate-policy"
FHIR = {"Content-Type": "application/fhir+json"}
CLAIM_RESPONSE = {"Accept": 'application/fhir+json; profile="http://hl7.org/fhir/StructureDefinition/ClaimResponse"'}


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


def post(client: httpx.Client, document: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.post(PATH, content=body, headers={**FHIR, **headers})


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, after an independent library has read it."""
    get_fhir_model_class(resource["resourceType"]).model_validate(resource)
    return resource


def outcome(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"] == "application/fhir+json"
    resource = valid(answer.json())
    assert resource["resourceType"] == "OperationOutcome"
    issues: list[dict[str, Any]] = resource["issue"]
    return issues


def codes(issue: dict[str, Any]) -> list[str]:
    return [one["code"] for one in issue["details"].get("coding", [])]


def sick() -> dict[str, Any]:
    """A Bundle of a claim with three findings."""
    return write_fhir(carried(claim(lines=THREE_FINDINGS, payer={"payer_id": "EXAMPLE01"})))


def told(evaluation: dict[str, Any]) -> list[Any]:
    """The findings without what is of one evaluation alone, and what was not judged."""
    return [
        evaluation["outcome"],
        evaluation["findings"],
        evaluation["bypassed"],
        evaluation["not_evaluated"],
        evaluation["total_amount_at_risk"],
    ]


@pytest.mark.parametrize(("claim_type", "least"), [("professional", 40), ("institutional", 15)])
def test_one_claim_has_equal_findings_in_every_format(client: httpx.Client, claim_type: str, least: int) -> None:
    documents = claims(claim_type)
    chosen = documents[:: len(documents) // least]
    assert len(chosen) >= least
    found = set()
    for document in chosen:
        native = client.post("/v1/claims/validate", json=document).json()
        (of_837,) = client.post(
            "/v1/x12/837/validate", content=write_837(document), headers={"Content-Type": "application/edi-x12"}
        ).json()["evaluations"]
        assert told(of_837["evaluation"]) == told(native), document
        answer = post(client, write_fhir(document))
        assert answer.status_code == 200, answer.text
        of_fhir = client.get(answer.headers["content-location"]).json()
        assert told(of_fhir) == told(native), document
        texts = [issue["details"]["text"] for issue in outcome(answer)]
        assert [text for text in texts if text in {one["message"] for one in native["findings"]}] == [
            one["message"] for one in native["findings"]
        ]
        found |= {one["code"] for one in native["findings"]}
    assert len(found) >= 10


def test_findings_are_issues_with_their_place_and_the_predicted_reason(client: httpx.Client) -> None:
    issues = outcome(post(client, sick()))
    pair = next(issue for issue in issues if "ncci.ptp" in codes(issue))
    assert (pair["severity"], pair["code"], pair["expression"]) == (
        "error",
        "business-rule",
        ["Bundle.entry[0].resource.item[1].productOrService"],
    )
    assert codes(pair) == ["ncci.ptp", "97"]
    assert pair["diagnostics"].startswith("EX1-NCCI-001 version 1. ")
    assert {issue["severity"] for issue in issues} <= {"error", "warning", "information"}


def test_the_example_of_the_docs_has_its_findings(client: httpx.Client) -> None:
    issues = outcome(post(client, (ROOT / "openapi/examples/fhir-claim-bundle.json").read_bytes()))
    assert {"ncci.ptp", "auth.missing"} <= {code for issue in issues for code in codes(issue)}


def test_a_claim_response_says_what_the_payer_would_and_that_it_is_simulated(client: httpx.Client) -> None:
    answer = post(client, sick(), **CLAIM_RESPONSE)
    response = valid(answer.json())
    assert (response["resourceType"], response["outcome"], response["use"]) == ("ClaimResponse", "error", "claim")
    assert response["disposition"].startswith("Simulated")
    denied = {item["itemSequence"]: [one["reason"]["coding"][0]["code"] for one in item["adjudication"]] for item in response["item"]}
    assert "97" in denied[2]
    assert "197" in denied[3]
    assert [error.get("itemSequence") for error in response["error"]]
    told = [note["text"] for note in response["processNote"]]
    assert len(told) == 5
    assert told[-1].startswith("Not looked for, as no rule of this payer is held:")


def test_a_clean_claim_has_no_error(client: httpx.Client) -> None:
    own = carried(claim(payer={"payer_id": "EXAMPLE01"}))
    own["providers"]["billing"]["entity_type"] = "1"  # who bills gave the service
    document = write_fhir(own)
    issues = outcome(post(client, document))
    assert {issue["severity"] for issue in issues} <= {"information", "warning"}
    assert post(client, document, **CLAIM_RESPONSE).json()["outcome"] in ("complete", "partial")


def test_a_request_for_prior_authorization_is_refused(client: httpx.Client) -> None:
    document = copy.deepcopy(sick())
    document["entry"][0]["resource"]["use"] = "preauthorization"
    answer = post(client, document)
    (issue,) = outcome(answer)
    assert (answer.status_code, issue["code"], issue["expression"]) == (422, "not-supported", ["Bundle.entry[0].resource.use"])


def test_faults_are_operation_outcomes_that_repeat_nothing(client: httpx.Client) -> None:
    document = copy.deepcopy(sick())
    document["entry"][0]["resource"]["item"][0]["servicedDate"] = "SECRET-DAY"
    answer = post(client, document)
    (issue,) = outcome(answer)
    assert (answer.status_code, issue["expression"], "SECRET" in answer.text) == (
        422,
        ["Bundle.entry[0].resource.item[0].servicedDate"],
        False,
    )
    for body, status in (
        (b"{", 400),
        (b'{"a":1,"a":1}', 400),
        (b'{"resourceType":"Patient"}', 422),
        (b"\xff", 400),
        (b"{" + b" " * (1 << 20) + b"}", 413),
    ):
        answer = post(client, body)
        assert answer.status_code == status, body[:20]
        assert outcome(answer)[0]["severity"] == "error"


def test_the_other_refusals_are_operation_outcomes_too(server: Server, client: httpx.Client) -> None:
    assert outcome(post(server.client("rsk_wrong"), sick()))[0]["code"] == "login"
    answer = client.post(PATH, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, outcome(answer)[0]["code"]) == (415, "not-supported")
    answer = client.post(PATH + "?x=1", content=b"{}", headers=FHIR)
    assert (answer.status_code, outcome(answer)[0]["severity"]) == (400, "error")


def test_the_capability_statement_is_open_and_names_the_operation(server: Server) -> None:
    answer = httpx.get(server.base_url + "/fhir/metadata", trust_env=False)
    statement = valid(answer.json())
    assert (answer.status_code, statement["fhirVersion"]) == (200, "4.0.1")
    assert statement["rest"][0]["resource"][0]["operation"][0]["name"] == "validate-policy"


@pytest.mark.parametrize(
    ("query", "accept", "status", "media"),
    [
        ("", "application/fhir+xml", 406, "application/fhir+json"), ("", "text/html, */*;q=0.1", 200, "application/fhir+json"),
        ("", "application/json", 200, "application/json"), ("?_format=json", "text/html", 200, "application/fhir+json"),
        ("?_format=application/fhir%2Bjson&_pretty=true", "*/*", 200, "application/fhir+json"), ("?_format=application/fhir+json;charset=utf-8", "*/*", 200, "application/fhir+json"), ("?_format=xml", "*/*", 406, "application/fhir+json"),
        ("?format=json", "*/*", 400, "application/fhir+json"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/fhir/metadata", PATH])
def test_the_form_of_the_answer_is_chosen_as_fhir_says(
    client: httpx.Client, path: str, query: str, accept: str, status: int, media: str
) -> None:
    if path == PATH:
        answer = client.post(path + query, json=sick(), headers={**FHIR, "Accept": accept})
    else:
        answer = client.get(path + query, headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (status, media)
    assert valid(answer.json())["resourceType"] == ("OperationOutcome" if status != 200 or path == PATH else "CapabilityStatement")


@pytest.mark.parametrize(("mode", "status"), [("full", 200), ("normative", 200), ("terminology", 400)])
def test_the_mode_of_the_capabilities_is_read(client: httpx.Client, mode: str, status: int) -> None:
    assert client.get("/fhir/metadata", params={"mode": mode}).status_code == status


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("GET", "/fhir/Patient/1", 404), ("POST", "/fhir/", 404)])
def test_what_is_not_offered_in_fhir_is_told_in_fhir(client: httpx.Client, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert [issue["code"] for issue in outcome(answer)] == [{404: "not-found", 405: "not-supported"}[status]]


def test_faults_of_the_canonical_claim_are_told_where_they_stand_in_the_resource(client: httpx.Client) -> None:
    document = sick()
    found = next(entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "Claim")
    at = next(number for number, entry in enumerate(document["entry"]) if entry["resource"] is found)
    found["item"][1]["sequence"] = found["item"][0]["sequence"]
    found["diagnosis"].insert(0, found["diagnosis"][0] | {"sequence": 1})
    found["diagnosis"][-1]["sequence"] = 1
    answer = post(client, document)
    assert answer.status_code == 422
    told = {codes(issue)[0]: issue["expression"] for issue in outcome(answer)}
    assert told["line_number_twice"] == [f"Bundle.entry[{at}].resource.item[1].sequence"]
    assert told["diagnosis_sequence"][0].startswith(f"Bundle.entry[{at}].resource.diagnosis[")
