"""Waivers over HTTP: the finding stays and is marked, the claim is no longer held, and what is stored and replayed knows nothing of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from rules_service.storage.database import Database
from tests.support.builders import claim_bytes
from tests.support.governance import LATE, Tenant, new_tenant, refused, validate
from tests.support.server import Server

EXPIRED = LATE | {"received_at": "2027-02-01T10:00:00-05:00"}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
WAIVER = {"finding_id": "f1", "reason_code": "proof_of_timely_filing", "expires_on": TOMORROW}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def give(tenant: Tenant, evaluation: dict[str, Any], person: str = "ehr", **body: Any) -> dict[str, Any]:
    answer = tenant[person].post(f"/v1/evaluations/{evaluation['evaluation_id']}/waivers", json=WAIVER | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_waived_finding_stays_marked_and_holds_the_claim_no_longer(tenant: Tenant) -> None:
    first = validate(tenant, **EXPIRED)
    assert (first["disposition"], first["findings"][0]["waiver"]) == ("hold", None)
    waiver = give(tenant, first, on_behalf_of="user-17")
    read = tenant["ehr"].get(f"/v1/evaluations/{first['evaluation_id']}").json()
    again = validate(tenant, **EXPIRED)
    for answer in (read, again):
        assert answer["disposition"] == "release"
        shown = answer["findings"][0]["waiver"]
        assert (shown["waiver_id"], shown["reason_code"], shown["on_behalf_of"], shown["expires_on"]) == (
            waiver["waiver_id"], "proof_of_timely_filing", "user-17", TOMORROW,
        )  # fmt: skip
        assert (answer["findings"][0]["severity"], answer["findings"][0]["blocking"], answer["outcome"]) == ("deny_hard", True, "findings")
    dry = tenant["ehr"].post(
        "/v1/claims/validate?mode=dry_run", content=claim_bytes(**EXPIRED), headers={"Content-Type": "application/json"}
    )
    assert dry.json()["disposition"] == "release"
    event = tenant.events(action="waiver.given")[0]
    assert (event["object_id"], event["details"]["rule_id"], event["details"]["on_behalf_of"]) == (
        waiver["waiver_id"],
        "EX1-TF-001",
        "user-17",
    )


def test_what_is_stored_sealed_and_replayed_knows_no_waiver(tenant: Tenant, server: Server) -> None:
    give(tenant, validate(tenant, **EXPIRED))
    marked = validate(tenant, **EXPIRED)
    replayed = tenant["auditor"].post(f"/v1/evaluations/{marked['evaluation_id']}/replay", json={}).json()
    assert replayed["verdict"] == "reproduced"
    database = Database(server.url)
    try:
        with database.reading() as connection:
            body = connection.execute(text("SELECT body FROM evaluation WHERE evaluation_id = :e"), {"e": marked["evaluation_id"]}).scalar()
    finally:
        database.close()
    stored = msgspec.json.decode(bytes(body))
    assert (stored["disposition"], stored["findings"][0]["waiver"]) == ("hold", None)


def test_a_waiver_of_one_claim_passes_no_other(tenant: Tenant) -> None:
    give(tenant, validate(tenant, **EXPIRED))
    other = validate(tenant, patient_control_number="PCN-2", **EXPIRED)
    assert (other["disposition"], other["findings"][0]["waiver"]) == ("hold", None)


def test_a_standing_waiver_passes_the_code_for_payer_and_provider(tenant: Tenant) -> None:
    first = validate(tenant, **EXPIRED)
    refused(
        tenant["ehr"].post(f"/v1/evaluations/{first['evaluation_id']}/waivers", json=WAIVER | {"scope": "standing"}),
        403,
        "insufficient-scope",
    )
    waiver = give(tenant, first, "publisher", scope="standing")
    assert (waiver["payer_id"], waiver["billing_npi"], waiver["code"]) == ("EXAMPLE01", "1234567893", "tf.expired")
    other = validate(tenant, patient_control_number="PCN-2", **EXPIRED)
    assert (other["disposition"], other["findings"][0]["waiver"]["scope"]) == ("release", "standing")
    providers = {"billing": {"npi": "1245319599", "tax_id": "123456789", "address": {"state": "TX", "zip": "787010001"}}}
    elsewhere = validate(tenant, patient_control_number="PCN-3", providers=providers, **EXPIRED)
    assert elsewhere["findings"][0]["waiver"] is None


def test_a_waiver_names_a_reason_its_rule_allows_and_a_day_within_a_year(tenant: Tenant) -> None:
    evaluation = validate(tenant, **EXPIRED)
    path = f"/v1/evaluations/{evaluation['evaluation_id']}/waivers"
    for change, where in (
        ({"reason_code": "because"}, "/reason_code"),
        ({"expires_on": "2020-01-01"}, "/expires_on"),
        ({"expires_on": "2099-01-01"}, "/expires_on"),
    ):
        problem = refused(tenant["ehr"].post(path, json=WAIVER | change), 422, "validation-error")
        assert problem["errors"][0]["pointer"] == where
    assert (
        "proof_of_timely_filing"
        in refused(tenant["ehr"].post(path, json=WAIVER | {"reason_code": "because"}), 422, "validation-error")["errors"][0]["mend"]
    )
    refused(tenant["ehr"].post(path, json=WAIVER | {"finding_id": "f9"}), 404, "not-found")
    refused(tenant["ehr"].post(path, json={"finding_id": "f1"}), 422, "validation-error")
    refused(tenant["ehr"].post(path, json=WAIVER | {"on_behalf_of": "JANE SAMPLE, born 1980"}), 422, "validation-error")
    give(tenant, evaluation)
    refused(tenant["ehr"].post(path, json=WAIVER), 409, "state-conflict")
    refused(new_tenant(tenant.server)["ehr"].post(path, json=WAIVER), 404, "not-found")


def test_a_waiver_is_ended_and_holds_again(tenant: Tenant) -> None:
    waiver = give(tenant, validate(tenant, **EXPIRED))
    path = f"/v1/waivers/{waiver['waiver_id']}/ending"
    ended = tenant["ehr"].post(path, json={"reason": "The payer denied it."})
    assert (ended.status_code, ended.json()["end_reason"]) == (200, "The payer denied it.")
    assert validate(tenant, **EXPIRED)["disposition"] == "hold"
    refused(tenant["ehr"].post(path, json={"reason": "Again."}), 409, "state-conflict")
    refused(tenant["ehr"].post("/v1/waivers/wv_0/ending", json={"reason": "None."}), 404, "not-found")


def test_a_waiver_holds_through_its_last_day_and_not_the_day_after(tenant: Tenant, server: Server) -> None:
    today = datetime.now(UTC).date()
    give(tenant, validate(tenant, **EXPIRED), expires_on=today.isoformat())
    if datetime.now(UTC).date() == today:
        assert validate(tenant, **EXPIRED)["disposition"] == "release"


def test_waivers_that_mark_nothing_are_reported(tenant: Tenant) -> None:
    first = validate(tenant, **EXPIRED)
    standing = give(tenant, first, "publisher", scope="standing")
    assert [one["waiver_id"] for one in tenant["ehr"].get("/v1/waivers?unused=true").json()["data"]] == [standing["waiver_id"]]
    validate(tenant, **EXPIRED)
    validate(tenant, **EXPIRED)
    assert tenant["ehr"].get("/v1/waivers?unused=true").json()["data"] == []
    assert [one["uses"] for one in tenant["ehr"].get("/v1/waivers?unused=false").json()["data"]] == [2]
    refused(tenant["ehr"].get("/v1/waivers?unused=maybe"), 400, "bad-request")
