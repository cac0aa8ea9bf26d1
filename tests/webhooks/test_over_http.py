"""Webhooks as who manages and receives them sees them: over real HTTP, on both databases."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from rules_service.reference.publishers import TABLES
from rules_service.services.load_packs import load_samples
from rules_service.storage import evidence
from rules_service.storage.database import Database
from tests.governance.test_tampering import unguarded
from tests.support.builders import claim_bytes
from tests.support.governance import LATE, RULE_SET, Tenant, new_tenant, past_change, validate
from tests.support.receiver import RECEIVERS, Receiver, receiving
from tests.support.server import PACKS, Server, prepare, running, start
from tests.support.waiting import ended, results

ALL = ["rule_set.published", "reference_edition.published", "emergency.declared", "emergency.ended", "job.finished", "evaluations.affected", "audit.integrity_failed"]  # fmt: skip
MANAGER = "webhooks:manage"


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


def make(client: httpx.Client, url: str, events: list[str] = ALL) -> dict[str, object]:
    answer = client.post("/v1/webhook-endpoints", json={"url": url, "events": events})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()  # type: ignore[no-any-return]


def test_an_endpoint_from_its_making_to_its_end(tenant: Tenant, receiver: Receiver) -> None:
    manager = tenant.person("manager", [MANAGER, "audit:read"])
    made = make(manager, receiver.url())
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    read = manager.get(path)
    assert made == {**read.json(), "secret": made["secret"]}
    assert str(made["secret"]) not in manager.get("/v1/webhook-endpoints").text
    delivery = manager.post(f"{path}/test").json()
    assert receiver.wait("webhook.test")["data"] == {"endpoint_id": made["endpoint_id"]}
    receiver.verified(str(made["secret"]))
    (shown,) = manager.get(f"{path}/deliveries").json()["data"]
    assert (shown["message_id"], shown["event"]) == (delivery["message_id"], "webhook.test")

    assert manager.patch(path, json={"state": "disabled"}).status_code == 428
    assert manager.patch(path, json={"state": "disabled"}, headers={"If-Match": '"9"'}).status_code == 412
    changed = manager.patch(path, json={"state": "disabled"}, headers={"If-Match": read.headers["etag"]})
    assert (changed.json()["state"], changed.json()["state_reason"]) == ("disabled", "by_hand")
    assert manager.post(f"{path}/test").status_code == 409
    again = manager.patch(path, json={"state": "active", "events": ["job.finished"]}, headers={"If-Match": changed.headers["etag"]})
    assert (again.json()["state"], again.json()["events"]) == ("active", ["job.finished"])
    redelivered = manager.post(f"{path}/deliveries/{delivery['message_id']}/redelivery")
    assert (redelivered.status_code, redelivered.json()["attempts"]) == (202, 0)

    rotated = manager.post(f"{path}/secret-rotation").json()
    assert rotated["secret"] != made["secret"]
    assert manager.delete(path).status_code == 204
    for answer in (manager.get(path), manager.delete(path), manager.get(f"{path}/deliveries"), manager.post(f"{path}/test")):
        assert answer.status_code == 404
    told = [one["event"]["action"] for one in manager.get("/v1/audit-events").json()["data"]]
    assert {f"webhook_endpoint.{what}" for what in ("created", "changed", "redelivery_asked", "secret_rotated", "removed")} <= set(told)
    assert "/hooks" not in manager.get("/v1/audit-events").text, "the log names the host, not the whole URL"


def test_a_request_that_is_sent_again_makes_no_second_endpoint(tenant: Tenant, receiver: Receiver) -> None:
    manager = tenant.person("manager", [MANAGER])
    body = {"url": receiver.url(), "events": ["job.finished"]}

    def sent(key: str, **more: object) -> httpx.Response:
        return manager.post("/v1/webhook-endpoints", json=body | more, headers={"Idempotency-Key": key})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: sent("once"), range(8)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1, "the same endpoint with the same secret"
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert sent("once", description="another").status_code == 422
    assert sent("twice").json()["endpoint_id"] != answers[0].json()["endpoint_id"]
    assert (
        tenant.person("other", [MANAGER])
        .post("/v1/webhook-endpoints", json=body, headers={"Idempotency-Key": "once"})
        .headers.get("idempotent-replayed")
        is None
    )
    assert len(manager.get("/v1/webhook-endpoints").json()["data"]) == 3


def test_another_tenant_s_endpoint_is_not_there(tenant: Tenant, receiver: Receiver, server: Server) -> None:
    made = make(tenant.person("manager", [MANAGER]), receiver.url())
    stranger = new_tenant(server).person("manager", [MANAGER])
    path = f"/v1/webhook-endpoints/{made['endpoint_id']}"
    assert stranger.get("/v1/webhook-endpoints").json() == {"data": []}
    for answer in (
        stranger.get(path),
        stranger.patch(path, json={}, headers={"If-Match": '"1"'}),
        stranger.delete(path),
        stranger.post(f"{path}/secret-rotation"),
        stranger.get(f"{path}/deliveries"),
    ):
        assert answer.status_code == 404


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"url": "http://127.0.0.2/", "events": ["job.finished"]}, "/url", "address_refused"),
        ({"url": "https://10.0.0.1/", "events": ["job.finished"]}, "/url", "address_refused"),
        ({"url": "https://169.254.169.254/latest", "events": ["job.finished"]}, "/url", "address_refused"),
        ({"url": "https://nowhere.invalid/", "events": ["job.finished"]}, "/url", "host_unresolvable"),
        ({"url": "file:/etc/passwd", "events": ["job.finished"]}, "/url", "url_unreadable"),
        ({"url": "https://user:canary@ehr.example/", "events": ["job.finished"]}, "/url", "url_parts"),
        ({"url": "http://127.0.0.1/", "events": ["job.finished", "canary"]}, "/events/1", "unknown_event"),
        ({"url": "http://127.0.0.1/", "events": []}, "/events", None),
        ({"url": "http://127.0.0.1/", "events": ["job.finished"], "secret": "canary"}, "", None),
    ],
)
def test_what_cannot_be_an_endpoint_is_refused_with_its_place(
    tenant: Tenant, body: dict[str, object], pointer: str, code: str | None
) -> None:
    manager = tenant.person("manager", [MANAGER])
    answer = manager.post("/v1/webhook-endpoints", json=body)
    assert answer.status_code == 422, answer.text
    (error, *_) = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert code in (None, error["code"])
    assert "canary" not in answer.text
    assert manager.get("/v1/webhook-endpoints").json() == {"data": []}


def test_a_publication_its_job_and_what_it_affected_are_told(tenant: Tenant, receiver: Receiver) -> None:
    make(tenant.person("manager", [MANAGER]), receiver.url())
    judged = validate(tenant, **LATE)
    tenant.edit(past_change())
    published = tenant.published()
    told = receiver.wait("rule_set.published")["data"]
    assert told == {"rule_set_id": RULE_SET, "number": published["number"], "catalog_epoch": published["catalog_epoch"]}
    affected = receiver.wait("evaluations.affected")["data"]
    assert affected == {**told, "job_id": affected["job_id"], "evaluations": 1}
    finished = receiver.wait("job.finished")["data"]
    assert finished == {"job_id": affected["job_id"], "kind": "affected_evaluations", "state": "succeeded"}
    (line,) = results(tenant["author"], finished)
    assert line["evaluation_id"] == judged["evaluation_id"]


def test_an_emergency_is_told_from_its_declaration_to_its_end(tenant: Tenant, receiver: Receiver) -> None:
    make(tenant.person("manager", [MANAGER]), receiver.url())
    path = f"/v1/rule-sets/{RULE_SET}/emergencies"
    declared = tenant["publisher"].post(path, json={"rule_id": "EX1-TF-001", "reason": "It denies claims the payer pays."}).json()
    told = receiver.wait("emergency.declared")["data"]
    assert (told["emergency_id"], told["rule_id"], told["severity"]) == (declared["emergency_id"], "EX1-TF-001", None)
    assert told["catalog_epoch"] == receiver.wait("rule_set.published")["data"]["catalog_epoch"]
    tenant.edit(past_change())
    tenant.published()
    assert receiver.wait("emergency.ended")["data"]["how"] == "ratified"


def test_an_edition_is_told(server: Server, receiver: Receiver) -> None:
    tenant = new_tenant(server, packs=("national_baseline",), samples=False)
    make(tenant.person("manager", [MANAGER]), receiver.url(), ["reference_edition.published"])
    database = Database(server.url)
    load_samples(database, tenant.tenant_id, PACKS / "reference_samples", "tests", leave_out=frozenset(TABLES) - {"place_of_service"})
    database.close()
    told = receiver.wait("reference_edition.published")["data"]
    (edition,) = tenant["author"].get("/v1/reference-tables/place_of_service/editions").json()["data"]
    assert (told["name"], told["edition"]) == ("place_of_service", edition["edition"])


def test_an_audit_log_that_does_not_hold_is_told(tenant: Tenant, receiver: Receiver) -> None:
    make(tenant.person("manager", [MANAGER]), receiver.url(), ["audit.integrity_failed"])
    at = tenant.founded + 1  # that the endpoint was made
    database = Database(tenant.server.url)
    with unguarded(database) as connection:
        connection.execute(
            text("UPDATE audit_event SET actor = 'x' WHERE tenant_id = :tenant AND seq = :seq"), {"tenant": tenant.tenant_id, "seq": at}
        )
    database.close()
    assert tenant["auditor"].post("/v1/audit/verify", json={}).json()["holds"] is False
    assert receiver.wait("audit.integrity_failed")["data"] == {
        "found_by": "audit_log_verification",
        "audit_seq": at,
        "seal": None,
        "evaluation_id": None,
    }


def test_an_evaluation_that_is_not_what_was_sealed_is_told(tenant: Tenant, receiver: Receiver) -> None:
    make(tenant.person("manager", [MANAGER]), receiver.url(), ["audit.integrity_failed"])
    judged = validate(tenant, **LATE)["evaluation_id"]
    database = Database(tenant.server.url)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:  # until it is sealed
        with database.reading() as connection:
            if evidence.leaf_of(connection, tenant.tenant_id, judged) is not None:
                break
        time.sleep(0.1)
    with unguarded(database, "evaluation") as connection:
        connection.execute(text("UPDATE evaluation SET outcome = 'clean' WHERE evaluation_id = :id"), {"id": judged})
    database.close()
    job = tenant["auditor"].post("/v1/audit/verify-evaluations", json={}).json()
    told = receiver.wait("audit.integrity_failed")["data"]
    assert told == {"found_by": job["job_id"], "audit_seq": None, "seal": 1, "evaluation_id": judged}


def test_nothing_of_a_claim_is_in_a_message(tenant: Tenant, receiver: Receiver) -> None:
    made = make(tenant.person("manager", [MANAGER]), receiver.url())
    body = claim_bytes(patient_control_number="CANARY-77")
    job = tenant["everyone"].post("/v1/jobs", content=body, headers={"Content-Type": "application/x-ndjson"}).json()
    assert receiver.wait("job.finished")["data"] == {"job_id": job["job_id"], "kind": "validate_claims", "state": "succeeded"}
    assert all(b"CANARY" not in sent for _, sent in receiver.arrived)
    receiver.verified(str(made["secret"]))


def test_a_server_that_is_killed_sends_what_it_had_not_sent(new_url: Callable[[str], str], tmp_path: Path) -> None:
    """The outbox is written with the publication: whoever comes next passes it on."""
    url = new_url("sqlite")
    key = prepare(url)
    with receiving() as receiver:
        first = start(url, key, tmp_path, OUTBOUND_NETWORKS=RECEIVERS, WEBHOOK_SECONDS="3600")
        made = make(first.client(), receiver.url(), ["job.finished"])
        body = b"\n".join(claim_bytes(patient_control_number=f"K-{number}") for number in range(3))
        job = first.client().post("/v1/jobs", content=body, headers={"Content-Type": "application/x-ndjson"}).json()
        ended(first.client(), job)
        first.kill()
        assert receiver.arrived == []
        with running(url, key, tmp_path, OUTBOUND_NETWORKS=RECEIVERS, WEBHOOK_SECONDS="0.1"):
            told = receiver.wait("job.finished")
        assert told["data"]["job_id"] == job["job_id"]
        assert len(receiver.verified(str(made["secret"]))) == len(receiver.arrived)
