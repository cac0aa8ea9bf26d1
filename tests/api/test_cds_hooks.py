"""CDS Hooks over real HTTP: discovery, cards for draft orders and appointments, feedback, and calls signed with the EHR's own key."""

from __future__ import annotations

import base64
import copy
import json
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import text

from rules_service.services.manage_clients import add_client, register_keys
from rules_service.storage.database import Database
from tests.support.governance import new_tenant
from tests.support.public_data import DIRECTORY, needs_public_data
from tests.support.server import ROOT, Server, new_key, running

CPT = "http://www.ama-assn.org/go/cpt"


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


def order(procedure: str = "P7001", **changes: Any) -> dict[str, Any]:
    return {
        "resourceType": "ServiceRequest", "id": f"o-{procedure}", "status": "draft", "subject": {"reference": "Patient/p1"}, "occurrenceDateTime": "2026-12-01",
        "code": {"coding": [{"system": CPT, "code": procedure}]}, "insurance": [{"reference": "Coverage/c1"}],
    } | changes  # fmt: skip


def bundle(*resources: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}


COVERAGE = {
    "resourceType": "Coverage",
    "id": "c1",
    "status": "active",
    "subscriberId": "W123456789",
    "payor": [{"reference": "Organization/o1"}],
}
PAYER = {"resourceType": "Organization", "id": "o1", "name": "Example Health PPO", "identifier": [{"value": "EXAMPLE01"}]}
PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1980-05-17", "gender": "female", "name": [{"family": "CANARY"}]}


def call(*orders: dict[str, Any], hook: str = "order-sign", **changes: Any) -> dict[str, Any]:
    context: dict[str, Any] = {"userId": "Practitioner/d1", "patientId": "p1", "draftOrders": bundle(*orders)}
    context |= changes.pop("context", {})
    prefetch = changes.pop("prefetch", {"patient": PATIENT, "coverage": bundle(COVERAGE, PAYER), "other": None})
    return {
        "hook": hook,
        "hookInstance": str(uuid.uuid4()),
        "fhirServer": "https://ehr.example.org",
        "context": context,
        "prefetch": prefetch,
    } | changes


def cards(client: httpx.Client, body: dict[str, Any], hook: str = "order-sign") -> list[dict[str, Any]]:
    answer = client.post(f"/cds-services/{hook}", json=body)
    assert answer.status_code == 200, answer.text
    assert "CANARY" not in answer.text
    found: list[dict[str, Any]] = answer.json()["cards"]
    for card in found:
        assert {"uuid", "summary", "indicator", "source"} <= card.keys()
        assert len(card["summary"]) < 140
        assert card["indicator"] in ("info", "warning", "critical")
        assert card["source"]["label"]
    assert len({card["uuid"] for card in found}) == len(found)
    return found


def test_discovery_is_open_and_names_three_hooks(server: Server) -> None:
    services = httpx.get(server.base_url + "/cds-services", trust_env=False).json()["services"]
    assert [one["hook"] for one in services] == ["order-sign", "order-select", "appointment-book"]
    assert all(one["id"] and one["title"] and one["description"] and one["prefetch"]["coverage"] for one in services)


def test_an_order_that_needs_authorization_gets_a_card_with_source_ways_and_reasons(client: httpx.Client) -> None:
    (card,) = cards(client, call(order()))
    assert card["summary"] == "Required prior authorization is missing: P7001"
    assert (card["indicator"], "Obtain the authorization" in card["detail"]) == ("warning", True)
    assert {one["code"] for one in card["overrideReasons"]} == {"authorization_on_file", "payer_confirmed"}
    answer = client.post("/cds-services/order-sign", json=call(order())).json()
    (told,) = answer["extension"]["coverage-information"].values()
    assert (told["pa-needed"], told["covered"], told["billingCode"], told["date"]) == (
        "auth-needed",
        "conditional",  # nobody sent what the payer says of the coverage
        "P7001",
        "2026-12-01",
    )


