"""Policy changes over real HTTP, on both databases: draft, review, publication, rollback, and every refusal."""

import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.support.builders import claim_bytes
from tests.support.governance import FILING, LATE, RULE_SET, Tenant, codes, future_change, new_tenant, past_change, refused, validate
from tests.support.server import Server

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def test_a_change_goes_from_draft_to_publication_and_claims_are_judged_by_it(tenant: Tenant) -> None:
    assert codes(validate(tenant, **LATE)) == ["tf.at_risk"]
    saved = tenant.edit(past_change())
    assert (saved["valid"], saved["issues"], saved["saved"]) == (True, [], True)
    published = tenant.published()
    assert (published["rule_set_id"], published["number"], published["retroactive_from"]) == (RULE_SET, 2, "2026-10-01")
    evaluation = validate(tenant, **LATE)
    assert codes(evaluation) == ["tf.expired"]
    assert evaluation["pins"]["catalog_epoch"] == published["catalog_epoch"]
    assert evaluation["findings"][0]["rule_version"] == 3
    # The draft was published: what is read now is the live publication, unsaved.
    draft = tenant["author"].get(f"/v1/rule-sets/{RULE_SET}/draft").json()
    assert (draft["saved"], draft["base_number"], draft["editors"]) == (False, 2, [])


def test_every_step_is_one_audit_event_and_the_chain_holds(tenant: Tenant) -> None:
    tenant.edit(future_change())
    tenant.published()
    assert [one["action"] for one in tenant.events()] == [
        "draft.saved", "change_request.opened", "draft.checked", "change_request.submitted", "change_request.reviewed", "change_request.published",
    ]  # fmt: skip
    verified = tenant["auditor"].post("/v1/audit/verify", json={}).json()
    assert (verified["holds"], verified["events"], verified["broken_at"]) == (True, tenant.founded + 6, None)
    assert tenant.events()[-1]["action"] == "audit.verified"


def test_gov_02_nobody_approves_their_own_work(tenant: Tenant) -> None:
    """Neither who opened the request, nor anybody who edited the draft, with whatever scopes."""
    tenant.edit(future_change(), person="everyone")
    tenant.edit({"pack.yaml": ("description:", "description:")}, person="author")
    request = tenant.open("author")
    submitted = tenant.act("author", request, "submission").json()
    everyone = tenant.act("everyone", request, "reviews", verdict="approve", content_sha256=submitted["content_sha256"])
    refused(everyone, 403, "self-approval-forbidden")
    assert tenant["auditor"].get(f"/v1/change-requests/{request['change_request_id']}").json()["state"] == "in_review"
    assert tenant.events(action="change_request.reviewed.refused")[0]["details"] == {"code": "self-approval-forbidden"}


def test_an_edit_voids_the_approvals_given(tenant: Tenant) -> None:
    tenant.edit(future_change())
    approved = tenant.approved()
    tenant.edit({f"{FILING}/rule.md": tenant.files()[0][f"{FILING}/rule.md"] + "\nMore.\n"}, person="other author")
    after = tenant["author"].get(f"/v1/change-requests/{approved['change_request_id']}").json()
    assert (after["state"], after["review_cycle"]) == ("draft", 2)
    assert len(after["authors"]) == 2
    refused(tenant.act("publisher", approved, "publication"), 409, "approvals-missing")
    tenant.act("author", approved, "submission")
    # The verdict must name what is under review now, and one of the cycle before does not count.
    stale = tenant.act("reviewer", approved, "reviews", verdict="approve", content_sha256=approved["content_sha256"])
    refused(stale, 409, "state-conflict")
    other = tenant.act("other author", approved, "reviews", verdict="approve", content_sha256=after["content_sha256"])
    refused(other, 403, "insufficient-scope")


def test_gov_03_a_published_version_is_not_edited(tenant: Tenant) -> None:
    saved = tenant.edit({f"{FILING}/rule.yaml": ("limit: {value: 90, unit: calendar_days}\n    - submissions: [corrected]", "limit: {value: 60, unit: calendar_days}\n    - submissions: [corrected]")})  # fmt: skip
    assert saved["valid"] is False
    assert "PK012" in [issue["code"] for issue in saved["issues"]]
    problem = refused(tenant.act("author", tenant.open(), "submission"), 409, "published-version-changed")
    assert "write version 3" in " ".join(issue["mend"] for issue in problem["errors"])


