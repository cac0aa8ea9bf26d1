"""Rows of the field's acceptance list that only show over HTTP: precedence, stale sources, retroactive policy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.governance import FILING, LATE, RULE_SET, Tenant, codes, new_tenant, validate
from tests.support.server import Server

PLAN_SET = "example_gold_plan"
EXPIRED = LATE | {"received_at": "2027-02-01T10:00:00-05:00"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def publish_new(tenant: Tenant, rule_set_id: str, files: dict[str, str]) -> None:
    """A rule set that does not exist yet, drafted, reviewed and published."""
    saved = tenant["author"].put(f"/v1/rule-sets/{rule_set_id}/draft", json={"files": files}, headers={"If-Match": '"0"'})
    assert (saved.status_code, saved.json()["issues"]) == (200, []), saved.text
    body = {"rule_set_id": rule_set_id, "title": "A new rule set", "reason": "The plan says so."}
    opened = tenant["author"].post("/v1/change-requests", json=body)
    assert opened.status_code == 201, opened.text
    submitted = tenant.act("author", opened.json(), "submission")
    assert submitted.status_code == 200, submitted.text
    review = {"verdict": "approve", "content_sha256": submitted.json()["content_sha256"]}
    assert tenant.act("reviewer", opened.json(), "reviews", **review).json()["state"] == "approved"
    published = tenant.act("publisher", opened.json(), "publication")
    assert published.status_code == 201, published.text


def gold_plan(tenant: Tenant) -> dict[str, str]:
    """The payer's pack cut down to its filing rule, as a plan's: 200 days, and the payer's own rule is disabled."""
    files, _ = tenant.files()
    kept = {path: text for path, text in files.items() if path.startswith((f"{FILING}/", "claims/")) or path == "pack.yaml"}
    kept["pack.yaml"] = f"""id: {PLAN_SET}
title: Example Gold plan (illustrative)
evidence: illustrative
scope:
  layer: plan
  payer_ids: [EXAMPLE01]
  plan_ids: [GOLD]
description: An invented plan with a filing limit of its own.
sources:
- {{id: illustration, title: Illustration by this project; no payer published this policy}}
"""
    kept[f"{FILING}/rule.yaml"] = """id: EX1-GOLD-001
name: filed-after-ninety-days
title: Claim filed after the plan's filing limit
kind: filing_limit
category: timely filing
level: line
stage: stable
versions:
- version: 1
  effective_from: 2020-01-01
  reason: The plan grants 200 days.
  citations:
  - {source: illustration}
  parameters:
    clocks:
    - submissions: [original]
      anchors: [line_from]
      limit: {value: 200, unit: calendar_days}
scope: {policy_date: service_date}
disables: [EX1-TF-001]
"""
    kept[f"{FILING}/cases.yaml"] = """rule: EX1-GOLD-001
base: claims/office-visit.yaml
cases:
- name: after 200 days
  expect:
  - {code: tf.expired, version: 1}
  service_date: 2026-01-05
- name: within 200 days
  expect: []
  service_date: 2026-11-20
- name: first day of version 1
  expect:
  - {code: tf.expired, version: 1}
  service_date: 2020-01-01
"""
    return kept


def test_gov_07_a_plan_s_rule_disables_the_payer_s_and_the_explanation_names_the_loser(tenant: Tenant) -> None:
    files = gold_plan(tenant)
    publish_new(tenant, PLAN_SET, files)
    payer = {"payer_id": "EXAMPLE01", "line_of_business": "commercial", "claim_filing_indicator_code": "CI"}
    assert codes(validate(tenant, **EXPIRED)) == ["tf.expired"], "a claim of no plan: the payer's 90 days"
    in_plan = validate(tenant, **EXPIRED, payer={**payer, "plan_id": "GOLD"})
    assert codes(in_plan) == []
    told = tenant["ehr"].get(f"/v1/evaluations/{in_plan['evaluation_id']}/explanation").json()["rules"]
    assert {"rule_id": "EX1-TF-001", "lost_to": "EX1-GOLD-001", "how": "disabled"} in told
    assert any(one.get("rule_id") == "EX1-GOLD-001" and "branches" in one for one in told)


SOURCE = "- {id: illustration, title: Illustration by this project; no payer published this policy}\n"
VERIFIED = """- id: illustration
  title: Illustration by this project; no payer published this policy
  verified_on: 2026-01-02
  reverify_by: {day}
"""


def reverified(tenant: Tenant, day: str) -> dict[str, Any]:
    """The draft with a source that is due to be verified again by a day."""
    return tenant.edit({"pack.yaml": (SOURCE, VERIFIED.format(day=day))})