def test_a_card_suggests_a_task_for_each_way_out_and_changes_no_order(client: httpx.Client) -> None:
    (card,) = cards(client, call(order("P9213"), order()))
    assert card["selectionBehavior"] == "any"
    assert [one["label"] in card["detail"] for one in card["suggestions"]] == [True] * len(card["suggestions"]) != []
    for suggestion in card["suggestions"]:
        (action,) = suggestion["actions"]
        assert (action["type"], action["description"]) == ("create", suggestion["label"])
        task = action["resource"]
        assert (task["resourceType"], task["status"], task["intent"], task["description"]) == (
            "Task",
            "ready",
            "order",
            suggestion["label"],
        )
        assert (task["for"], task["focus"]) == ({"reference": "Patient/p1"}, {"reference": "ServiceRequest/o-P7001"})
        assert task["restriction"]["period"]["end"] == "2026-12-01", "it is due by the day of the service"
    assert len({one["uuid"] for one in card["suggestions"]} | {card["uuid"]}) == len(card["suggestions"]) + 1


def test_what_cannot_be_mended_is_told_and_nobody_gets_a_task_for_it(client: httpx.Client) -> None:
    hmo = PAYER | {"name": "Example Health HMO", "identifier": [{"value": "EXAMPLE02"}]}
    (card,) = [
        one for one in cards(client, call(order("P5301"), prefetch={"coverage": bundle(COVERAGE, hmo)})) if "P5301" in one["summary"]
    ]
    assert "Not covered: bill the patient only with a notice" in card["detail"]
    assert "suggestions" not in card


def test_a_task_refers_to_no_order_that_has_no_id_and_settled_cards_suggest_nothing(client: httpx.Client) -> None:
    unnamed = {name: value for name, value in order().items() if name != "id"}
    body = call(unnamed, context={"patientId": "Patient/p1"})
    (card,) = cards(client, body)
    for suggestion in card["suggestions"]:
        assert "focus" not in suggestion["actions"][0]["resource"]
        assert suggestion["actions"][0]["resource"]["for"] == {"reference": "Patient/p1"}
    told = client.post("/cds-services/order-sign", json=body).json()["extension"]["coverage-information"]
    assert list(told) == ["ServiceRequest 1"]
    place = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/place-of-service-codes", "code": "23"}]}
    (free,) = cards(client, call(order(locationCode=[place])))
    assert not {"suggestions", "selectionBehavior"} & free.keys()


def test_the_example_of_the_docs_gets_its_card(client: httpx.Client) -> None:
    body = json.loads((ROOT / "openapi/examples/cds-order-sign.json").read_text())
    assert [card["summary"] for card in cards(client, body)] == ["Required prior authorization is missing: P7001"]


def test_what_is_not_needed_is_said_and_what_is_not_known_gives_no_card(client: httpx.Client) -> None:
    place = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/place-of-service-codes", "code": "23"}]}
    (free,) = cards(client, call(order(locationCode=[place])))
    assert (free["indicator"], free["summary"]) == ("info", "No prior authorization is needed for P7001")
    assert cards(client, call(order("P9213"))) == []
    unknown = copy.deepcopy(PAYER) | {"identifier": [{"value": "NOBODY"}], "name": "Nobody Health"}
    assert cards(client, call(order(), prefetch={"coverage": bundle(COVERAGE, unknown)})) == []


def test_a_call_that_says_too_little_gets_no_cards_instead_of_a_guess(client: httpx.Client) -> None:
    for body in (
        call(order(), prefetch={}), call(order(), prefetch={"coverage": None}), call(), call(order(code={"coding": [{"system": "http://snomed.info/sct", "code": "P7001"}]})),
        call(order(status="revoked")),
    ):  # fmt: skip
        assert cards(client, body) == []


def test_what_cannot_be_read_is_not_guessed(client: httpx.Client) -> None:
    for change in ({"doNotPerform": True}, {"occurrenceDateTime": "2027-03"}, {"quantityQuantity": {"value": 1e300}}):
        assert cards(client, call(order(**change))) == []
    ended = COVERAGE | {"status": "cancelled"}
    assert cards(client, call(order(insurance=[]), prefetch={"coverage": bundle(ended, PAYER)})) == []


