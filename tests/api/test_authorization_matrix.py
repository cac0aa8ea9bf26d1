"""Every operation of the contract against every kind of caller: as its declared scope says."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from rules_service.primitives.scopes import ROLES, SCOPES
from rules_service.services.manage_clients import add_client
from rules_service.storage import clients
from rules_service.storage.database import Database
from tests.support.builders import claim_document
from tests.support.generate import ROOT
from tests.support.governance import LATE, RULE_SET, new_tenant, validate
from tests.support.server import Server, new_key

DOCUMENT = json.loads((ROOT / "openapi/openapi.json").read_text())
OPERATIONS = [
    (method.upper(), path, operation["x-scope"])
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
]
GUARDED = [one for one in OPERATIONS if one[2] != "none"]


def filled(path: str) -> str:
    """The path with names of nothing in its places."""
    return re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] == "number" else "nothing", path)


@pytest.fixture(scope="module")
def callers(server: Server) -> dict[str, str]:
    """Keys by role, and of a client with each scope but one."""
    database = Database(server.url)
    try:
        roles = {role: new_key(database, "matrix", list(scopes)) for role, scopes in ROLES.items()}
        roles["expired"] = expired_token(database)
        lacking = {f"all but {scope}": new_key(database, "matrix", sorted(set(SCOPES) - {scope})) for scope in SCOPES}
    finally:
        database.close()
    return {**roles, **lacking}


def expired_token(database: Database) -> str:
    """A token of a client with every scope, that was given an hour ago for ten minutes."""
    client_id, _ = add_client(database, "matrix", "expired", SCOPES, "tests")
    then = datetime.now(UTC) - timedelta(hours=1)
    with database.writing() as connection:
        record = clients.find_client(connection, client_id)
        return clients.add_token(connection, record, "jti", then, SCOPES, then, then + timedelta(minutes=10))


def kind(answer: httpx.Response) -> str:
    """The problem's kind; FHIR says it in the issue types of its own."""
    if answer.headers["content-type"] == "application/fhir+json":
        return {"login": "unauthenticated", "forbidden": "insufficient-scope"}[answer.json()["issue"][0]["code"]]
    return str(answer.json()["type"]).removeprefix("/problems/")


def ask(server: Server, method: str, path: str, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"Authorization": authorization}
    return httpx.request(method, server.base_url + filled(path), headers=headers, timeout=60, trust_env=False)


@pytest.mark.parametrize(("method", "path", "scope"), GUARDED, ids=[f"{method} {path}" for method, path, _ in GUARDED])
def test_an_operation_answers_those_its_scope_names_and_nobody_else(
    server: Server, callers: dict[str, str], method: str, path: str, scope: str
) -> None:
    for authorization in (
        None,
        "",
        "Bearer",
        "Bearer nobody",
        "Basic YTpi",
        f"Token {server.key}",
        "Bearer " + "x" * 5_000,
        f"Bearer {callers['expired']}",
    ):
        answer = ask(server, method, path, authorization)
        assert answer.status_code == 401, (authorization, answer.text)
        assert kind(answer) == "unauthenticated"
    for role, scopes in ROLES.items():
        answer = ask(server, method, path, f"Bearer {callers[role]}")
        if scope in scopes:
            assert answer.status_code not in (401, 403, 500), (role, answer.text)
        else:
            assert (answer.status_code, kind(answer)) == (403, "insufficient-scope"), role
    lacking = ask(server, method, path, f"Bearer {callers[f'all but {scope}']}")
    assert (lacking.status_code, scope in lacking.text) == (403, True)


def test_every_scope_guards_something_and_every_role_s_scopes_exist() -> None:
    assert {scope for _, _, scope in GUARDED} | {"rules:publish_retroactive", "waivers:standing"} == set(SCOPES)
    for scopes in ROLES.values():
        assert set(scopes) <= set(SCOPES)


def test_an_auditor_changes_nothing() -> None:
    changing = {
        scope
        for method, path, scope in GUARDED
        if method in ("PUT", "DELETE", "PATCH") or (method == "POST" and not any(one in path for one in ("audit", "replay", "search")))
    }
    assert not changing & set(ROLES["auditor"])