def test_gov_03_also_when_the_lock_file_was_taken_away(tenant: Tenant) -> None:
    files, tag = tenant.files()
    del files["lock.yaml"]
    files[f"{FILING}/rule.yaml"] = files[f"{FILING}/rule.yaml"].replace(
        "{value: 180, unit: calendar_days}", "{value: 181, unit: calendar_days}"
    )
    assert tenant.save(files, tag).status_code == 200
    refused(tenant.act("author", tenant.open(), "submission"), 409, "published-version-changed")


@pytest.mark.parametrize("verb", ["put", "post", "delete", "patch"])
def test_gov_03_a_publication_takes_no_write(tenant: Tenant, verb: str) -> None:
    answer = getattr(tenant["everyone"], verb)(f"/v1/rule-sets/{RULE_SET}/publications/1")
    refused(answer, 405, "method-not-allowed")


def test_gov_04_rolling_back_publishes_earlier_content_again_and_keeps_what_came_between(tenant: Tenant) -> None:
    tenant.edit(past_change())
    tenant.published()
    assert codes(validate(tenant, **LATE)) == ["tf.expired"]
    answer = tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 1, "reason": "The payer took it back."})
    assert answer.status_code == 201, answer.text
    assert answer.json()["number"] == 3
    assert codes(validate(tenant, **LATE)) == ["tf.at_risk"]
    publications = tenant["auditor"].get(f"/v1/rule-sets/{RULE_SET}/publications").json()["data"]
    assert [one["number"] for one in publications] == [3, 2, 1]
    assert publications[0]["sha256"] == publications[2]["sha256"]
    event = tenant.events(action="rule_set.rolled_back")[0]
    assert (event["reason"], event["details"]["number"], event["details"]["to_number"]) == ("The payer took it back.", 3, 1)
    refused(tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 3, "reason": "Again"}), 409, "state-conflict")
    refused(tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 9, "reason": "Again"}), 404, "not-found")


def test_gov_05_without_a_citation_or_a_case_that_does_not_fire_nothing_is_reviewed(tenant: Tenant) -> None:
    uncited = future_change()
    uncited[f"{FILING}/rule.yaml"] = (
        uncited[f"{FILING}/rule.yaml"][0],
        uncited[f"{FILING}/rule.yaml"][1].replace("  citations:\n  - {source: illustration}\n", ""),
    )
    tenant.edit(uncited)
    request = tenant.open()
    problem = refused(tenant.act("author", request, "submission"), 422, "content-invalid")
    assert "PK016" in [issue["code"] for issue in problem["errors"]]
    cases = "rule: EX1-TF-001\nbase: claims/office-visit.yaml\ncases:\n- name: it fires\n  expect:\n  - {code: tf.expired, version: 2}\n  service_date: 2026-07-01\n"
    files, tag = tenant.files()
    tenant.save({**files, f"{FILING}/cases.yaml": cases}, tag)
    problem = refused(tenant.act("author", request, "submission"), 422, "content-invalid")
    assert any("does not fire" in issue["message"] for issue in problem["errors"])
    assert [one["details"]["code"] for one in tenant.events(action="change_request.submitted.refused")] == ["content-invalid"] * 2


def test_gov_06_windows_that_overlap_are_refused(tenant: Tenant) -> None:
    tenant.edit({f"{FILING}/rule.yaml": ("effective_through: 2026-06-30", "effective_through: 2026-07-31")})
    problem = refused(tenant.act("author", tenant.open(), "submission"), 422, "effective-range-conflict")
    assert any("2026-07-01" in issue["message"] and "2026-07-31" in issue["message"] for issue in problem["errors"])


def test_a_case_that_fails_refuses_the_submission_and_is_named(tenant: Tenant) -> None:
    tenant.edit({f"{FILING}/cases.yaml": ("- {code: tf.at_risk, version: 2}", "- {code: tf.expired, version: 2}")})
    problem = refused(tenant.act("author", tenant.open(), "submission"), 409, "checks-failed")
    assert "TF-01 day 90 is in time" in problem["errors"][0]["message"]