def test_gov_10_a_rule_whose_source_was_not_verified_again_in_time_only_warns(tenant: Tenant) -> None:
    received = EXPIRED["received_at"][:10]
    assert reverified(tenant, received)["valid"]
    tenant.published()
    on_the_day = validate(tenant, **EXPIRED)
    assert [(one["severity"], one["blocking"]) for one in on_the_day["findings"]] == [("deny_hard", True)]
    day_after = validate(tenant, **(EXPIRED | {"received_at": "2027-02-02T10:00:00-05:00"}))
    assert [(one["code"], one["severity"], one["blocking"]) for one in day_after["findings"]] == [("tf.expired", "warn", False)]
    assert day_after["disposition"] == "review"


def test_gov_10_a_source_verified_again_restores_the_severity_without_a_new_version(tenant: Tenant) -> None:
    reverified(tenant, "2027-01-01")
    tenant.published()
    assert [one["severity"] for one in validate(tenant, **EXPIRED)["findings"]] == ["warn"]
    tenant.edit({"pack.yaml": ("reverify_by: 2027-01-01", "reverify_by: 2028-01-01")})
    tenant.published()
    judged = validate(tenant, **EXPIRED)
    assert [(one["severity"], one["rule_version"]) for one in judged["findings"]] == [("deny_hard", 2)]


def test_a_source_is_not_due_before_it_was_verified(tenant: Tenant) -> None:
    assert [issue["code"] for issue in reverified(tenant, "2025-12-31")["issues"]] == ["PK022"]


TELEHEALTH = """id: EX1-TEL-002
name: telehealth-lapsed
title: Telehealth at home after the flexibility lapsed
kind: condition
category: telehealth
level: line
stage: stable
versions:
- version: 1
  effective_from: 2025-10-01
{through}  reason: The flexibility for the patient's home ended.
  citations:
  - {{source: illustration}}
  when: {{fact: line.effective_place_of_service_code, is: 10}}
  finding:
    code: telehealth.not_covered
    severity: deny_hard
    category: coding
    predicts: {{outcome: denial, group_code: CO, carc: 96}}
    at: line.place_of_service_code
    message: Line {{line_number}} was at the patient's home while telehealth there was not covered.
    fixes:
    - {{label: Confirm the place of service, class: data_entry}}
scope: {{policy_date: service_date}}
"""
TELEHEALTH_CASES = """rule: EX1-TEL-002
base: claims/office-visit.yaml
cases:
- name: at home after the lapse
  expect:
  - {code: telehealth.not_covered, version: 1}
  service_date: 2025-10-15
  claim: {place_of_service_code: 10}
- name: in the office
  expect: []
  service_date: 2025-10-15
- name: first day of the lapse
  expect:
  - {code: telehealth.not_covered, version: 1}
  service_date: 2025-10-01
  claim: {place_of_service_code: 10}
"""
LAST_DAY = """- name: last day of the lapse
  expect:
  - {code: telehealth.not_covered, version: 1}
  service_date: 2025-10-02
  claim: {place_of_service_code: 10}
- name: the day after the lapse
  expect: []
  service_date: 2025-10-03
  claim: {place_of_service_code: 10}
"""


def test_tel_01_a_retroactive_extension_changes_the_answer_of_now_and_not_of_then(tenant: Tenant) -> None:
    files, _ = tenant.files()
    rule = f"{FILING.rpartition('/')[0]}/telehealth-lapsed"
    page = files[f"{FILING}/rule.md"]
    lapsed = {f"{rule}/rule.yaml": TELEHEALTH.format(through=""), f"{rule}/cases.yaml": TELEHEALTH_CASES, f"{rule}/rule.md": page}
    tenant.edit(lapsed)
    tenant.published()
    service = {
        "place_of_service_code": "10",
        "lines": [{"service_from": "2025-10-15", "service_through": "2025-10-15"}],
        "received_at": "2025-10-20T10:00:00-04:00",
    }
    then = validate(tenant, **service)
    assert "telehealth.not_covered" in codes(then)
    known_at = then["evaluated_at"]
    # The extension reaches back: the lapse is over after two days, and no day after it is denied.
    shortened = (
        TELEHEALTH_CASES.replace(
            "- name: at home after the lapse\n  expect:\n  - {code: telehealth.not_covered, version: 1}",
            "- name: at home after the lapse\n  expect: []",
        )
        + LAST_DAY
    )
    tenant.edit({f"{rule}/rule.yaml": TELEHEALTH.format(through="  effective_through: 2025-10-02\n"), f"{rule}/cases.yaml": shortened})
    assert tenant.published()["retroactive_from"] == "2025-10-03"
    assert "telehealth.not_covered" not in codes(validate(tenant, **service))
    path = f"/v1/evaluations/{then['evaluation_id']}/replay"
    assert tenant["auditor"].post(path, json={"mode": "as_known_at", "known_at": known_at}).json()["verdict"] == "reproduced"
    now = tenant["auditor"].post(path, json={"mode": "as_known_now"}).json()
    assert (now["verdict"], now["reason"]) == ("diverged", "rules_changed")
    assert [one["code"] for one in now["difference"]["findings_removed"]] == ["telehealth.not_covered"]
    day = {"policy_date": "2025-10-15"}
    applied = [
        tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/resolve", params=day | more).json()["data"]
        for more in ({"known_at": known_at}, {})
    ]
    assert ["EX1-TEL-002" in {one["rule_id"] for one in data} for data in applied] == [True, False]


