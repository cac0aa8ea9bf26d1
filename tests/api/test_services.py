"""Checks before the service over real HTTP: authorization, coverage and frequency as the claim's own rules say, and nothing stored."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema
import pytest

from tests.contract.test_generated import DOCUMENT
from tests.support.builders import claim_document
from tests.support.server import ROOT, Server

DAY = "2026-12-01"


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


def check(client: httpx.Client, *services: dict[str, Any], payer: str = "EXAMPLE01", **more: Any) -> dict[str, Any]:
    body = {"payer": {"payer_id": payer}, "service_date": DAY, "place_of_service_code": "11", "services": list(services)} | more
    answer = client.post("/v1/services/check", json=body)
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["catalog-epoch"]) == answer.json()["pins"]["catalog_epoch"]
    return answer.json()  # type: ignore[no-any-return]


def needs(told: dict[str, Any]) -> list[str]:
    return [one["authorization"] for one in told["services"]]


def approved(**changes: Any) -> dict[str, Any]:
    record = {"number": "AUTH123456", "status": "approved", "codes": ["P7001"], "from": "2026-11-01", "through": "2026-12-31"} | changes
    return {"authorizations": [record], "history": []}


def test_a_listed_service_needs_authorization_until_one_that_fits_is_given(client: httpx.Client) -> None:
    asked = {"procedure_code": "P7001"}
    assert needs(check(client, asked)) == ["auth-needed"]
    number = asked | {"prior_authorization_number": "AUTH123456"}
    assert needs(check(client, number, context=approved())) == ["satisfied"]
    assert needs(check(client, number, context=approved(through="2026-11-30"))) == ["auth-needed"]
    assert needs(check(client, number)) == ["conditional"], "a number nobody can check"


def test_what_no_rule_names_is_indeterminate_and_never_said_to_be_free(client: httpx.Client) -> None:
    insured = {"eligibility": {"checked_at": "2026-11-25T10:00:00-05:00", "spans": [{"from": "2015-01-01"}]}}
    for context, covered in ({}, "conditional"), (insured, "indeterminate"):  # whether there is coverage at all may be asked first
        told = check(client, {"procedure_code": "P9213"}, context=context)
        assert [(one["authorization"], one["covered"]) for one in told["services"]] == [("indeterminate", covered)]
    nobody = check(client, {"procedure_code": "P7001"}, payer="NOBODY")
    assert (nobody["covers_payer"], nobody["payer_id"], needs(nobody)) == (False, None, ["indeterminate"])
    assert nobody["services"][0]["frequency"] == "indeterminate"


def test_a_covered_diagnosis_and_another_one(client: httpx.Client) -> None:
    eligible = {
        "checked_at": "2026-11-25T10:00:00-05:00",
        "spans": [{"from": "2015-01-01"}],
        "hospice": [],
        "skilled_nursing": [],
        "home_health": [],
    }
    context = {"history": [], "eligibility": eligible, "mac_jurisdiction": "JK"}
    person = {"birth_date": "1950-05-17", "sex": "F", "member_id": "1EG4TE5MK73"}
    told = [
        check(client, {"procedure_code": "93306"}, payer="MEDB", diagnosis_codes=[code], context=context, subscriber=person)["services"][0][
            "covered"
        ]
        for code in ("J06.9", "I50.20")
    ]
    assert told == ["not-covered", "covered"]


def test_frequency_is_told_from_history_and_unknown_without_it(client: httpx.Client) -> None:
    earlier = {"status": "paid", "line": {"procedure_code": "P6001", "service_from": "2026-02-01", "billing_npi": "1234567893"}}
    asked = {"procedure_code": "P6001"}
    told = [
        check(client, asked, payer="MEDB", context=context)["services"][0]["frequency"]
        for context in ({"history": [earlier]}, {"history": []}, {})
    ]
    assert told == ["exceeded", "within", "unknown"]
    assert "context.history" in check(client, asked, payer="MEDB")["services"][0]["supply"]


def test_a_claim_of_the_same_service_gets_the_same_authorization_finding(client: httpx.Client) -> None:
    planned = check(client, {"procedure_code": "P7001"}, service_date="2026-11-20")
    claim = client.post("/v1/claims/validate", json=claim_document(lines=[{"procedure_code": "P7001"}])).json()
    assert {one["code"] for one in planned["findings"]} == {one["code"] for one in claim["findings"] if one["category"] == "authorization"}


def test_a_fault_points_into_what_was_sent(client: httpx.Client) -> None:
    body = {
        "payer": {"payer_id": "EXAMPLE01"},
        "service_date": DAY,
        "services": [{"procedure_code": "P7001", "modifiers": ["A1", "A2", "A3", "A4", "A5"]}],
    }
    answer = client.post("/v1/services/check", json=body).json()
    assert (answer["detail"], answer["errors"][0]["pointer"]) == ("The body is not a service check", "/services/0/modifiers")


def test_voluntary_review_is_known_and_not_a_question(client: httpx.Client) -> None:
    billing = {"npi": "1234567893", "address": {"state": "TX", "zip": "787010001"}}
    (told,) = check(client, {"procedure_code": "P7201"}, payer="MEDB", providers={"billing": billing})["services"]
    assert (told["authorization"], told["authorization_basis"], told["authorization_rule_id"]) == ("conditional", "voluntary", "MCR-PA-002")


def test_each_service_may_have_its_own_day_place_and_diagnoses(client: httpx.Client) -> None:
    emergency = check(client, {"procedure_code": "P7001", "place_of_service_code": "23"}, {"procedure_code": "P7001"})
    assert needs(emergency) == ["no-auth", "auth-needed"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"services": []}, 422),
        ({"service_date": "soon"}, 422),
        ({"services": [{"procedure_code": 1}]}, 422),
        ({"x": 1}, 422),
        ({"payer": {}}, 422),
    ],
)
def test_a_check_that_is_none_is_refused(client: httpx.Client, change: dict[str, Any], status: int) -> None:
    body = {"payer": {"payer_id": "EXAMPLE01"}, "service_date": DAY, "services": [{"procedure_code": "P7001"}]} | change
    answer = client.post("/v1/services/check", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_the_example_and_its_answer_fit_the_contract(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/services/check",
        content=(ROOT / "openapi/examples/service-check.json").read_bytes(),
        headers={"Content-Type": "application/json"},
    )
    assert needs(answer.json()) == ["auth-needed", "indeterminate"]
    jsonschema.validate(answer.json(), {"$ref": "#/components/schemas/ServiceCheckAnswer", "components": DOCUMENT["components"]})
    assert answer.json()["pins"]["catalog_epoch"] > 0