def test_two_approvals_are_needed_where_two_are_set_and_one_person_counts_once(tenant: Tenant) -> None:
    answer = tenant["publisher"].put(f"/v1/rule-sets/{RULE_SET}/approvals", json={"required_approvals": 2, "reason": "It blocks claims."})
    assert answer.json() == {"rule_set_id": RULE_SET, "required_approvals": 2, "second_above_share": "0.02", "impact_required": False}
    tenant.edit(future_change())
    request = tenant.open()
    sha256 = tenant.act("author", request, "submission").json()["content_sha256"]
    first = tenant.act("reviewer", request, "reviews", verdict="approve", content_sha256=sha256)
    assert first.json()["state"] == "in_review"
    refused(tenant.act("reviewer", request, "reviews", verdict="approve", content_sha256=sha256), 409, "state-conflict")
    problem = refused(tenant.act("publisher", request, "publication"), 409, "approvals-missing")
    assert problem["detail"] == "The change request is in state in_review and has 1 of 2 approvals."
    second = tenant.act("other reviewer", request, "reviews", verdict="approve", content_sha256=sha256)
    assert second.json()["state"] == "approved"
    assert tenant.act("publisher", request, "publication").status_code == 201


@pytest.mark.parametrize(("verdict", "state", "next_step"), [("request_changes", "changes_requested", 200), ("reject", "rejected", 409)])
def test_a_reviewer_sends_back_or_rejects(tenant: Tenant, verdict: str, state: str, next_step: int) -> None:
    tenant.edit(future_change())
    request = tenant.open()
    sha256 = tenant.act("author", request, "submission").json()["content_sha256"]
    reviewed = tenant.act("reviewer", request, "reviews", verdict=verdict, content_sha256=sha256, comment="Cite the bulletin.")
    assert (reviewed.json()["state"], reviewed.json()["reviews"][0]["comment"]) == (state, "Cite the bulletin.")
    assert tenant.act("author", request, "submission").status_code == next_step


def test_a_publication_that_came_between_makes_the_base_stale(tenant: Tenant) -> None:
    tenant.edit(future_change())
    tenant.published()
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: New ")})
    approved = tenant.approved()
    assert tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 1, "reason": "Back"}).status_code == 201
    refused(tenant.act("publisher", approved, "publication"), 409, "base-stale")
    assert tenant["author"].get(f"/v1/change-requests/{approved['change_request_id']}").json()["state"] == "approved"


def test_a_stale_draft_is_discarded_and_the_next_begins_from_what_is_live(tenant: Tenant) -> None:
    tenant.edit(future_change())
    request = tenant.open()
    draft = f"/v1/rule-sets/{RULE_SET}/draft"
    tag = tenant.files()[1]
    refused(tenant["author"].delete(draft, headers={"If-Match": tag}), 409, "change-request-open")
    tenant.act("author", request, "withdrawal", reason="Stale")
    refused(tenant["author"].delete(draft, headers={"If-Match": '"9-0"'}), 412, "precondition-failed")
    assert tenant["author"].delete(draft, headers={"If-Match": tag}).status_code == 204
    again = tenant["author"].get(draft).json()
    assert (again["saved"], again["base_number"]) == (False, 1)
    assert "version: 3" not in again["files"][f"{FILING}/rule.yaml"]
    refused(tenant["author"].delete(draft, headers={"If-Match": tag}), 404, "not-found")


def test_a_rule_set_has_one_change_request_that_stands(tenant: Tenant) -> None:
    refused(
        tenant["author"].post("/v1/change-requests", json={"rule_set_id": RULE_SET, "title": "t", "reason": "r"}), 409, "state-conflict"
    )
    tenant.edit(future_change())
    request = tenant.open()
    refused(
        tenant["author"].post("/v1/change-requests", json={"rule_set_id": RULE_SET, "title": "t", "reason": "r"}),
        409,
        "change-request-open",
    )
    withdrawn = tenant.act("author", request, "withdrawal", reason="Not now")
    assert (withdrawn.json()["state"], withdrawn.json()["actions"]) == ("withdrawn", [])
    assert tenant.open()["change_request_id"] != request["change_request_id"]


def test_a_retroactive_change_needs_its_scope(tenant: Tenant) -> None:
    tenant.edit(past_change())
    approved = tenant.approved()
    assert approved["retroactive_from"] == "2026-10-01"
    plain = tenant.person("plain publisher", ["rules:read", "rules:publish"])
    refused(plain.post(f"/v1/change-requests/{approved['change_request_id']}/publication"), 403, "insufficient-scope")
    assert tenant.act("publisher", approved, "publication").json()["retroactive_from"] == "2026-10-01"


def test_a_draft_is_saved_by_who_read_it_last(tenant: Tenant) -> None:
    files, tag = tenant.files()
    assert tenant.save({**files, "note.md": "one\n"}, tag).status_code == 200
    refused(tenant.save({**files, "note.md": "two\n"}, tag), 412, "precondition-failed")
    refused(tenant["author"].put(f"/v1/rule-sets/{RULE_SET}/draft", json={"files": files}), 428, "precondition-required")


