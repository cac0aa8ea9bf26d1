"""A tenant of its own on a running server, with people in every role: what is published there disturbs nobody else."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rules_service.packs.read import read_pack
from rules_service.primitives.scopes import ROLES, SCOPES
from rules_service.services.load_packs import load_samples, publish_packs
from rules_service.storage.database import Database
from tests.support.builders import claim_bytes
from tests.support.server import PACKS, Server, new_key

RULE_SET = "example_commercial_ppo"
FILING = "rules/filed-after-ninety-days"


@dataclass
class Tenant:
    """A tenant and the clients of its people."""

    server: Server
    tenant_id: str
    people: dict[str, httpx.Client] = field(default_factory=dict)
    founded: int = 0
    """Audit events before the tests' own: what was loaded to begin with."""

    def __getitem__(self, person: str) -> httpx.Client:
        return self.people[person]

    def person(self, name: str, scopes: list[str]) -> httpx.Client:
        """A further person."""
        database = Database(self.server.url)
        try:
            self.people[name] = self.server.client(new_key(database, self.tenant_id, scopes))
        finally:
            database.close()
        return self.people[name]

    def files(self, person: str = "author") -> tuple[dict[str, str], str]:
        """(files, ETag) of the rule set's draft."""
        answer = self[person].get(f"/v1/rule-sets/{RULE_SET}/draft")
        assert answer.status_code == 200, answer.text
        return answer.json()["files"], answer.headers["etag"]

    def save(self, files: dict[str, str], tag: str, person: str = "author") -> httpx.Response:
        """Save the draft."""
        return self[person].put(f"/v1/rule-sets/{RULE_SET}/draft", json={"files": files}, headers={"If-Match": tag})

    def edit(self, change: dict[str, Any], person: str = "author") -> dict[str, Any]:
        """Save the draft with texts replaced: {path: (old, new)} or {path: text}."""
        files, tag = self.files(person)
        for path, what in change.items():
            if isinstance(what, tuple):
                assert what[0] in files[path], f"{path} has no {what[0]!r}"
                files[path] = files[path].replace(*what)
            else:
                files[path] = what
        answer = self.save(files, tag, person)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def open(self, person: str = "author") -> dict[str, Any]:
        """A change request for the draft."""
        answer = self[person].post(
            "/v1/change-requests", json={"rule_set_id": RULE_SET, "title": "A change", "reason": "The payer said so."}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()

    def act(self, person: str, request: dict[str, Any], what: str, **body: Any) -> httpx.Response:
        """A transition of a change request."""
        return self[person].post(f"/v1/change-requests/{request['change_request_id']}/{what}", **({"json": body} if body else {}))

    def approved(self) -> dict[str, Any]:
        """The draft's change request, submitted and approved."""
        request = self.open()
        submitted = self.act("author", request, "submission")
        assert submitted.status_code == 200, submitted.text
        review = self.act("reviewer", request, "reviews", verdict="approve", content_sha256=submitted.json()["content_sha256"])
        assert review.status_code == 201, review.text
        assert review.json()["state"] == "approved"
        return review.json()

    def published(self) -> dict[str, Any]:
        """The draft, published."""
        answer = self.act("publisher", self.approved(), "publication")
        assert answer.status_code == 201, answer.text
        return answer.json()

    def events(self, **filters: str) -> list[dict[str, Any]]:
        """The audit events since the tenant was founded that match, oldest first."""
        answer = self["auditor"].get("/v1/audit-events", params={"limit": 200, **filters})
        assert answer.status_code == 200, answer.text
        return [one["event"] for one in reversed(answer.json()["data"]) if one["seq"] > self.founded]


def new_tenant(server: Server, packs: tuple[str, ...] = ("national_baseline", RULE_SET), samples: bool = True) -> Tenant:
    """A tenant with the sample tables, these packs, and one person a role."""
    tenant = Tenant(server, f"t{uuid.uuid4().hex[:12]}")
    database = Database(server.url)
    try:
        if samples:
            load_samples(database, tenant.tenant_id, PACKS / "reference_samples", "tests")
        publish_packs(database, tenant.tenant_id, [read_pack(Path(PACKS / name)) for name in packs], "tests")
    finally:
        database.close()
    for person, role in (
        ("author", "rule_author"),
        ("other author", "rule_author"),
        ("reviewer", "reviewer"),
        ("other reviewer", "reviewer"),
        ("publisher", "publisher"),
        ("auditor", "auditor"),
        ("ehr", "ehr_client"),
    ):
        tenant.person(person, list(ROLES[role]))
    tenant.person("everyone", sorted(SCOPES))
    tenant.founded = tenant["auditor"].get("/v1/audit-events", params={"limit": 1}).json()["data"][0]["seq"]
    return tenant


def shorter_limit(first: str, last_before: str) -> dict[str, Any]:
    """An edit that shortens the filing limit to 60 days for services from a day: version 3, and the cases it needs."""
    year = int(first[:4])
    late = f"{year + 1}-06-01T10:00:00-05:00"
    return {
        f"{FILING}/rule.yaml": (
            "versions:\n- version: 2\n  effective_from: 2026-07-01\n",
            "versions:\n"
            "- version: 3\n"
            f"  effective_from: {first}\n"
            "  reason: The payer shortened the limit to 60 days.\n"
            "  citations:\n"
            "  - {source: illustration}\n"
            "  parameters:\n"
            "    clocks:\n"
            "    - submissions: [original]\n"
            "      anchors: [line_from]\n"
            "      limit: {value: 60, unit: calendar_days}\n"
            "    - submissions: [corrected]\n"
            "      anchors: [original_remit]\n"
            "      limit: {value: 180, unit: calendar_days}\n"
            "    - submissions: [secondary]\n"
            "      anchors: [primary_adjudication]\n"
            "      limit: {value: 90, unit: calendar_days}\n"
            "    - submissions: [appeal]\n"
            "      anchors: [original_remit]\n"
            "      limit: {value: 120, unit: calendar_days}\n"
            "    warn_within_days: [30, 7]\n"
            "- version: 2\n"
            "  effective_from: 2026-07-01\n"
            f"  effective_through: {last_before}\n",
        ),
        f"{FILING}/cases.yaml": (
            "cases:\n",
            "cases:\n"
            "- name: first day of the limit of 60 days\n"
            "  expect:\n"
            "  - {code: tf.expired, version: 3}\n"
            f"  service_date: {first}\n"
            f"  received_at: {late}\n"
            "- name: in time under the limit of 60 days\n"
            "  expect: []\n"
            f"  service_date: {first}\n"
            f"  received_at: {first}T10:00:00-05:00\n"
            "- name: in time under the limit of 90 days\n"
            "  expect: []\n"
            f"  service_date: {last_before}\n"
            f"  received_at: {last_before}T10:00:00-05:00\n"
            "- name: last day of the limit of 90 days\n"
            "  expect:\n"
            "  - {code: tf.expired, version: 2}\n"
            f"  service_date: {last_before}\n"
            f"  received_at: {late}\n",
        ),
    }


def future_change() -> dict[str, Any]:
    """An edit that applies from 2040."""
    return shorter_limit("2040-01-01", "2039-12-31")


def past_change() -> dict[str, Any]:
    """An edit that applies from 2026-10-01, which has passed."""
    return shorter_limit("2026-10-01", "2026-09-30")


OCTOBER = [{"service_from": "2026-10-15", "service_through": "2026-10-15"}]
LATE = {"lines": OCTOBER, "received_at": "2026-12-20T10:00:00-05:00"}
"""Changes of a claim: 66 days after the service, within 90 days and after 60."""


def validate(tenant: Tenant, **changes: object) -> dict[str, Any]:
    """A claim of the tenant's EHR, judged."""
    answer = tenant["ehr"].post("/v1/claims/validate", content=claim_bytes(**changes), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def codes(evaluation: dict[str, Any]) -> list[str]:
    """The codes of its findings."""
    return [finding["code"] for finding in evaluation["findings"]]


def refused(answer: httpx.Response, status: int, slug: str) -> dict[str, Any]:
    """The problem document of a refusal."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"/problems/{slug}"
    return answer.json()