ADOPTING = """id: EX1-MUE-001
name: units-above-adopted-limit
title: Units above the edition the payer has adopted
kind: unit_limit
category: mue
level: line
stage: stable
versions:
- version: 1
  effective_from: 2026-01-01
  reason: The payer adopts each quarter's limits some weeks late, by the day it receives a claim.
  citations:
  - {source: illustration}
  parameters:
    table_professional: ncci_mue_practitioner
    adoptions:
    - {edition: 2026Q4, received_from: 2026-10-20}
"""
ADOPTING_CASES = """rule: EX1-MUE-001
base: claims/office-visit.yaml
cases:
- name: three units where two are accepted
  expect:
  - {version: 1}
  service_date: 2026-01-01
  lines:
  - {procedure_code: P2001, unit_count: 3}
- name: two units
  expect: []
  service_date: 2026-01-01
  lines:
  - {procedure_code: P2001, unit_count: 2}
"""
MUE = "HCPCS/CPT Code,Practitioner Services MUE Values,MUE Adjudication Indicator\nP2001,{limit},1\nP2002,5,1\n"


def mue_edition(tenant: Tenant, label: str, first: str, last: str, limit: int) -> dict[str, Any]:
    query = {"edition": label, "coverage_from": first, "coverage_through": last, "file_name": "mue.csv"}
    headers = {"Content-Type": "text/csv"}
    answer = tenant["publisher"].post(
        "/v1/reference-tables/ncci_mue_practitioner/editions", params=query, content=MUE.format(limit=limit), headers=headers
    )
    assert answer.status_code in (201, 202), answer.text
    return answer.json()


def test_gov_08_a_payer_s_adoption_of_a_quarter_goes_by_the_day_of_receipt(server: Server) -> None:
    tenant = new_tenant(server, samples=False)
    mue_edition(tenant, "2026Q3", "2026-07-01", "2026-09-30", limit=2)
    later = mue_edition(tenant, "2026Q4", "2026-10-01", "2026-12-31", limit=1)
    review = {"verdict": "approve", "content_sha256": later["content_sha256"]}
    assert tenant.act("reviewer", later, "reviews", **review).json()["state"] == "approved"
    assert tenant.act("publisher", later, "publication").status_code == 201
    files, _ = tenant.files()
    folder = f"{FILING.rpartition('/')[0]}/units-above-adopted-limit"
    page = files[f"{FILING}/rule.md"]
    tenant.edit({f"{folder}/rule.yaml": ADOPTING, f"{folder}/cases.yaml": ADOPTING_CASES, f"{folder}/rule.md": page})
    tenant.published()

    def editions_of(received: str, units: str) -> tuple[bool, list[str]]:
        line = {"procedure_code": "P2001", "unit_count": units, "service_from": "2026-10-05", "service_through": "2026-10-05"}
        judged = validate(tenant, lines=[line], received_at=f"{received}T10:00:00-04:00")
        used = [one["edition"] for one in judged["pins"]["reference_tables"] if one["name"] == "ncci_mue_practitioner"]
        return any(one["rule_id"] == "EX1-MUE-001" for one in judged["findings"]), used

    assert editions_of("2026-10-10", "2") == (False, ["2026Q3"]), "the quarter before still holds"
    assert editions_of("2026-10-10", "3") == (True, ["2026Q3"])
    assert editions_of("2026-10-19", "2") == (False, ["2026Q3"])
    assert editions_of("2026-10-20", "2") == (True, ["2026Q4"])