def test_each_order_is_judged_by_its_own_policy(client: httpx.Client) -> None:
    other = {"resourceType": "Coverage", "id": "c2", "status": "active", "payor": [{"identifier": {"value": "NOBODY"}}]}
    second = order("P7001", id="second", insurance=[{"reference": "Coverage/c2"}])
    found = cards(client, call(order(), second, prefetch={"coverage": bundle(other, COVERAGE, PAYER)}))
    assert len(found) == 1
    told = client.post("/cds-services/order-sign", json=call(order(), second, prefetch={"coverage": bundle(other, COVERAGE, PAYER)})).json()
    assert list(told["extension"]["coverage-information"]) == ["ServiceRequest/o-P7001"]


def test_the_most_orders_are_counted_among_those_selected(client: httpx.Client) -> None:
    many = [order("P9213", id=f"x{number}") for number in range(80)]
    body = call(*many, order(), hook="order-select", context={"selections": ["ServiceRequest/o-P7001"]})
    assert len(cards(client, body, "order-select")) == 1


def test_no_key_of_the_prefetch_is_repeated(client: httpx.Client) -> None:
    broken = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Coverage", "payor": "x"}}]}
    answer = client.post("/cds-services/order-sign", json=call(order(), prefetch={"JANE DOE": broken}))
    assert (answer.status_code, "JANE" in answer.text) == (422, False)


def test_a_settled_card_names_the_rule_that_settled_it(server: Server, client: httpx.Client) -> None:
    place = {"coding": [{"system": "https://www.cms.gov/Medicare/Coding/place-of-service-codes", "code": "23"}]}
    (free,) = cards(client, call(order(locationCode=[place])))
    assert free["source"]["label"] == "Rule EX1-PA-001 version 1"
    database = Database(server.url)
    with database.reading() as connection:
        kept = connection.execute(
            text("SELECT rule_id, rule_version, code FROM advice_card WHERE card_id = :one"), {"one": free["uuid"]}
        ).one()
    database.close()
    assert tuple(kept) == ("EX1-PA-001", 1, "authorization.not_needed")


def test_only_selected_orders_are_looked_at(client: httpx.Client) -> None:
    both = call(order(), order("P9213"), hook="order-select", context={"selections": ["ServiceRequest/o-P9213"]})
    assert cards(client, both, "order-select") == []
    both["context"]["selections"] = ["DeviceRequest/o-P7001"]
    assert cards(client, both, "order-select") == [], "another kind's id is another order"
    for named in ("ServiceRequest/o-P7001", "https://ehr.example/fhir/ServiceRequest/o-P7001", "o-P7001"):
        both["context"]["selections"] = [named]
        assert len(cards(client, both, "order-select")) == 1, named


def test_what_is_another_patient_s_or_no_policy_of_that_day_gives_no_card(client: httpx.Client) -> None:
    def covered(**changes: Any) -> dict[str, Any]:
        return {"patient": PATIENT, "coverage": bundle(COVERAGE | changes, PAYER)}

    assert cards(client, call(order(subject={"reference": "Patient/other"}))) == []
    assert len(cards(client, call(order(subject={"reference": "https://ehr.example/fhir/Patient/p1"})))) == 1
    assert cards(client, call(order(), prefetch=covered(status="cancelled"))) == []
    assert cards(client, call(order(), prefetch=covered(beneficiary={"reference": "Patient/other"}))) == []
    assert cards(client, call(order(), prefetch=covered(beneficiary={"reference": "urn:uuid:2"}))) == []
    assert len(cards(client, call(order(), prefetch=covered(beneficiary={"reference": "Patient/p1"})))) == 1
    assert cards(client, call(order(insurance=[{"reference": "Coverage/elsewhere"}]))) == [], "the policy it names is not here"
    assert cards(client, call(order(), prefetch=covered(period={"start": "2020-01-01", "end": "2026-11-30"}))) == []
    assert len(cards(client, call(order(), prefetch=covered(period={"start": "2020-01-01", "end": "2026-12-01"})))) == 1
    assert cards(client, call(order(), hook="order-select"), "order-select") == [], "nothing was selected"


def test_of_several_policies_the_one_of_the_order_s_day_counts(client: httpx.Client) -> None:
    other = COVERAGE | {"id": "c0", "payor": [{"display": "A payer without rules here"}], "period": {"end": "2026-12-31"}}
    coming = COVERAGE | {"period": {"start": "2027-01-01"}}
    policies = {"patient": PATIENT, "coverage": bundle(other, coming, PAYER)}
    usual = {name: value for name, value in order().items() if name != "insurance"}
    assert cards(client, call(usual, prefetch=policies)) == []
    assert len(cards(client, call(usual | {"occurrenceDateTime": "2027-01-15"}, prefetch=policies))) == 1


