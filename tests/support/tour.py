"""A tour of the contract: every operation, by a real server, in the order its users call them. `make examples` keeps what it gives."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

from rules_service.services.manage_clients import add_client, register_keys
from rules_service.storage.database import Database
from tests.support.builders import THREE_FINDINGS, claim_document
from tests.support.exchanges import FORM, Exchanges
from tests.support.governance import RULE_SET, Tenant, new_tenant
from tests.support.receiver import Receiver
from tests.support.server import PACKS, ROOT, Server
from tests.support.waiting import ended

NEW = "example_new_plan"
NDJSON, X12, FHIR = "application/x-ndjson", "application/edi-x12", "application/fhir+json"
FILE_837 = (ROOT / "openapi/examples/claims.837").read_text()
FINDINGS = claim_document(lines=THREE_FINDINGS)
CLEAN = claim_document()
EXPIRED = claim_document(lines=THREE_FINDINGS[:1], received_at="2027-02-01T10:00:00-05:00")
MUE = "HCPCS/CPT Code,DME Supplier Services MUE Values,MUE Adjudication Indicator\n" + "".join(
    f"E{number:04d},{number % 5 + 1},{number % 2 + 1}\n" for number in range(100, 160)
)
BASE_CLAIM = (PACKS / RULE_SET / "claims/office-visit.yaml").read_text().replace("EXAMPLE01", "EXAMPLE03")
RULE = "rules/filed-after-sixty-days"
NEW_PACK = {
    "pack.yaml": f"""\
id: {NEW}
title: Example new plan (illustrative)
evidence: illustrative
scope:
  layer: payer
  payer_ids: [EXAMPLE03]
description: An invented plan. It is nobody's real policy.
payers:
- {{payer_id: EXAMPLE03, name: Example New Plan}}
sources:
- {{id: illustration, title: Illustration by this project; no payer published this policy}}
""",
    "claims/office-visit.yaml": BASE_CLAIM,
    f"{RULE}/rule.yaml": """\
id: EX3-TF-001
name: filed-after-sixty-days
title: Claim filed after sixty days
kind: filing_limit
category: timely filing
level: line
stage: stable
versions:
- version: 1
  effective_from: 2026-01-01
  reason: 60 days from the date of service.
  citations:
  - {source: illustration}
  parameters:
    clocks:
    - submissions: [original]
      anchors: [line_from]
      limit: {value: 60, unit: calendar_days}
    - submissions: [corrected]
      anchors: [original_remit]
      limit: {value: 60, unit: calendar_days}
    - submissions: [secondary]
      anchors: [primary_adjudication]
      limit: {value: 60, unit: calendar_days}
    warn_within_days: [7]
scope: {policy_date: service_date}
""",
    f"{RULE}/cases.yaml": """\
rule: EX3-TF-001
base: claims/office-visit.yaml
cases:
- name: first day of version 1, filed too late
  expect:
  - {code: tf.expired, version: 1, carc: 29}
  service_date: 2026-01-01
- name: a claim of last week
  expect: []
  service_date: 2026-11-20
