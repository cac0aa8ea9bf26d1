"""What is refused changes nothing and stands in the audit log; what a role may not know it is not shown."""

from __future__ import annotations

import json
import re

import httpx
import pytest

from tests.support.generate import ROOT
from tests.support.governance import LATE, RULE_SET, Tenant, new_tenant, refused, validate
from tests.support.server import Server
from tests.support.waiting import ended

DOCUMENT = json.loads((ROOT / "openapi/openapi.json").read_text())
CHANGING = [
    (method.upper(), path, operation["operationId"], operation["x-scope"])
    for path, methods in sorted(DOCUMENT["paths"].items())
    for method, operation in sorted(methods.items())
    if method != "get" and operation["x-scope"] not in ("none", "claims:validate")
]


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def test_whoever_lacks_the_scope_of_an_operation_leaves_one_event(server: Server) -> None:
    tenant = new_tenant(server)
    nobody = tenant.person("nobody", ["metrics:read"])
    for method, path, operation, scope in CHANGING:
        answer = nobody.request(method, re.sub(r"\{(\w+)\}", "nothing", path))
        assert refused(answer, 403, "insufficient-scope")["code"] == "insufficient_scope", operation
        events = tenant.events(action="access.refused", object_id=operation)
        assert [event["details"] for event in events] == [{"scope": scope}], operation


def test_refused_saves_discards_and_cancellations_are_audited(tenant: Tenant) -> None:
    files, tag = tenant.files()
    refused(tenant.save(files, '"9-0"'), 412, "precondition-failed")
    refused(tenant.save({"../x": "y"}, tag), 422, "validation-error")
    assert tenant.save(files, tag).status_code == 200
    refused(tenant["author"].delete(f"/v1/rule-sets/{RULE_SET}/draft", headers={"If-Match": '"0"'}), 412, "precondition-failed")
    job = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/impact", json={}).json()
    ended(tenant["author"], job)
    refused(tenant["author"].post(f"/v1/jobs/{job['job_id']}/cancellation"), 409, "state-conflict")
    assert [event["details"]["code"] for event in tenant.events(action="draft.saved.refused")] == ["precondition-failed", "content-invalid"]
    assert [event["details"]["code"] for event in tenant.events(action="draft.discarded.refused")] == ["precondition-failed"]
    assert [event["details"]["code"] for event in tenant.events(action="job.cancelled.refused")] == ["state-conflict"]


def test_a_schedule_in_the_past_is_refused_and_audited(tenant: Tenant) -> None:
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Other ")})
    request = tenant.approved()
    path = f"/v1/change-requests/{request['change_request_id']}/schedule"
    refused(tenant["publisher"].put(path, json={"at": "2020-01-01T00:00:00Z"}), 422, "validation-error")
    assert len(tenant.events(action="change_request.scheduled.refused")) == 1


def test_a_request_is_recalled_by_its_author_over_http(tenant: Tenant) -> None:
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Other ")})
    request = tenant.approved()
    recalled = tenant.act("author", request, "recall", reason="One more look.")
    assert (recalled.status_code, recalled.json()["state"], recalled.json()["review_cycle"]) == (200, "draft", 2)
    problem = refused(tenant.act("publisher", request, "publication"), 409, "approvals-missing")
    assert problem["code"] == "approvals_missing"
    assert "state draft" in problem["detail"]


def test_an_impact_is_asked_for_where_the_rule_set_says_so(tenant: Tenant) -> None:
    wanted = {"required_approvals": 1, "impact_required": True, "reason": "Look first."}
    set_ = tenant["publisher"].put(f"/v1/rule-sets/{RULE_SET}/approvals", json=wanted)
    assert (set_.status_code, set_.json()["impact_required"]) == (200, True)
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Other ")})
    request = tenant.approved()
    refused(tenant.act("publisher", request, "publication"), 409, "impact-missing")
    job = tenant["author"].post(f"/v1/rule-sets/{RULE_SET}/draft/impact", json={}).json()
    assert ended(tenant["author"], job)["state"] == "succeeded"
    assert tenant.act("publisher", request, "publication").status_code == 201


def test_the_control_number_is_shown_to_those_who_send_claims_or_may_read_them(tenant: Tenant) -> None:
    judged = validate(tenant, **LATE)
    number = judged["patient_control_number"]
    tenant.person("grantee", ["evaluations:read", "evaluations:read_input"])

    def shown(person: str) -> str | None:
        answer: httpx.Response = tenant[person].get(f"/v1/evaluations/{judged['evaluation_id']}")
        assert answer.json()["findings"] == judged["findings"]
        return answer.json()["patient_control_number"]  # type: ignore[no-any-return]

    assert {person: shown(person) for person in ("ehr", "grantee", "auditor", "reviewer", "publisher")} == {
        "ehr": number,
        "grantee": number,
        "auditor": None,
        "reviewer": None,
        "publisher": None,
    }