def test_an_appointment_of_another_patient_gets_no_card(client: httpx.Client) -> None:
    booked = {
        "resourceType": "Appointment",
        "status": "proposed",
        "start": "2026-12-01T10:00:00-05:00",
        "serviceType": [{"coding": [{"system": CPT, "code": "P7001"}]}],
    }
    for patient, count in (("other", 0), ("p1", 1)):
        mine = booked | {"participant": [{"actor": {"reference": f"Patient/{patient}"}}, {"actor": {"reference": "Practitioner/d1"}}]}
        body = call(hook="appointment-book", context={"draftOrders": None, "appointments": bundle(mine)})
        assert len(cards(client, body, "appointment-book")) == count


def test_an_appointment_is_judged_on_its_day(client: httpx.Client) -> None:
    booked = {
        "resourceType": "Appointment",
        "id": "a1",
        "status": "proposed",
        "start": "2026-12-01T10:00:00-05:00",
        "serviceType": [{"coding": [{"system": CPT, "code": "P7001"}]}],
    }
    body = call(hook="appointment-book", context={"draftOrders": None, "appointments": bundle(booked)})
    assert [card["summary"] for card in cards(client, body, "appointment-book")] == ["Required prior authorization is missing: P7001"]


def test_the_payer_is_found_by_its_name_when_the_policy_has_no_id(client: httpx.Client) -> None:
    named = {name: value for name, value in PAYER.items() if name != "identifier"} | {"name": "Example Health"}
    assert len(cards(client, call(order(), prefetch={"coverage": bundle(COVERAGE, named)}))) == 1


def test_feedback_is_kept_with_the_rule_and_without_words(server: Server, client: httpx.Client) -> None:
    (card,) = cards(client, call(order()))
    told = {
        "card": card["uuid"], "outcome": "overridden", "outcomeTimestamp": "2026-12-01T10:05:31Z",
        "overrideReason": {"reason": {"code": "payer_confirmed", "system": "urn:x"}, "userComment": "CANARY said so"},
    }  # fmt: skip
    assert client.post("/cds-services/order-sign/feedback", json={"feedback": [told]}).status_code == 200
    database = Database(server.url)
    with database.reading() as connection:
        rows = connection.execute(text("SELECT * FROM advice_feedback")).all()
    database.close()
    assert "CANARY" not in str(rows)
    assert "payer_confirmed" in str(rows)


def outcome(client: httpx.Client, code: str = "auth.missing") -> dict[str, Any]:
    """What is told of the rule's cards that said this."""
    answer = client.get("/v1/rules/EX1-PA-001/advice")
    assert answer.status_code == 200, answer.text
    (found,) = [one for one in answer.json()["data"] if one["code"] == code]
    return dict(found)


def test_a_rule_s_author_reads_what_clinicians_did_with_its_cards(server: Server) -> None:
    tenant = new_tenant(server)
    ehr, author = tenant["ehr"], tenant["author"]
    assert author.get("/v1/rules/EX1-PA-001/advice").json() == {"rule_id": "EX1-PA-001", "data": []}
    shown = [cards(ehr, call(order()))[0] for _ in range(4)]

    def tell(card: dict[str, Any], outcome: str, **more: Any) -> int:
        told = {"card": card["uuid"], "outcome": outcome, **more}
        return ehr.post("/cds-services/order-sign/feedback", json={"feedback": [told]}).status_code

    first = {"acceptedSuggestions": [{"id": shown[0]["suggestions"][0]["uuid"]}]}
    assert tell(shown[0], "accepted", **first) == 200
    assert tell(shown[1], "accepted") == 200, "accepted without a suggestion"
    assert tell(shown[1], "overridden", overrideReason={"reason": {"code": "payer_confirmed"}}) == 200, "the last word counts"
    assert tell(shown[2], "overridden", overrideReason={"userComment": "JANE DOE"}) == 200
    assert outcome(author) == {
        "rule_version": 1, "code": "auth.missing", "shown": 4, "accepted": 1, "overridden": 2,
        "reasons": {"payer_confirmed": 1}, "fixes_taken": {"0": 1},
    }  # fmt: skip
    twice = [{"card": shown[3]["uuid"], "outcome": one} for one in ("overridden", "accepted") * 10]
    assert ehr.post("/cds-services/order-sign/feedback", json={"feedback": twice}).status_code == 200
    assert (outcome(author)["accepted"], outcome(author)["overridden"]) == (2, 2), "the last word of one request counts too"
    assert tell(shown[3], "accepted", **first) == 404, "another card's suggestion"
    assert tell(shown[3], "accepted", acceptedSuggestions=[{"id": "JANE DOE"}]) == 404
    assert tell({"uuid": "nobody"}, "accepted", **first) == 404
    assert outcome(author)["accepted"] == 2, "what was refused is not kept"
    assert new_tenant(server)["author"].get("/v1/rules/EX1-PA-001/advice").json()["data"] == [], "another tenant's cards are its own"