def test_two_who_save_at_once_do_not_both_win(tenant: Tenant) -> None:
    files, tag = tenant.files()
    statuses: list[int] = []

    def save(person: str) -> None:
        with httpx.Client(base_url=tenant.server.base_url, headers=tenant[person].headers, timeout=60, trust_env=False) as client:
            answer = client.put(
                f"/v1/rule-sets/{RULE_SET}/draft", json={"files": {**files, "note.md": f"{person}\n"}}, headers={"If-Match": tag}
            )
            statuses.append(answer.status_code)

    threads = [threading.Thread(target=save, args=(person,)) for person in ("author", "other author", "everyone")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 412, 412]


def test_a_new_rule_set_begins_as_a_draft(tenant: Tenant) -> None:
    name = "new_payer"
    path = f"/v1/rule-sets/{name}/draft"
    assert tenant["author"].get(path).status_code == 404
    files, _ = tenant.files()
    files["pack.yaml"] = files["pack.yaml"].replace("id: example_commercial_ppo", f"id: {name}")
    answer = tenant["author"].put(path, json={"files": files}, headers={"If-Match": '"0"'})
    assert answer.status_code == 200, answer.text
    # Its rule ids are those of another rule set, and ids are never reused.
    assert "PK004" in [issue["code"] for issue in answer.json()["issues"]]
    refused(tenant["author"].put(path, json={"files": files}, headers={"If-Match": '"0"'}), 412, "precondition-failed")


@pytest.mark.parametrize(
    "path",
    [
        "../up.yaml",
        "/etc/passwd",
        "a/../../b.yaml",
        "a//b.yaml",
        "x.py",
        ".hidden.yaml",
        "a\\b.yaml",
        "",
        "a/.git/x.yaml",
        "x" * 300 + ".yaml",
    ],
)
def test_a_path_out_of_the_pack_is_refused_and_nothing_is_saved(tenant: Tenant, path: str) -> None:
    files, tag = tenant.files()
    refused(tenant.save({**files, path: "x"}, tag), 422, "validation-error")
    assert tenant.files()[1] == tag


def test_a_base_claim_outside_the_pack_is_not_read(tenant: Tenant) -> None:
    tenant.edit({f"{FILING}/cases.yaml": ("base: claims/office-visit.yaml", "base: ../national_baseline/pack.yaml")})
    problem = refused(tenant.act("author", tenant.open(), "submission"), 409, "checks-failed")
    assert "outside the pack" in problem["errors"][0]["message"]


def test_a_draft_is_saved_with_its_faults_and_they_are_located(tenant: Tenant) -> None:
    saved = tenant.edit({f"{FILING}/rule.yaml": ("kind: filing_limit", "kind: no_such_kind")})
    assert saved["valid"] is False
    assert [(issue["code"], issue["pointer"].startswith(f"{RULE_SET}/{FILING}/rule.yaml:")) for issue in saved["issues"]] == [
        ("PK018", True)
    ]
    broken = tenant.edit({"pack.yaml": "title: [unclosed\n"})
    assert broken["valid"] is False
    assert [issue["code"] for issue in broken["issues"]] == ["PK001"]


def test_the_draft_s_cases_are_run_and_what_they_never_show_is_told(tenant: Tenant) -> None:
    tenant.edit(future_change())
    report = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/tests").json()
    assert (report["passed"], report["failed"], report["issues"]) == (True, [], [])
    assert report["cases"] > 20
    assert "EX1-TF-001 v2 tf.expired" not in report["never_true"]
    assert "EX1-TF-001 v2 tf.split_line" in report["never_true"]
    checks = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/checks").json()
    assert (checks["passed"], checks["content_sha256"]) == (True, report["content_sha256"])


def test_a_claim_is_tried_against_the_draft_and_nothing_is_stored(tenant: Tenant) -> None:
    tenant.edit(past_change())
    answer = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/evaluate", content=claim_bytes(**LATE), headers=JSON)
    assert answer.status_code == 200, answer.text
    tried = answer.json()
    assert ([one["code"] for one in tried["draft"]["findings"]], [one["code"] for one in tried["live"]["findings"]]) == (
        ["tf.expired"],
        ["tf.at_risk"],
    )
    assert (tried["added"], tried["removed"]) == (["f1"], ["f1"])
    assert codes(validate(tenant, **LATE)) == ["tf.at_risk"]