""",
    f"{RULE}/rule.md": (PACKS / RULE_SET / "rules/filed-after-ninety-days/rule.md").read_text(),
}


def tour(server: Server, receiver: Receiver) -> Exchanges:
    """Every operation at least once."""
    told = Exchanges()
    tenant = new_tenant(server)
    _about(told, tenant)
    _claims(told, tenant)
    _evaluations(told, tenant)
    _jobs(told, tenant)
    _policy(told, tenant)
    drafting = new_tenant(server, packs=("national_baseline",), samples=False)
    _drafts(told, drafting)
    _change_requests(told, drafting)
    _editions(told, drafting)
    _webhooks(told, drafting, receiver)
    _audit(told, drafting)
    return told


def _about(told: Exchanges, tenant: Tenant) -> None:
    ehr, everyone = tenant["ehr"], tenant["everyone"]
    for operation in ("livez", "readyz", "version", "oauthMetadata", "fhirMetadata", "discoverCdsServices"):
        told.send(ehr, operation)
    told.send(everyone, "metrics")
    told.send(ehr, "getCapabilities")
    for operation in ("listFindingCodes", "listPayers", "listRuleSets", "listRuleKinds", "listFacts", "listReferenceTables"):
        told.send(everyone, operation)
    told.send(everyone, "getPayer", payer_id="EXAMPLE01")
    told.send(everyone, "listEditions", name="place_of_service")
    _token(told, tenant)


def _token(told: Exchanges, tenant: Tenant) -> None:
    from tests.api.test_oauth import RSA, TYPE, claims, public, signed  # the keys of its tests

    database = Database(tenant.server.url)
    try:
        client_id, _ = add_client(database, tenant.tenant_id, "backend", ("claims:validate",), "tests")
        register_keys(database, tenant.tenant_id, client_id, public(RSA), "tests")
    finally:
        database.close()
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": TYPE,
        "client_assertion": signed(claims(tenant, client_id)),
    }
    told.send(tenant["ehr"], "issueToken", body=form, media=FORM)


def _claims(told: Exchanges, tenant: Tenant) -> None:
    ehr = tenant["ehr"]
    told.send(ehr, "validateClaim", "findings", body=FINDINGS)
    told.send(ehr, "validateClaim", "clean", body=CLEAN)
    told.send(ehr, "validateClaim", "explained", body=claim_document(lines=THREE_FINDINGS[2:]), query={"explain": "full"})
    told.send(ehr, "validateClaimBatch", body={"claims": [CLEAN, EXPIRED]})
    lines = "".join(json.dumps(one) + "\n" for one in (CLEAN, {"claim_type": "professional"}))
    told.send(ehr, "validateClaimBatch", "lines", body=lines, media=NDJSON)
    told.send(ehr, "validateX12Claims", body=FILE_837, media=X12)
    told.send(ehr, "validateX12Claims", "acknowledged", body=FILE_837, media=X12, headers={"Accept": X12})
    bundle = json.loads((ROOT / "openapi/examples/fhir-claim-bundle.json").read_text())
    for media in (FHIR, "application/json"):
        told.send(ehr, "validateFhirClaim", body=bundle, media=media)
    told.send(ehr, "checkServices", body=json.loads((ROOT / "openapi/examples/service-check.json").read_text()))
    call = json.loads((ROOT / "openapi/examples/cds-order-sign.json").read_text())
    (card, *_) = told.send(ehr, "callCdsService", body=call, id="order-sign").json()["cards"]
    reason = {"reason": {"code": card["overrideReasons"][0]["code"]}}
    taken = {"card": card["uuid"], "outcome": "accepted", "acceptedSuggestions": [{"id": card["suggestions"][0]["uuid"]}]}
    told.send(ehr, "sendCdsFeedback", "accepted", body={"feedback": [taken]}, id="order-sign")
    feedback = {
        "card": card["uuid"],
        "outcome": "overridden",
        "overrideReason": reason,
        "outcomeTimestamp": "2026-11-26T10:00:00-05:00",
    }
    told.send(ehr, "sendCdsFeedback", body={"feedback": [feedback]}, id="order-sign")
    told.send(tenant["everyone"], "getRuleAdvice", rule_id="EX1-PA-001")


def _evaluations(told: Exchanges, tenant: Tenant) -> None:
    ehr, everyone = tenant["ehr"], tenant["everyone"]
    evaluation = told.send(ehr, "validateClaim", "expired", body=EXPIRED).json()
    one = {"evaluation_id": evaluation["evaluation_id"]}
    (finding,) = evaluation["findings"]
    waiver = {"finding_id": finding["finding_id"], "reason_code": finding["override_reasons"][0], "expires_on": _in_days(60)}
    waiver_id = told.send(ehr, "giveWaiver", body=waiver, **one).json()["waiver_id"]
    told.send(ehr, "listWaivers")
    told.send(ehr, "endWaiver", body={"reason": "The payer's report was lost."}, waiver_id=waiver_id)
    told.send(ehr, "listEvaluations", query={"limit": "2"})
    told.send(ehr, "searchEvaluations", body={"patient_control_number": EXPIRED["patient_control_number"]})
    told.send(ehr, "getEvaluation", **one)
    told.send(ehr, "explainEvaluation", **one)
    told.send(tenant["auditor"], "replayEvaluation", body={"mode": "reproduce"}, **one)
    told.send(everyone, "getEvaluationInput", **one)
    told.send(tenant["auditor"], "getEvidence", **one)
    hold = told.send(everyone, "placeLegalHold", body={"reason": "A case before the court.", "payer_id": "EXAMPLE01"}).json()
    told.send(everyone, "listLegalHolds")
    told.send(everyone, "releaseLegalHold", body={"reason": "The case is closed."}, hold_id=hold["hold_id"])
    told.send(everyone, "eraseEvaluationInput", body={"reason": "The patient asked for it."}, **one)


def _jobs(told: Exchanges, tenant: Tenant) -> None:
    ehr = tenant["ehr"]
    job = told.send(ehr, "createJob", body=json.dumps(CLEAN) + "\n" + json.dumps(EXPIRED) + "\n", media=NDJSON).json()
    ended(ehr, job)
    told.send(ehr, "getJob", job_id=job["job_id"])
    told.send(ehr, "getJobResults", job_id=job["job_id"])
    told.send(ehr, "createJob", "interchange", body=FILE_837, media=X12)
    told.send(ehr, "listJobs")
    many = "".join(json.dumps(CLEAN | {"patient_control_number": f"MANY-{number}"}) + "\n" for number in range(2_000))
    last = ehr.post("/v1/jobs", content=many, headers={"Content-Type": NDJSON}).json()
    told.send(ehr, "cancelJob", job_id=last["job_id"])


def _policy(told: Exchanges, tenant: Tenant) -> None:
    everyone, rule_set = tenant["everyone"], {"rule_set_id": RULE_SET}
    told.send(everyone, "getRuleSet", **rule_set)
    told.send(everyone, "listPublications", **rule_set)
    told.send(everyone, "getPublication", number="1", **rule_set)
    told.send(everyone, "resolveRuleSet", query={"policy_date": "2026-10-15"}, **rule_set)
    told.send(everyone, "getRuleHistory", rule_id="EX1-TF-001")
    told.send(everyone, "getPreviewReport", rule_id="EX1-TF-001")
    told.send(everyone, "setRequiredApprovals", body={"required_approvals": 2, "reason": "Two pairs of eyes."}, **rule_set)
    emergency = {"rule_id": "EX1-TF-001", "reason": "It denies claims the payer pays."}
    declared = told.send(tenant["publisher"], "declareEmergency", body=emergency, **rule_set).json()
    told.send(everyone, "listEmergencies", **rule_set)
    told.send(everyone, "listUpcomingChanges", query={"days": "30"})
    ending = {"reason": "The payer confirmed the rule."}
    told.send(tenant["publisher"], "withdrawEmergency", body=ending, emergency_id=declared["emergency_id"], **rule_set)


def _drafts(told: Exchanges, tenant: Tenant) -> None:
    author, rule_set = tenant["author"], {"rule_set_id": NEW}
    told.send(author, "saveDraft", body={"files": NEW_PACK}, headers={"If-Match": '"0"'}, **rule_set)
    told.send(author, "getDraft", **rule_set)
    told.send(author, "checkDraft", **rule_set)
    told.send(author, "testDraft", **rule_set)
    claim = claim_document(payer={"payer_id": "EXAMPLE03"}, lines=THREE_FINDINGS[:1])
    told.send(author, "tryDraft", body=claim, **rule_set)
    span = {"from": "2026-01-01T00:00:00Z", "sample": 1_000}
    ended(author, told.send(author, "analyseImpact", body=span, **rule_set).json())
    told.send(author, "analyseImpact", "claims", body=json.dumps(claim) + "\n", media=NDJSON, **rule_set)
    told.send(author, "analyseImpact", "interchange", body=FILE_837, media=X12, **rule_set)


def _change_requests(told: Exchanges, tenant: Tenant) -> None:
    author, reviewer, publisher = tenant["author"], tenant["reviewer"], tenant["publisher"]
    asked = {"rule_set_id": NEW, "title": "A filing limit of 60 days", "reason": "The plan's manual, section 4."}
    request = told.send(author, "openChangeRequest", body=asked).json()
    one = {"change_request_id": request["change_request_id"]}
    told.send(author, "listChangeRequests")
    told.send(author, "submitChangeRequest", **one)
    told.send(author, "recallChangeRequest", body={"reason": "A word is missing."}, **one)
    submitted = told.send(author, "submitChangeRequest", **one).json()
    verdict = {"verdict": "approve", "content_sha256": submitted["content_sha256"], "comment": "As the manual says."}
    told.send(reviewer, "reviewChangeRequest", body=verdict, **one)
    told.send(publisher, "scheduleChangeRequest", body={"at": "2099-01-01T00:00:00Z"}, **one)
    told.send(publisher, "unscheduleChangeRequest", **one)
    told.send(publisher, "publishChangeRequest", **one)
    told.send(author, "getChangeRequest", **one)
    _second_publication(told, tenant)
    told.send(publisher, "rollBackRuleSet", body={"to": 1, "reason": "The plan took its change back."}, rule_set_id=NEW)
    told.send(author, "diffRuleSet", query={"from": "1", "to": "2"}, rule_set_id=NEW)


def _second_publication(told: Exchanges, tenant: Tenant) -> None:
    """A change that is withdrawn and discarded, then the same one published."""
    author, path = tenant["author"], f"/v1/rule-sets/{NEW}/draft"
    for is_wanted in (False, True):
        draft = author.get(path)
        saved = author.put(path, json={"files": _changed(draft.json()["files"])}, headers={"If-Match": draft.headers["etag"]})
        assert saved.json()["valid"], saved.text
        asked = {"rule_set_id": NEW, "title": "90 days from 2027", "reason": "The plan's notice of November."}
        one = {"change_request_id": author.post("/v1/change-requests", json=asked).json()["change_request_id"]}
        if not is_wanted:
            told.send(author, "withdrawChangeRequest", body={"reason": "It is not wanted."}, **one)
            told.send(author, "discardDraft", headers={"If-Match": saved.headers["etag"]}, rule_set_id=NEW)
            continue
        submitted = told.send(author, "submitChangeRequest", **one).json()
        verdict = {"verdict": "approve", "content_sha256": submitted["content_sha256"], "comment": "As the notice says."}
        told.send(tenant["reviewer"], "reviewChangeRequest", body=verdict, **one)
        told.send(tenant["publisher"], "publishChangeRequest", **one)


def _changed(files: dict[str, str]) -> dict[str, str]:
    """The pack with a second version of its rule."""
    rule, first = files[f"{RULE}/rule.yaml"], files[f"{RULE}/rule.yaml"].index("- version: 1")
    version = rule[first : rule.index("scope: {policy_date")]
    second = (
        version.replace("version: 1", "version: 2")
        .replace("2026-01-01", "2027-01-01")
        .replace("value: 60", "value: 90")
        .replace("60 days", "90 days")
    )
    kept = version.replace("effective_from: 2026-01-01\n", "effective_from: 2026-01-01\n  effective_through: 2026-12-31\n")
    late = "service_date: {day}\n  received_at: 2027-06-01T10:00:00-05:00\n"
    cases = (
        "- name: last day of version 1\n  expect:\n  - {code: tf.expired, version: 1}\n  "
        + late.format(day="2026-12-31")
        + "- name: first day of version 2\n  expect:\n  - {code: tf.expired, version: 2}\n  "
        + late.format(day="2027-01-01")
        + "- name: in time under version 2\n  expect: []\n  service_date: 2027-01-01\n  received_at: 2027-01-10T10:00:00-05:00\n"
    )
    return files | {
        f"{RULE}/rule.yaml": rule[:first] + second + kept + rule[first + len(version) :],
        f"{RULE}/cases.yaml": files[f"{RULE}/cases.yaml"] + cases,
    }


def _editions(told: Exchanges, tenant: Tenant) -> None:
    publisher, table = tenant["publisher"], {"name": "ncci_mue_dme_supplier"}
    query = {"edition": "2026Q3", "coverage_from": "2026-07-01", "coverage_through": "2026-09-30", "file_name": "mue.csv"}
    told.send(publisher, "loadEdition", "first", body=MUE, media="text/plain", query=query, **table)
    later = query | {"edition": "2026Q4", "coverage_from": "2026-10-01", "coverage_through": "2026-12-31"}
    request = told.send(publisher, "loadEdition", "later", body=MUE.replace("E0100,1", "E0100,2"), media="text/plain", query=later, **table)
    told.send(tenant["reviewer"], "getProposedEdition", change_request_id=request.json()["change_request_id"])


def _webhooks(told: Exchanges, tenant: Tenant, receiver: Receiver) -> None:
    manager = tenant["everyone"]
    body = {"url": receiver.url(), "events": ["rule_set.published", "job.finished"], "description": "Our scrubber"}
    made = told.send(manager, "createWebhookEndpoint", body=body)
    one = {"endpoint_id": made.json()["endpoint_id"]}
    told.send(manager, "listWebhookEndpoints")
    told.send(manager, "getWebhookEndpoint", **one)
    told.send(manager, "testWebhookEndpoint", **one)
    receiver.wait("webhook.test")
    sent = _delivered(told, tenant, one["endpoint_id"])
    told.send(manager, "redeliverWebhook", message_id=sent, **one)
    tag = manager.get(f"/v1/webhook-endpoints/{one['endpoint_id']}").headers["etag"]
    told.send(manager, "changeWebhookEndpoint", body={"events": ["rule_set.published"]}, headers={"If-Match": tag}, **one)
    told.send(manager, "rotateWebhookSecret", **one)
    told.send(manager, "removeWebhookEndpoint", **one)


def _delivered(told: Exchanges, tenant: Tenant, endpoint_id: str) -> str:
    """The id of the message, once its arrival is noted."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = tenant["everyone"].get(f"/v1/webhook-endpoints/{endpoint_id}/deliveries", params={"state": "delivered"})
        if found.json()["data"]:
            told.send(tenant["everyone"], "listWebhookDeliveries", endpoint_id=endpoint_id)
            return str(found.json()["data"][0]["message_id"])
        time.sleep(0.1)
    raise AssertionError("the message did not arrive")


def _audit(told: Exchanges, tenant: Tenant) -> None:
    auditor = tenant["auditor"]
    told.send(auditor, "listAuditEvents", query={"limit": "2"})
    checkpoint = told.send(auditor, "getAuditCheckpoint").json()
    told.send(auditor, "verifyAuditLog", body={"checkpoints": [checkpoint]})
    told.send(auditor, "verifyEvaluations", body={"seals": []})
    told.send(auditor, "exportAuditLog")


def _in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