def test_nobody_s_role_lets_them_review_what_they_write() -> None:
    for role, scopes in ROLES.items():
        assert not {"rules:write", "rules:review"} <= set(scopes), role


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
BODIES: dict[str, Any] = {
    "saveDraft": {"files": {}},
    "tryDraft": claim_document(),
    "analyseImpact": {},
    "reviewChangeRequest": {"verdict": "approve", "content_sha256": "0" * 64},
    "withdrawChangeRequest": {"reason": "Because"},
    "recallChangeRequest": {"reason": "Because"},
    "scheduleChangeRequest": {"at": "2099-01-01T00:00:00Z"},
    "rollBackRuleSet": {"to": 1, "reason": "Because"},
    "setRequiredApprovals": {"required_approvals": 1, "reason": "Because"},
    "declareEmergency": {"rule_id": "EX1-TF-001", "reason": "Because"},
    "withdrawEmergency": {"reason": "Because"},
    "giveWaiver": {"finding_id": "f1", "reason_code": "proof_of_timely_filing", "expires_on": TOMORROW},
    "endWaiver": {"reason": "Because"},
    "eraseEvaluationInput": {"reason": "Because"},
    "releaseLegalHold": {"reason": "Because"},
    "replayEvaluation": {},
    "changeWebhookEndpoint": {"description": "Another"},
    "callCdsService": {},
    "sendCdsFeedback": {"feedback": []},
}
EVERYBODY_S = {"saveDraft", "listEditions", "loadEdition", "callCdsService", "sendCdsFeedback"}
"""A draft of an id nobody has yet may be saved by anybody for themselves; the names of reference tables and hooks are the same for all."""


@pytest.fixture(scope="module")
def objects(server: Server) -> dict[str, str]:
    """One of everything, of a tenant of its own."""
    tenant = new_tenant(server)
    judged = validate(tenant, **(LATE | {"received_at": "2027-02-01T10:00:00-05:00"}))
    waiver = tenant["ehr"].post(f"/v1/evaluations/{judged['evaluation_id']}/waivers", json=BODIES["giveWaiver"])
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Renamed ")})
    emergency = tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/emergencies", json=BODIES["declareEmergency"])
    hold = tenant["everyone"].post("/v1/legal-holds", json={"reason": "A case."})
    job = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/impact", json={})
    webhook = tenant["everyone"].post("/v1/webhook-endpoints", json={"url": "http://127.0.0.1:9/", "events": ["emergency.ended"]})
    message = tenant["everyone"].post(f"/v1/webhook-endpoints/{webhook.json()['endpoint_id']}/test")
    assert [one.status_code for one in (waiver, emergency, hold, job, webhook, message)] == [201, 201, 201, 202, 201, 202]
    return {
        "evaluation_id": judged["evaluation_id"],
        "waiver_id": waiver.json()["waiver_id"],
        "change_request_id": tenant.open()["change_request_id"],
        "emergency_id": emergency.json()["emergency_id"],
        "hold_id": hold.json()["hold_id"],
        "endpoint_id": webhook.json()["endpoint_id"],
        "message_id": message.json()["message_id"],
        "job_id": job.json()["job_id"],
        "rule_set_id": RULE_SET,
        "rule_id": "EX1-TF-001",
        "payer_id": "EXAMPLE01",
        "number": "1",
        "name": "ncci_mue_practitioner",
    }


@pytest.fixture(scope="module")
def stranger(server: Server) -> str:
    """The key of a client with every scope in a tenant that has nothing."""
    database = Database(server.url)
    try:
        return new_key(database, "stranger", sorted(SCOPES))
    finally:
        database.close()


OF_OBJECTS = [
    (method.upper(), path, operation["operationId"])
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
    if "{" in path and operation["operationId"] not in EVERYBODY_S
]


@pytest.mark.parametrize(("method", "path", "operation"), OF_OBJECTS, ids=[operation for _, _, operation in OF_OBJECTS])
def test_another_tenant_s_object_reads_as_absent(
    server: Server, objects: dict[str, str], stranger: str, method: str, path: str, operation: str
) -> None:
    filled_in = re.sub(r"\{(\w+)\}", lambda found: objects[found[1]], path)
    query = {"resolveRuleSet": {"policy_date": "2026-10-01"}, "diffRuleSet": {"from": "1", "to": "1"}}.get(operation, {})
    headers = {"Authorization": f"Bearer {stranger}", "If-Match": '"0"'}
    body = BODIES.get(operation)
    answers = []
    for target in (filled_in, re.sub(r"\{(\w+)\}", lambda found: "1" if found[1] == "number" else "nothing_0", path)):
        answer = httpx.request(method, server.base_url + target, params=query, json=body, headers=headers, timeout=60, trust_env=False)
        document = answer.json()
        document.pop("request_id", None)
        answers.append((answer.status_code, document))
    assert answers[0][0] == 404, answers[0]
    assert answers[0] == answers[1], "an object of another tenant and one that does not exist are answered alike"


def test_every_operation_of_an_object_has_its_body_here() -> None:
    wanted = {
        operation["operationId"]
        for path, methods in DOCUMENT["paths"].items()
        for operation in methods.values()
        if "{" in path and "application/json" in operation.get("requestBody", {}).get("content", {})
    }
    assert wanted == set(BODIES)
