"""Emergencies over HTTP: at once, for seven days, ratified by a change of the rule, replayed like everything else."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import DateTime, bindparam, text

from rules_service.services.acting import now_utc
from rules_service.storage.database import Database
from tests.support.governance import LATE, RULE_SET, Tenant, codes, future_change, new_tenant, past_change, refused, validate
from tests.support.server import Server

PATH = f"/v1/rule-sets/{RULE_SET}/emergencies"
OFF = {"rule_id": "EX1-TF-001", "reason": "It denies claims the payer pays."}
EXPIRED = LATE | {"received_at": "2027-02-01T10:00:00-05:00"}
"""Filed after the limit of 90 days."""


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def declare(tenant: Tenant, **body: Any) -> dict[str, Any]:
    answer = tenant["publisher"].post(PATH, json=OFF | body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_a_rule_is_switched_off_at_once_and_what_was_judged_before_replays_as_it_was(tenant: Tenant) -> None:
    before = validate(tenant, **EXPIRED)
    assert codes(before) == ["tf.expired"]
    found = declare(tenant)
    after = validate(tenant, **EXPIRED)
    assert codes(after) == []
    assert after["pins"]["catalog_epoch"] == before["pins"]["catalog_epoch"] + 1
    days = (datetime.fromisoformat(found["expires_at"]) - datetime.fromisoformat(found["declared_at"])).days
    assert (found["severity"], found["how"], days) == (None, None, 7)
    for evaluation in (before, after):
        replayed = tenant["auditor"].post(f"/v1/evaluations/{evaluation['evaluation_id']}/replay", json={})
        assert replayed.json()["verdict"] == "reproduced"
    told = tenant["ehr"].get(f"/v1/evaluations/{after['evaluation_id']}/explanation").json()["rules"]
    assert {"rule_id": "EX1-TF-001", "lost_to": found["emergency_id"], "how": "switched off by an emergency"} in told
    resolved = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/resolve", params={"policy_date": "2026-10-15"}).json()["data"]
    assert {one["rule_id"]: one["emergency"] for one in resolved}["EX1-TF-001"] == "off"
    history = tenant["auditor"].get("/v1/rules/EX1-TF-001/history").json()["data"]
    assert [entry["emergency"] for entry in history] == [None, "off"]
    event = tenant.events(action="emergency.declared")[0]
    assert (event["reason"], event["details"]["rule_id"], event["details"]["severity"]) == (OFF["reason"], "EX1-TF-001", None)


def test_a_rule_is_held_to_a_lower_severity(tenant: Tenant) -> None:
    declare(tenant, severity="warn")
    judged = validate(tenant, **EXPIRED)
    assert [(one["code"], one["severity"], one["blocking"]) for one in judged["findings"]] == [("tf.expired", "warn", False)]
    assert judged["disposition"] == "review"


def test_only_what_lowers_something_is_taken(tenant: Tenant) -> None:
    refused(tenant["publisher"].post(PATH, json=OFF | {"severity": "deny_hard"}), 422, "validation-error")
    refused(tenant["publisher"].post(PATH, json=OFF | {"rule_id": "NO-SUCH-001"}), 404, "not-found")
    refused(tenant["publisher"].post(PATH, json={"rule_id": "EX1-TF-001"}), 422, "validation-error")
    refused(tenant["author"].post(PATH, json=OFF), 403, "insufficient-scope")
    declare(tenant)
    refused(tenant["publisher"].post(PATH, json=OFF), 409, "state-conflict")
    assert [event["details"]["code"] for event in tenant.events(action="emergency.declared.refused")] == ["state-conflict"]


def test_an_emergency_is_withdrawn_and_the_rule_stands_as_before(tenant: Tenant) -> None:
    found = declare(tenant)
    ended = tenant["publisher"].post(f"{PATH}/{found['emergency_id']}/withdrawal", json={"reason": "It was right after all."})
    assert (ended.status_code, ended.json()["how"]) == (200, "withdrawn")
    assert codes(validate(tenant, **EXPIRED)) == ["tf.expired"]
    again = tenant["publisher"].post(f"{PATH}/{found['emergency_id']}/withdrawal", json={"reason": "Again."})
    refused(again, 409, "state-conflict")
    assert [one["how"] for one in tenant["author"].get(PATH).json()["data"]] == ["withdrawn"]


def test_an_emergency_expires_by_itself_unless_it_is_ratified(tenant: Tenant, server: Server) -> None:
    found = declare(tenant)
    database = Database(server.url)
    try:
        with database.writing() as connection:  # seven days later
            come = text("UPDATE job SET run_at = :now WHERE tenant_id = :tenant AND kind = 'emergency_expiry'")
            connection.execute(come.bindparams(bindparam("now", type_=DateTime(True))), {"now": now_utc(), "tenant": tenant.tenant_id})
            if database.dialect == "postgresql":
                connection.execute(text("SET LOCAL search_path TO procrastinate"))
                connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() WHERE status = 'todo'"))
    finally:
        database.close()
    deadline = time.monotonic() + 30
    while tenant["author"].get(PATH).json()["data"][0]["how"] is None and time.monotonic() < deadline:
        time.sleep(0.2)
    ended = tenant["author"].get(PATH).json()["data"][0]
    assert (ended["emergency_id"], ended["how"], ended["ended_by"]) == (found["emergency_id"], "expired", "schedule")
    assert codes(validate(tenant, **EXPIRED)) == ["tf.expired"]


def test_a_change_of_the_rule_ratifies_the_emergency_and_another_change_carries_it_on(tenant: Tenant) -> None:
    found = declare(tenant)
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Renamed ")})
    assert tenant.published()["number"] == 3
    assert codes(validate(tenant, **EXPIRED)) == [], "a change of something else leaves the rule off"
    assert tenant["author"].get(PATH).json()["data"][0]["how"] is None
    tenant.edit(past_change())
    assert tenant.published()["number"] == 4
    ended = tenant["author"].get(PATH).json()["data"][0]
    assert (ended["emergency_id"], ended["how"]) == (found["emergency_id"], "ratified")
    assert codes(validate(tenant, **EXPIRED)) == ["tf.expired"], "the rule as the change request says it"


def test_what_was_begun_before_an_emergency_is_not_stale(tenant: Tenant) -> None:
    tenant.edit(future_change())
    approved = tenant.approved()
    declare(tenant)
    assert tenant.act("publisher", approved, "publication").status_code == 201


def test_a_roll_back_keeps_the_rule_off_when_it_says_the_same_of_it(tenant: Tenant) -> None:
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Renamed ")})
    tenant.published()
    declare(tenant)
    rolled = tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 1, "reason": "Back."})
    assert rolled.status_code == 201, rolled.text
    assert codes(validate(tenant, **EXPIRED)) == []


def test_the_difference_of_two_publications_names_the_measure(tenant: Tenant) -> None:
    declare(tenant, severity="info")
    changes = tenant["author"].get(f"/v1/rule-sets/{RULE_SET}/diff", params={"from": 1, "to": 2}).json()["changes"]
    assert [change["text"] for change in changes] == ["The rule set's emergencies.EX1-TF-001 nothing -> info."]


def test_what_a_switched_off_rule_would_have_looked_at_is_not_said_to_be_checked(tenant: Tenant) -> None:
    declare(tenant)
    judged = validate(tenant, **EXPIRED)
    told = [(one["rule_id"], one["reason"], one["required"]) for one in judged["not_evaluated"] if one["reason"] == "rule_switched_off"]
    assert told == [("EX1-TF-001", "rule_switched_off", False)]


def test_a_check_of_services_tells_that_its_list_is_switched_off(tenant: Tenant) -> None:
    body = {"payer": {"payer_id": "EXAMPLE01"}, "service_date": "2026-12-01", "services": [{"procedure_code": "P7001"}]}
    assert tenant["ehr"].post("/v1/services/check", json=body).json()["services"][0]["authorization"] == "auth-needed"
    declare(tenant, rule_id="EX1-PA-001")
    told = tenant["ehr"].post("/v1/services/check", json=body).json()
    assert (told["services"][0]["authorization"], told["services"][0]["authorization_basis"]) == ("conditional", "unknown")
    assert ("EX1-PA-001", "rule_switched_off") in [(one["rule_id"], one["reason"]) for one in told["not_evaluated"]]
