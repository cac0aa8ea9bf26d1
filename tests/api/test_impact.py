"""Impact of a draft on stored evaluations and on claims sent, over HTTP on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from rules_service.services.claim_comparison import wilson
from rules_service.services.impact import sampled
from rules_service.storage.database import Database
from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER, file
from tests.support.builders import claim_bytes
from tests.support.governance import LATE, OCTOBER, RULE_SET, Tenant, codes, new_tenant, past_change, refused, validate
from tests.support.server import Server
from tests.support.waiting import ended, results

IMPACT = f"/v1/rule-sets/{RULE_SET}/draft/impact"
EARLY = {"lines": OCTOBER, "received_at": "2026-10-20T10:00:00-05:00"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def judged(tenant: Tenant, late: int, early: int) -> None:
    """Evaluations of claims filed 66 days after the service, and of claims filed after five."""
    for number in range(late):
        validate(tenant, patient_control_number=f"L-{number}", **LATE)
    for number in range(early):
        validate(tenant, patient_control_number=f"E-{number}", **EARLY)


def impact(tenant: Tenant, **body: Any) -> dict[str, Any]:
    answer = tenant["author"].post(IMPACT, json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job_id']}"
    return ended(tenant["author"], answer.json())


def test_the_impact_counts_the_claims_that_change_with_their_dollars_and_touches_nothing(tenant: Tenant, server: Server) -> None:
    judged(tenant, late=3, early=5)
    validate(tenant, patient_control_number="L-0", **LATE)  # checked again: the same claim counts once
    validate(tenant, patient_control_number="other payer", payer={"payer_id": "NOBODY"})
    tenant.edit(past_change())
    tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/checks")
    before = rows(server, tenant)
    done = impact(tenant)
    assert (done["state"], done["kind"], done["done"], done["total"]) == ("succeeded", "impact", 9, 9)
    found = done["result"]
    assert (found["claims"], found["claims_judged"], found["outside_the_rule_set"], found["population"]) == (9, 8, 1, 9)
    # At 66 days the draft's limit of 60 has passed; today's limit of 90 warns.
    assert found["transitions"] == {"clean_to_finding": 0, "finding_to_clean": 0, "changed": 3, "unchanged": 5}
    assert (found["newly_blocked"], found["share_newly_blocked"]) == (3, "0.375000")
    assert (found["amount_at_risk_before"], found["amount_at_risk_after"]) == ("0.00", "450.00")
    assert found["by_rule"] == [
        {"name": "EX1-TF-001", "clean_to_finding": 0, "finding_to_clean": 0, "changed": 3, "amount_at_risk_change": "450.00"}
    ]
    assert [one["name"] for one in found["by_payer"] + found["by_provider"] + found["by_code"]] == ["EXAMPLE01", "1234567893", "P9213"]
    assert found["decided_by"] == "engine"
    assert float(found["evaluation_time_ratio"]) > 0
    lines = results(tenant["author"], done)
    assert sorted(line["transition"] for line in lines) == ["changed"] * 3 + ["unchanged"] * 5
    changed = [line for line in lines if line["transition"] == "changed"]
    assert found["samples"] == {"changed": sorted(line["evaluation_id"] for line in changed)}
    assert changed[0]["removed"][0]["code"] == "tf.at_risk"
    assert changed[0]["added"][0] == {"rule_id": "EX1-TF-001", "code": "tf.expired", "severity": "deny_hard", "line_numbers": [1]}
    assert rows(server, tenant) == before
    assert codes(validate(tenant, **LATE)) == ["tf.at_risk"]


def rows(server: Server, tenant: Tenant) -> list[Any]:
    """What an analysis must leave as it was."""
    database = Database(server.url)
    try:
        with database.reading() as connection:
            tables = ("evaluation", "claim_body", "publication", "catalog_epoch", "reference_edition", "pin_set")
            return [
                connection.execute(text(f"SELECT count(*) FROM {table} WHERE tenant_id = :tenant"), {"tenant": tenant.tenant_id}).scalar()
                for table in tables
            ]
    finally:
        database.close()


def test_a_draft_that_was_not_checked_is_judged_without_the_engine_to_the_same_result(tenant: Tenant) -> None:
    judged(tenant, late=2, early=1)
    tenant.edit(past_change())
    by_oracle = impact(tenant)["result"]
    tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/checks")
    by_engine = impact(tenant)["result"]
    assert (by_oracle.pop("decided_by"), by_engine.pop("decided_by")) == ("oracle", "engine")
    for found in (by_oracle, by_engine):
        del found["evaluation_time_ratio"], found["source"]
    assert by_oracle == by_engine


def test_claims_sent_are_judged_and_erased_and_the_unreadable_ones_are_told(tenant: Tenant, server: Server) -> None:
    tenant.edit(past_change())
    sent = [claim_bytes(**LATE), b"{}", claim_bytes(**EARLY)]
    answer = tenant["author"].post(IMPACT, content=b"\n".join(sent), headers={"Content-Type": "application/x-ndjson"})
    assert answer.status_code == 202, answer.text
    done = ended(tenant["author"], answer.json())
    assert (done["result"]["unreadable"], done["result"]["claims_judged"], done["result"]["samples"]) == ([1], 2, {"changed": [0]})
    assert [line["index"] for line in results(tenant["author"], done)] == [0, 2]
    database = Database(server.url)
    try:
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM job_upload WHERE job_id = :job"), {"job": done["job_id"]}).scalar() == 0
    finally:
        database.close()
    nothing = tenant["author"].post(IMPACT, content=b"{}\n[]", headers={"Content-Type": "application/x-ndjson"})
    assert refused(nothing, 422, "validation-error")["errors"][0]["code"] == "no_claim"


def test_an_837_is_a_corpus_too(tenant: Tenant) -> None:
    sample = file(BILLING, SUBSCRIBER, CLAIM)
    answer = tenant["author"].post(IMPACT, content=sample, headers={"Content-Type": "application/edi-x12"})
    assert answer.status_code == 202, answer.text
    assert ended(tenant["author"], answer.json())["state"] == "succeeded"


def test_a_sample_is_the_same_for_the_same_seed_and_its_interval_holds_the_share(tenant: Tenant) -> None:
    judged(tenant, late=3, early=6)
    tenant.edit(past_change())
    first, again, other = (impact(tenant, sample=4, seed=seed)["result"] for seed in (1, 1, 2))
    assert (first["claims"], first["population"]) == (4, 9)
    told = ("samples", "transitions", "share_interval", "by_code", "amount_at_risk_after")
    assert [first[name] for name in told] == [again[name] for name in told]
    low, high = map(float, first["share_interval"])
    assert 0 <= low <= float(first["share_newly_blocked"]) <= high <= 1
    assert other["source"]["seed"] == 2


def test_the_span_names_which_evaluations_are_looked_at(tenant: Tenant) -> None:
    judged(tenant, late=1, early=0)
    tenant.edit(past_change())
    now = datetime.now(UTC)
    assert (
        impact(tenant, **{"from": (now + timedelta(days=1)).isoformat(), "to": (now + timedelta(days=2)).isoformat()})["result"]["claims"]
        == 0
    )
    backwards = {"from": now.isoformat(), "to": (now - timedelta(days=1)).isoformat()}
    refused(tenant["author"].post(IMPACT, json=backwards), 400, "bad-request")
    refused(tenant["author"].post(IMPACT, json={"sample": 0}), 422, "validation-error")


def test_gov_11_an_impact_above_the_share_calls_for_a_second_approver(tenant: Tenant) -> None:
    judged(tenant, late=1, early=29)  # one claim in thirty: more than 3% newly blocked
    tenant.edit(past_change())
    assert impact(tenant)["result"]["share_newly_blocked"] == "0.033333"
    request = tenant.open()
    submitted = tenant.act("author", request, "submission").json()
    assert submitted["required_approvals"] == 2
    approval = {"verdict": "approve", "content_sha256": submitted["content_sha256"]}
    assert tenant.act("reviewer", request, "reviews", **approval).json()["state"] == "in_review"
    missing = refused(tenant.act("publisher", request, "publication"), 409, "approvals-missing")
    assert "1 of 2" in missing["detail"]
    assert tenant.act("other reviewer", request, "reviews", **approval).json()["state"] == "approved"
    assert tenant.act("publisher", request, "publication").status_code == 201


def test_an_impact_found_after_the_approval_takes_it_back_to_review(tenant: Tenant) -> None:
    judged(tenant, late=1, early=9)
    tenant.edit(past_change())
    approved = tenant.approved()
    impact(tenant)
    found = tenant["author"].get(f"/v1/change-requests/{approved['change_request_id']}").json()
    assert (found["state"], found["required_approvals"], len(found["reviews"])) == ("in_review", 2, 1)
    events = tenant.events(action="change_request.second_approval_needed")
    assert [event["details"]["share"] for event in events] == ["0.100000"]
    approval = {"verdict": "approve", "content_sha256": found["content_sha256"]}
    assert tenant.act("other reviewer", found, "reviews", **approval).json()["state"] == "approved"


def test_a_rule_set_may_set_another_share(tenant: Tenant) -> None:
    judged(tenant, late=1, early=9)
    path = f"/v1/rule-sets/{RULE_SET}/approvals"
    body = {"required_approvals": 1, "second_above_share": "0.5", "reason": "It is small."}
    assert tenant["publisher"].put(path, json=body).status_code == 200
    refused(tenant["publisher"].put(path, json={**body, "second_above_share": "50%"}), 422, "validation-error")
    tenant.edit(past_change())
    impact(tenant)
    request = tenant.open()
    assert tenant.act("author", request, "submission").json()["required_approvals"] == 1


def test_a_retroactive_publication_lists_the_past_evaluations_it_would_change(tenant: Tenant) -> None:
    judged(tenant, late=2, early=2)
    tenant.edit(past_change())
    approved = tenant.approved()
    assert tenant.act("publisher", approved, "publication").json()["retroactive_from"] == "2026-10-01"
    made = tenant["auditor"].get("/v1/jobs", params={"kind": "affected_evaluations"}).json()["data"]
    assert len(made) == 1
    done = ended(tenant["auditor"], made[0])
    assert (done["state"], done["result"]["transitions"]["changed"], done["result"]["retroactive_from"]) == ("succeeded", 2, "2026-10-01")
    changed = [line for line in results(tenant["auditor"], done) if line["transition"] == "changed"]
    assert all(line["added"][0]["code"] == "tf.expired" for line in changed)


def test_jobs_of_another_tenant_do_not_exist(tenant: Tenant, server: Server) -> None:
    tenant.edit(past_change())
    done = impact(tenant)
    stranger = new_tenant(server)
    for method, path in (("GET", ""), ("GET", "/results"), ("POST", "/cancellation")):
        refused(stranger["author"].request(method, f"/v1/jobs/{done['job_id']}{path}"), 404, "not-found")
    assert stranger["author"].get("/v1/jobs").json()["data"] == []
    refused(tenant["author"].post(f"/v1/jobs/{done['job_id']}/cancellation"), 409, "state-conflict")


def test_a_share_has_wilson_s_interval() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(10, 100)
    assert (round(low, 4), round(high, 4)) == (0.0552, 0.1744)  # Newcombe 1998, by his formula
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == pytest.approx(1.0)


def test_a_sample_depends_on_ids_and_seed_alone() -> None:
    ids = [f"ev_{number:04d}" for number in range(500)]
    assert sampled(ids, 500, 1) == ids
    chosen = sampled(ids, 100, 7)
    assert chosen == sampled(list(reversed(ids)), 100, 7) == sorted(chosen)
    assert chosen != sampled(ids, 100, 8)