def test_feedback_keeps_what_is_of_cards_that_were_shown(server: Server) -> None:
    tenant = new_tenant(server)
    ehr, author = tenant["ehr"], tenant["author"]
    (card,) = cards(ehr, call(order()))
    nobody, odd = (
        {"card": "nobody", "outcome": "accepted"},
        {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": [{"id": "x"}]},
    )
    known = {
        "card": card["uuid"].upper(),
        "outcome": "overridden",
        "overrideReason": {"reason": {"code": "of_my_own"}},
        "extension": {"ehr": 1},
    }
    body = {"feedback": [nobody, known, odd], "extension": {"ehr": {"anything": 1}}}
    assert ehr.post("/cds-services/order-sign/feedback", json=body).status_code == 200
    assert outcome(author) == {
        "rule_version": 1, "code": "auth.missing", "shown": 1, "accepted": 0, "overridden": 1, "reasons": {}, "fixes_taken": {},
    }, "a reason the card did not offer may be words"  # fmt: skip


def test_cards_nobody_waited_for_are_not_kept(server: Server) -> None:
    tenant = new_tenant(server)
    database = Database(server.url)
    with database.writing() as connection:  # as long as this stands, nobody else writes
        if database.dialect == "postgresql":
            connection.execute(text("LOCK TABLE advice_card IN EXCLUSIVE MODE"))
        assert tenant["ehr"].post("/cds-services/order-sign", json=call(order()), timeout=30).json() == {"cards": []}
    time.sleep(0.5)  # the one that was left behind goes on now
    (card,) = cards(tenant["ehr"], call(order()))
    with database.reading() as connection:
        kept = connection.execute(text("SELECT card_id FROM advice_card WHERE tenant_id = :one"), {"one": tenant.tenant_id}).scalars().all()
    database.close()
    assert kept == [card["uuid"]]


def test_feedback_for_a_card_nobody_showed_keeps_nothing(server: Server, client: httpx.Client) -> None:
    (card,) = cards(client, call(order()))
    told = [{"card": card["uuid"], "outcome": "accepted"}, {"card": "nobody", "outcome": "accepted"}]
    assert client.post("/cds-services/order-sign/feedback", json={"feedback": told[1:]}).status_code == 404
    assert client.post("/cds-services/order-select/feedback", json={"feedback": told[:1]}).status_code == 404, "another hook's card"
    database = Database(server.url)
    others = [server.client(new_key(database, tenant, ["claims:validate"])) for tenant in ("default", "elsewhere")]
    database.close()
    for other in others:
        answer = other.post("/cds-services/order-sign/feedback", json={"feedback": told[:1]})
        assert answer.status_code == 404, "a card is its client's"
    assert client.post("/cds-services/order-sign/feedback", json={"feedback": [told[0] | {"outcome": "ignored"}]}).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("order-sign", call(order(), hook="order-select"), 422), ("order-sign", {"hook": "order-sign"}, 422), ("patient-view", call(order()), 404),
        ("order-sign", call(order(occurrenceDateTime=7)), 422),
    ],
)  # fmt: skip
def test_a_call_that_is_none_is_refused(client: httpx.Client, path: str, body: dict[str, Any], status: int) -> None:
    answer = client.post(f"/cds-services/{path}", json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


@pytest.fixture
def signed(server: Server) -> tuple[str, ECKey]:
    """A client with a registered key and no need of ours."""
    key = ECKey.generate_key("P-384", {"kid": "ehr-1"}, private=True)
    database = Database(server.url)
    client_id, _ = add_client(database, "default", "ehr", ["claims:validate"], "tests")
    register_keys(database, "default", client_id, json.dumps({"keys": [key.as_dict(private=False) | {"kid": "ehr-1"}]}).encode(), "tests")
    database.close()
    return client_id, key


def token(server: Server, client_id: str, key: ECKey, path: str = "/cds-services/order-sign", **claims: Any) -> str:
    now = int(time.time())
    body = {"iss": client_id, "aud": server.base_url + path, "iat": now, "exp": now + 120, "jti": str(uuid.uuid4())} | claims
    return jwt.encode({"alg": "ES384", "kid": "ehr-1", "typ": "JWT"}, body, key, algorithms=["ES384"])


def test_a_call_signed_with_the_ehr_s_key_is_taken_once_and_only_for_its_address(server: Server, signed: tuple[str, ECKey]) -> None:
    good = token(server, *signed)
    ask = server.client(good)
    assert len(cards(ask, call(order()))) == 1
    refusals = {
        "again": good, "elsewhere": token(server, *signed, path="/cds-services/order-select"), "late": token(server, *signed, exp=int(time.time()) - 60),
        "long": token(server, *signed, exp=int(time.time()) + 3_600), "nobody": token(server, "cl_nobody", signed[1]),
        "deep": ".".join([base64.urlsafe_b64encode(one.encode()).decode().rstrip("=") for one in ('{"alg":"ES384","kid":"x"}', "[" * 2_900 + "]" * 2_900)] + ["AAAA"]),
        "odd": token(server, "cl\x00", signed[1]), "forged": token(server, signed[0], ECKey.generate_key("P-384", {"kid": "ehr-1"}, private=True)), "none": "a.b.c",
    }  # fmt: skip
    refusals |= {"without iat": token(server, *signed, iat=None), "with a tenant": token(server, *signed, tenant="clinic-9")}
    basic = httpx.post(
        server.base_url + "/cds-services/order-sign",
        json=call(order()),
        headers={"Authorization": f"Basic {token(server, *signed)}"},
        trust_env=False,
    )
    assert basic.status_code == 401
    for what, one in refusals.items():
        answer = server.client(one).post("/cds-services/order-sign", json=call(order()))
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json"), what


@needs_public_data
def test_public_calls_are_answered_with_cards_or_with_none(client: httpx.Client) -> None:
    files = sorted((DIRECTORY / "fhir/cds-hooks-order-sign").iterdir())
    assert len(files) == 8
    for path in files:
        answer = client.post("/cds-services/order-sign", content=path.read_bytes(), headers={"Content-Type": "application/json"})
        if path.name.endswith("requestWithHydratedPrefetchBundle.json"):  # its ServiceRequest.insurance is no array
            assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "wrong_type")
            continue
        assert answer.status_code == 200, (path.name, answer.text)
        assert answer.json()["cards"] == [], path.name  # Medicare by a name nobody registered, or no policy at all


def test_an_ehr_in_a_browser_calls_the_hooks_from_its_origin_and_nothing_else(server: Server, tmp_path: Path) -> None:
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with running(server.url, server.key, tmp_path, RUNS_JOBS="false", HOOK_ORIGINS='["https://ehr.example"]') as open_server:
        client = open_server.client()

        def allowed(path: str, origin: str) -> str | None:
            return client.options(path, headers={"Origin": origin, **preflight}).headers.get("access-control-allow-origin")

        assert allowed("/cds-services/order-sign", "https://ehr.example") == "https://ehr.example"
        assert allowed("/cds-services/order-sign", "https://other.example") is None
        assert allowed("/v1/claims/validate", "https://ehr.example") is None
        answer = client.get("/cds-services", headers={"Origin": "https://ehr.example"})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://ehr.example")
    closed = server.client().options("/cds-services/order-sign", headers={"Origin": "https://ehr.example", **preflight})
    assert "access-control-allow-origin" not in closed.headers
