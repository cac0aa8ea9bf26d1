"""What is to come: upcoming changes, the day a clean claim would fail, and what preview rules would find."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.test_acceptance_rows import SOURCE, VERIFIED
from tests.api.test_emergencies import declare
from tests.support.governance import FILING, RULE_SET, Tenant, codes, future_change, new_tenant, refused, shorter_limit, validate
from tests.support.server import Server

RECEIVED = {"received_at": "2026-11-24T10:00:00-05:00"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def upcoming(tenant: Tenant, **asked: object) -> list[tuple[str, str, str | None]]:
    answer = tenant["author"].get("/v1/upcoming-changes", params={"rule_set_id": RULE_SET, **asked})
    assert answer.status_code == 200, answer.text
    return [(one["on"], one["what"], one["rule_id"]) for one in answer.json()["data"]]


def test_windows_sources_emergencies_and_schedules_that_are_to_come_are_told_soonest_first(tenant: Tenant) -> None:
    assert upcoming(tenant) == []
    tenant.edit(future_change())
    tenant.edit({"pack.yaml": (SOURCE, VERIFIED.format(day="2035-05-31"))})
    tenant.published()
    declare(tenant)
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Renamed ")})
    approved = tenant.approved()
    at = datetime.now(UTC) + timedelta(days=30)
    path = f"/v1/change-requests/{approved['change_request_id']}/schedule"
    assert tenant["publisher"].put(path, json={"at": at.isoformat()}).status_code == 200
    found = upcoming(tenant)
    assert [what for _, what, _ in found] == ["emergency_expires", "change_scheduled"]
    assert found[0][2] == "EX1-TF-001"
    far = upcoming(tenant, days=3_660)
    assert ("2035-06-01", "source_due", "EX1-TF-001") in far
    assert all(what != "window_begins" for _, what, _ in far), "2040 is more than ten years ahead"
    refused(tenant["author"].get("/v1/upcoming-changes?days=9999"), 400, "bad-request")
    assert all(
        one["rule_set_id"] != RULE_SET for one in tenant["author"].get("/v1/upcoming-changes?rule_set_id=national_baseline").json()["data"]
    )


def test_a_window_to_come_and_one_that_ends_without_another_are_told(tenant: Tenant) -> None:
    begins = (datetime.now(UTC) + timedelta(days=40)).date()
    last = begins - timedelta(days=1)
    tenant.edit(shorter_limit(begins.isoformat(), last.isoformat()))
    tenant.published()
    assert upcoming(tenant) == [(begins.isoformat(), "window_begins", "EX1-TF-001")]


def test_a_clean_claim_tells_the_day_after_its_filing_deadline(tenant: Tenant) -> None:
    judged = validate(tenant, lines=[{"service_from": "2026-11-20", "service_through": "2026-11-20"}], **RECEIVED)
    assert (judged["outcome"], judged["fails_from"]) == ("clean", "2027-02-19"), "90 days after 20 November is 18 February"
    last_day = validate(tenant, received_at="2027-02-18T10:00:00-05:00")
    assert "tf.expired" not in codes(last_day)
    assert "tf.expired" in codes(validate(tenant, received_at="2027-02-19T10:00:00-05:00"))
    assert last_day["fails_from"] is None, "it is not clean: the deadline is near"


RECEIPT_RULE = """id: EX1-RCV-001
name: form-no-longer-taken
title: A form the payer no longer takes
kind: condition
category: required elements
level: claim
stage: {stage}
versions:
- version: 1
  effective_from: {first}
  reason: The payer takes no claim of this kind from this day of receipt on.
  citations:
  - {{source: illustration}}
  when: {{fact: claim.claim_frequency_code, is: 1}}
  finding:
    code: form.not_taken
    severity: reject
    category: payer_specific
    predicts: {{outcome: rejection, group_code: CO, carc: 16}}
    message: The payer takes no claim of this kind any more.
    fixes:
    - {{label: Send it in the new form, class: data_entry}}
scope: {{policy_date: received_date}}
"""
RECEIPT_CASES = """rule: EX1-RCV-001
base: claims/office-visit.yaml
cases:
- name: received on the first day
  expect:
  - {{code: form.not_taken, version: 1}}
  service_date: {first}
  received_at: {first}T10:00:00-05:00
- name: received before
  expect: []
  service_date: 2026-01-05
  received_at: 2026-02-01T10:00:00-05:00
"""


def with_receipt_rule(tenant: Tenant, first: str, stage: str = "stable") -> None:
    files, _ = tenant.files()
    folder = f"{FILING.rpartition('/')[0]}/form-no-longer-taken"
    tenant.edit({
        f"{folder}/rule.yaml": RECEIPT_RULE.format(first=first, stage=stage), f"{folder}/cases.yaml": RECEIPT_CASES.format(first=first),
        f"{folder}/rule.md": files[f"{FILING}/rule.md"],
    })  # fmt: skip
    tenant.published()


def test_a_clean_claim_tells_the_day_a_rule_of_receipt_begins_to_refuse_it(tenant: Tenant) -> None:
    with_receipt_rule(tenant, "2026-12-15")
    judged = validate(tenant, **RECEIVED)
    assert (judged["outcome"], judged["fails_from"]) == ("clean", "2026-12-15")
    replayed = tenant["auditor"].post(f"/v1/evaluations/{judged['evaluation_id']}/replay", json={}).json()
    assert replayed["verdict"] == "reproduced"
    assert codes(validate(tenant, received_at="2026-12-15T00:00:00-05:00")) == ["form.not_taken"]
    assert codes(validate(tenant, received_at="2026-12-14T23:59:59-05:00")) == []


def test_a_preview_rule_is_recorded_not_returned_and_its_would_be_findings_are_reported(tenant: Tenant) -> None:
    with_receipt_rule(tenant, "2026-06-01", stage="preview")
    judged = [validate(tenant, patient_control_number=f"P-{number}", **RECEIVED) for number in range(3)]
    assert all(one["outcome"] == "clean" and codes(one) == [] for one in judged)
    path = "/v1/rules/EX1-RCV-001/preview"
    deadline = time.monotonic() + 30
    while tenant["author"].get(path).json()["evaluations"] < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    report = tenant["author"].get(path).json()
    assert (report["stage"], report["evaluations"], report["findings"], report["by_code"], report["by_severity"]) == (
        "preview", 3, 3, {"form.not_taken": 3}, {"reject": 3},
    )  # fmt: skip
    assert report["amount_at_risk"] == "450.00", "a finding of the whole claim puts its lines at risk"
    assert report["samples"] == [one["evaluation_id"] for one in reversed(judged)]
    refused(tenant["author"].get("/v1/rules/NO-SUCH-001/preview"), 404, "not-found")
    assert tenant["author"].get("/v1/rules/EX1-TF-001/preview").json()["findings"] == 0
