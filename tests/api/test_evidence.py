"""Searching for evaluations, their seals, and the evidence file of one, over HTTP on both databases."""

from __future__ import annotations

import base64
import hashlib
import io
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from rules_service.workflow.merkle import leaf_hash
from tests.support.governance import LATE, Tenant, new_tenant, past_change, refused, validate
from tests.support.merkle import root_of_inclusion
from tests.support.server import ROOT, Server
from tests.support.waiting import ended

EXPIRED = LATE | {"received_at": "2027-02-01T10:00:00-05:00"}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


def listed(tenant: Tenant, **wanted: Any) -> list[str]:
    answer = tenant["auditor"].get("/v1/evaluations", params=wanted)
    assert answer.status_code == 200, answer.text
    return [one["evaluation_id"] for one in answer.json()["data"]]


def sealed(tenant: Tenant, evaluation_id: str) -> dict[str, Any]:
    """The members of the evidence file once the evaluation is sealed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        members = evidence(tenant, evaluation_id)
        if members["seal.json"] is not None:
            return members
        time.sleep(0.2)
    raise AssertionError("the evaluation was not sealed")


def evidence(tenant: Tenant, evaluation_id: str) -> dict[str, Any]:
    answer = tenant["auditor"].get(f"/v1/evaluations/{evaluation_id}/evidence")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/zip"), answer.text
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = msgspec.json.decode(files["manifest.json"])
    assert manifest["sha256"] == {name: hashlib.sha256(body).hexdigest() for name, body in files.items() if name != "manifest.json"}
    return {name: msgspec.json.decode(body) for name, body in files.items()}


def test_evaluations_are_found_by_payer_outcome_claim_and_time(tenant: Tenant) -> None:
    first = validate(tenant, patient_control_number="A-1", **EXPIRED)
    second = validate(tenant, patient_control_number="A-2")
    elsewhere = validate(tenant, patient_control_number="A-3", payer={"payer_id": "NOBODY"})
    ids = [one["evaluation_id"] for one in (first, second, elsewhere)]
    assert listed(tenant) == list(reversed(ids))
    assert listed(tenant, payer="EXAMPLE01") == [ids[1], ids[0]]
    assert listed(tenant, outcome="findings") == [ids[0]]
    assert listed(tenant, lineage_id=first["lineage_id"]) == [ids[0]]
    assert listed(tenant, limit=1) == [ids[2]]
    assert listed(tenant, limit=1, before=ids[2]) == [ids[1]]
    assert listed(tenant, to="2020-01-01T00:00:00Z") == []
    assert listed(tenant, **{"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}) == list(reversed(ids))
    for wrong in ({"outcome": "bad"}, {"from": "yesterday"}, {"limit": "0"}, {"limit": "201"}, {"unknown": "1"}):
        refused(tenant["auditor"].get("/v1/evaluations", params=wrong), 400, "bad-request")


def test_evaluations_are_found_by_the_rule_that_found_something(tenant: Tenant) -> None:
    found = validate(tenant, **EXPIRED)["evaluation_id"]
    validate(tenant, patient_control_number="clean")
    sealed(tenant, found)
    assert listed(tenant, rule_id="EX1-TF-001") == [found]
    assert listed(tenant, rule_id="EX1-PA-001") == []


def test_a_control_number_is_searched_for_in_a_body_and_never_stands_in_a_url(tenant: Tenant, server: Server) -> None:
    ids = [validate(tenant, patient_control_number=number)["evaluation_id"] for number in ("PCN-7", "PCN-7", "PCN-8")]
    search = tenant["auditor"].post("/v1/evaluations/search", json={"patient_control_number": "PCN-7"})
    assert [one["evaluation_id"] for one in search.json()["data"]] == [ids[1], ids[0]]
    assert (
        tenant["auditor"]
        .post("/v1/evaluations/search", params={"outcome": "findings"}, json={"patient_control_number": "PCN-7"})
        .json()["data"]
        == []
    )
    refused(tenant["auditor"].get("/v1/evaluations", params={"patient_control_number": "PCN-7"}), 400, "bad-request")
    assert new_tenant(server)["auditor"].post("/v1/evaluations/search", json={"patient_control_number": "PCN-7"}).json()["data"] == []


def test_the_evidence_file_says_which_rules_judged_the_claim_and_who_approved_them(tenant: Tenant) -> None:
    tenant.edit(past_change())
    approved = tenant.approved()
    tenant.act("publisher", approved, "publication")
    judged = validate(tenant, **LATE)
    members = sealed(tenant, judged["evaluation_id"])
    assert members["evaluation.json"]["findings"] == judged["findings"]
    assert (members["evaluation.json"]["patient_control_number"], members["input.json"]) == (
        None,
        {"input_sha256": judged["pins"]["input_sha256"], "is_erased": False},
    )
    folder = "publications/example_commercial_ppo-2"
    assert members[f"{folder}/publication.json"]["sha256"] == next(
        one["sha256"] for one in judged["pins"]["publications"] if one["rule_set_id"] == "example_commercial_ppo"
    )
    rules = {(one["content"]["rule_id"], one["window"]["version"]): one["content"] for one in members[f"{folder}/rules.json"]}
    assert rules["EX1-TF-001", 3]["citations"][0]["title"].startswith("Illustration")
    approvals = members[f"{folder}/approvals.json"]
    assert approvals["change_request"]["change_request_id"] == approved["change_request_id"]
    assert [review["verdict"] for review in approvals["reviews"]] == ["approve"]
    assert not {review["reviewer"] for review in approvals["reviews"]} & set(approvals["authors"])
    assert [msgspec.json.decode(event["body"])["action"] for event in approvals["audit_events"]][-1] == "change_request.published"
    assert members["publications/national_baseline-1/approvals.json"]["change_request"] is None, "it was loaded"


def test_the_evidence_file_proves_its_evaluation_to_be_in_the_signed_seal(tenant: Tenant) -> None:
    for number in range(5):
        judged = validate(tenant, patient_control_number=f"S-{number}", **EXPIRED)
    proof = sealed(tenant, judged["evaluation_id"])["seal.json"]
    leaf = leaf_hash(proof["leaf"].encode())
    assert leaf.hex() == proof["leaf_hash"]
    path = [bytes.fromhex(step) for step in proof["audit_path"]]
    top = root_of_inclusion(leaf, proof["position"], proof["seal"]["leaves"], path)
    assert top is not None
    assert top.hex() == proof["seal"]["root"]
    told = msgspec.json.decode(proof["leaf"])
    assert (told["evaluation_id"], told["input_sha256"]) == (judged["evaluation_id"], judged["pins"]["input_sha256"])


def test_the_evidence_file_holds_nothing_of_the_patient_and_asking_for_it_is_an_audit_event(tenant: Tenant) -> None:
    judged = validate(tenant, patient_control_number="CNRY-PCN", **EXPIRED)
    answer = tenant["auditor"].get(f"/v1/evaluations/{judged['evaluation_id']}/evidence")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        texts = b"".join(archive.read(name) for name in archive.namelist())
    for secret in (b"CNRY-PCN", b"W123456789", b'SAMPLE"', b"JANE", b"1980-05-17"):
        assert secret not in texts
    event = tenant.events(action="evaluation.evidence_made")[-1]
    assert event["details"]["sha256"] == hashlib.sha256(answer.content).hexdigest()
    refused(new_tenant(tenant.server)["auditor"].get(f"/v1/evaluations/{judged['evaluation_id']}/evidence"), 404, "not-found")


def test_sealed_evaluations_verify_also_against_a_checkpoint_that_was_kept(tenant: Tenant) -> None:
    judged = [validate(tenant, patient_control_number=f"V-{number}") for number in range(3)]
    sealed(tenant, judged[-1]["evaluation_id"])
    kept = tenant["auditor"].get("/v1/audit/checkpoint").json()
    assert kept["seal"] >= 1
    body = {"seals": [{"number": kept["seal"], "hash": kept["seal_hash"]}]}
    started = tenant["auditor"].post("/v1/audit/verify-evaluations", json=body)
    assert started.status_code == 202, started.text
    done = ended(tenant["auditor"], started.json())
    assert (done["state"], done["result"]["holds"], done["result"]["evaluations"], done["result"]["head_hash"]) == (
        "succeeded", True, 3, kept["seal_hash"],
    )  # fmt: skip
    later = {"seals": [{"number": 99, "hash": "0" * 64}]}
    done = ended(tenant["auditor"], tenant["auditor"].post("/v1/audit/verify-evaluations", json=later).json())
    assert (done["result"]["holds"], done["result"]["why"]) == (False, "there are fewer seals than were kept")
    refused(tenant["auditor"].post("/v1/audit/verify-evaluations", json={"seals": [{"number": 0, "hash": "x"}]}), 422, "validation-error")


def test_an_evidence_file_is_verified_offline_and_every_change_of_it_is_found(tenant: Tenant, tmp_path: Path) -> None:
    tenant.edit(past_change())
    tenant.published()
    judged = validate(tenant, **EXPIRED)
    sealed(tenant, judged["evaluation_id"])
    file, kept = tmp_path / "evidence.zip", tmp_path / "checkpoint.json"
    whole = tenant["auditor"].get(f"/v1/evaluations/{judged['evaluation_id']}/evidence").content
    file.write_bytes(whole)
    whole_checkpoint = tenant["auditor"].get("/v1/audit/checkpoint").content
    kept.write_bytes(whole_checkpoint)

    def verified(*files: Path) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(ROOT / "docs/tools/verify_evidence.py"), *map(str, files)]
        return subprocess.run(script, capture_output=True, text=True, check=False)

    for files in ((file,), (file, kept)):
        good = verified(*files)
        assert (good.returncode, good.stdout.strip().endswith("signature verified: True")) == (0, True), good.stdout + good.stderr
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}

    def changed(name: str, old: bytes, new: bytes, mend_manifest: bool = True) -> str:
        assert old in members[name], (name, old)
        other = {**members, name: members[name].replace(old, new, 1)}
        if mend_manifest:
            hashes = {one: hashlib.sha256(body).hexdigest() for one, body in other.items() if one != "manifest.json"}
            other["manifest.json"] = msgspec.json.encode({"evaluation_id": judged["evaluation_id"], "sha256": hashes})
        with zipfile.ZipFile(file, "w") as archive:
            for member, body in other.items():
                archive.writestr(member, body)
        bad = verified(file)
        assert bad.returncode == 1, name
        return bad.stdout

    folder = "publications/example_commercial_ppo-2"
    assert "reference tables" in changed("reference_tables.json", b'"edition": "', b'"edition": "x')
    assert "not the publication" in changed(f"{folder}/publication.json", b'"manifest": {', b'"manifest": {"more": 1,')
    assert "a rule of" in changed(f"{folder}/rules.json", b'"title": "', b'"title": "Not ')
    assert "of another content" in changed(f"{folder}/approvals.json", b'"content_sha256": "', b'"content_sha256": "0')
    assert "no audit event" in changed(f"{folder}/approvals.json", b'"reviewer": "', b'"reviewer": "somebody else, ')
    assert "is not what its hash covers" in changed(f"{folder}/approvals.json", b'"prev_hash": "', b'"prev_hash": "0')
    seal = msgspec.json.decode(members["seal.json"])
    leaf_hashed, root = seal["leaf_hash"].encode(), seal["seal"]["root"].encode()
    assert "manifest" in changed("evaluation.json", b"deny_hard", b"warn", mend_manifest=False)
    assert "not the one that was sealed" in changed("evaluation.json", b"deny_hard", b"warn")
    assert "does not lead" in changed("seal.json", leaf_hashed, b"0" * 64)
    assert "does not lead" in changed("seal.json", root, b"0" * 64) or len(seal["audit_path"]) == 0
    assert "not what its hash covers" in changed("seal.json", seal["seal"]["prev_hash"].encode(), b"1" * 64)
    assert "signature" in changed("seal.json", seal["seal"]["signature"].encode(), base64.b64encode(bytes(64)))
    forged = msgspec.json.decode(kept.read_bytes()) | {"seal": seal["seal"]["number"], "seal_hash": "0" * 64}
    kept.write_bytes(msgspec.json.encode(forged))
    file.write_bytes(whole)
    assert "checkpoint" in verified(file, kept).stdout
    other_key = msgspec.json.decode(whole_checkpoint) | {"public_key": base64.b64encode(bytes(32)).decode()}
    kept.write_bytes(msgspec.json.encode(other_key))
    assert "another key" in verified(file, kept).stdout