def test_a_scheduled_change_is_published_when_its_instant_comes_and_not_before(tenant: Tenant) -> None:
    tenant.edit(past_change())
    approved = tenant.approved()
    path = f"/v1/change-requests/{approved['change_request_id']}/schedule"
    past = tenant["publisher"].put(path, json={"at": "2020-01-01T00:00:00Z"})
    refused(past, 422, "validation-error")
    scheduled = tenant["publisher"].put(path, json={"at": "2099-01-01T00:00:00Z"})
    assert (scheduled.json()["state"], scheduled.json()["scheduled_for"]) == ("scheduled", "2099-01-01T00:00:00Z")
    assert codes(validate(tenant, **LATE)) == ["tf.at_risk"]
    assert tenant["publisher"].delete(path).json()["state"] == "approved"
    refused(tenant["publisher"].delete(path), 409, "state-conflict")


def test_a_scheduled_change_is_published_by_the_service_at_its_instant(tenant: Tenant) -> None:
    tenant.edit(past_change())
    approved = tenant.approved()
    at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    path = f"/v1/change-requests/{approved['change_request_id']}"
    assert tenant["publisher"].put(f"{path}/schedule", json={"at": at}).status_code == 200
    deadline = time.monotonic() + 60
    while tenant["author"].get(path).json()["state"] == "scheduled" and time.monotonic() < deadline:
        time.sleep(0.2)
    done = tenant["author"].get(path).json()
    assert (done["state"], done["published_number"], done["scheduled_for"]) == ("published", 2, None)
    assert codes(validate(tenant, **LATE)) == ["tf.expired"]
    events = tenant.events(object_id=approved["change_request_id"])
    assert [event["action"] for event in events][-2:] == ["change_request.scheduled", "change_request.published"]
    assert (events[-1]["actor"], events[-1]["at"] >= at.replace("+00:00", "")) == ("schedule", True)


def test_a_scheduled_change_whose_base_is_stale_fails_with_its_reason(tenant: Tenant) -> None:
    tenant.edit(future_change())
    tenant.published()
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: New ")})
    approved = tenant.approved()
    path = f"/v1/change-requests/{approved['change_request_id']}"
    at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    assert tenant["publisher"].put(f"{path}/schedule", json={"at": at}).status_code == 200
    assert tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 1, "reason": "Back"}).status_code == 201
    deadline = time.monotonic() + 60
    while tenant["author"].get(path).json()["state"] == "scheduled" and time.monotonic() < deadline:
        time.sleep(0.2)
    done = tenant["author"].get(path).json()
    assert (done["state"], done["failure_reason"]) == ("publish_failed", "base-stale")


@pytest.mark.parametrize("table", ["drafts", "change_requests", "publications"])
def test_another_tenant_s_objects_are_not_there(server: Server, tenant: Tenant, table: str) -> None:
    tenant.edit(future_change())
    request = tenant.open()
    other = new_tenant(server, ("national_baseline",))
    path = {
        "drafts": f"/v1/rule-sets/{RULE_SET}/draft",
        "change_requests": f"/v1/change-requests/{request['change_request_id']}",
        "publications": f"/v1/rule-sets/{RULE_SET}/publications/1",
    }[table]
    mine, theirs = other["everyone"].get(path), other["everyone"].get(path.replace(RULE_SET, "no_such").replace(request["change_request_id"], f"cr_{uuid.uuid4().hex}"))  # fmt: skip
    assert (mine.status_code, theirs.status_code) == (404, 404)
    drop = {"request_id"}
    assert {key: value for key, value in mine.json().items() if key not in drop} == {
        key: value for key, value in theirs.json().items() if key not in drop
    }


def test_checks_tell_what_the_analysis_of_the_rules_found_without_refusing_it(tenant: Tenant) -> None:
    tenant.edit({f"{FILING}/rule.yaml": ("effective_through: 2026-06-30", "effective_through: 2026-06-28")})
    report = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/checks").json()
    gap = [one for one in report["remarks"] if one["code"] == "AN006"]
    assert [(one["rule_id"], one["message"]) for one in gap] == [
        ("EX1-TF-001", "EX1-TF-001: no version applies from 2026-06-29 through 2026-06-30.")
    ]
    assert gap[0]["pointer"].startswith(f"{RULE_SET}/{FILING}/rule.yaml:")
    assert "AN006" not in {issue["code"] for issue in report["issues"]}
