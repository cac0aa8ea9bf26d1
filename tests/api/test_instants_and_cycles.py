"""Instants with any offset mean what they say on both databases; what a reviewer sent back is reviewed anew."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.support.governance import FILING, RULE_SET, Tenant, future_change, new_tenant, validate
from tests.support.server import Server
from tests.support.waiting import ended

FAR_EAST = timezone(timedelta(hours=13))


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def test_a_schedule_with_an_offset_is_the_instant_it_names(tenant: Tenant) -> None:
    tenant.edit(future_change())
    path = f"/v1/change-requests/{tenant.approved()['change_request_id']}"
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    answer = tenant["publisher"].put(f"{path}/schedule", json={"at": at.astimezone(FAR_EAST).isoformat()})
    assert answer.status_code == 200, answer.text
    told = tenant["author"].get(path).json()
    assert (told["state"], datetime.fromisoformat(told["scheduled_for"])) == ("scheduled", at)
    (job,) = tenant["auditor"].get("/v1/jobs", params={"kind": "scheduled_publication"}).json()["data"]
    assert datetime.fromisoformat(job["run_at"]) == at


def test_an_impact_asked_from_an_instant_with_an_offset_looks_at_what_was_judged_since(tenant: Tenant) -> None:
    validate(tenant)
    tenant.edit(future_change())
    counts = []
    for hours in (-1, 1):
        since = (datetime.now(UTC) + timedelta(hours=hours)).astimezone(FAR_EAST).isoformat()
        until = (datetime.now(UTC) + timedelta(hours=2)).astimezone(FAR_EAST).isoformat()
        job = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/impact", json={"from": since, "to": until})
        assert job.status_code == 202, job.text
        counts.append(ended(tenant["author"], job.json())["result"]["claims"])
    assert counts == [1, 0]


def test_what_was_sent_back_is_reviewed_in_a_new_cycle_also_when_its_content_stays(tenant: Tenant) -> None:
    tenant.edit(future_change())
    request = tenant.open()
    submitted = tenant.act("author", request, "submission").json()
    body = {"content_sha256": submitted["content_sha256"]}
    assert tenant.act("reviewer", request, "reviews", verdict="request_changes", comment="Say why.", **body).status_code == 201
    again = tenant.act("author", request, "submission").json()
    assert (again["content_sha256"], again["review_cycle"]) == (submitted["content_sha256"], submitted["review_cycle"] + 1)
    approved = tenant.act("reviewer", request, "reviews", verdict="approve", **body)
    assert (approved.status_code, approved.json()["state"]) == (201, "approved"), approved.text


def test_cases_that_fail_stand_among_the_issues_of_a_check(tenant: Tenant) -> None:
    cases = f"{FILING}/cases.yaml"
    tenant.edit(
        {
            cases: (
                "cases:\n",
                "cases:\n- name: a case that is wrong\n  expect:\n  - {code: tf.no_such_finding}\n  service_date: 2026-10-20\n",
            )
        }
    )
    report = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/checks").json()
    assert [issue["code"] for issue in report["issues"]].count("case-failed") == 1
    assert report["passed"] is False
