"""The audit log as an auditor uses it: pages, verification, checkpoints, export, and the script that verifies offline."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from rules_service.storage.database import Database
from tests.support.governance import RULE_SET, Tenant, future_change, new_tenant
from tests.support.server import ROOT, Server

SCRIPT = ROOT / "docs/tools/verify_audit_log.py"


@pytest.fixture
def tenant(server: Server) -> Tenant:
    found = new_tenant(server)
    found.edit(future_change())
    found.published()
    return found


def verify_offline(*paths: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", str(SCRIPT), *map(str, paths)], capture_output=True, text=True, check=False)


def test_events_are_paged_and_filtered(tenant: Tenant) -> None:
    first = tenant["auditor"].get("/v1/audit-events", params={"limit": 4}).json()
    assert [one["seq"] for one in first["data"]] == [first["data"][0]["seq"] - back for back in range(4)]
    second = tenant["auditor"].get("/v1/audit-events", params={"limit": 4, "before": first["next_before"]}).json()
    assert [one["seq"] for one in second["data"]] == [first["next_before"] - back for back in range(1, 5)]
    last = tenant["auditor"].get("/v1/audit-events", params={"limit": 200}).json()
    assert (last["data"][-1]["seq"], last["next_before"]) == (1, None)
    drafts = tenant["auditor"].get("/v1/audit-events", params={"object_type": "rule_set", "object_id": RULE_SET}).json()
    assert [one["event"]["action"] for one in drafts["data"]] == ["draft.checked", "draft.saved", "rule_set.loaded"]
    event = first["data"][0]["event"]
    assert (event["action"], event["reason"], event["details"]["number"]) == ("change_request.published", "The payer said so.", 2)
    assert event["request_id"]


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "201"}, {"before": "x"}, {"nobody": "1"}])
def test_a_page_that_cannot_be_is_refused(tenant: Tenant, params: dict) -> None:
    assert tenant["auditor"].get("/v1/audit-events", params=params).status_code == 400


def test_gov_09_a_tampered_row_is_named(tenant: Tenant) -> None:
    at = tenant.founded + 4
    database = Database(tenant.server.url)
    try:
        with database.engine.begin() as connection:
            if database.dialect == "sqlite":
                sql = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'audit_event_no_update'")).scalar_one()
                connection.execute(text("DROP TRIGGER audit_event_no_update"))
            else:
                connection.execute(text("ALTER TABLE audit_event DISABLE TRIGGER USER"))
            connection.execute(
                text("UPDATE audit_event SET actor = 'x' WHERE tenant_id = :t AND seq = :s"), {"t": tenant.tenant_id, "s": at}
            )
            connection.execute(text(sql if database.dialect == "sqlite" else "ALTER TABLE audit_event ENABLE TRIGGER USER"))
    finally:
        database.close()
    found = tenant["auditor"].post("/v1/audit/verify", json={}).json()
    assert (found["holds"], found["broken_at"], found["why"]) == (False, at, "a column differs from the event's content")
    assert tenant.events(action="audit.verified")[0]["details"] == {"broken_at": at, "events": tenant.founded + 6}


def test_a_checkpoint_kept_outside_is_held_against_the_log(tenant: Tenant) -> None:
    kept = tenant["auditor"].get("/v1/audit/checkpoint").json()
    assert kept["seq"] == tenant.founded + 6
    body = {"checkpoints": [{"seq": kept["seq"], "hash": kept["hash"]}]}
    assert tenant["auditor"].post("/v1/audit/verify", json=body).json()["holds"] is True
    forged = {"checkpoints": [{"seq": kept["seq"], "hash": "0" * 64}]}
    assert tenant["auditor"].post("/v1/audit/verify", json=forged).json()["broken_at"] == kept["seq"]
    later = {"checkpoints": [{"seq": 999, "hash": "0" * 64}]}
    assert tenant["auditor"].post("/v1/audit/verify", json=later).json()["why"] == "the log is shorter than a checkpoint kept of it"


def test_an_export_is_verified_offline_by_a_script_of_its_own(tenant: Tenant, tmp_path: Path) -> None:
    checkpoint, export = tmp_path / "checkpoint.json", tmp_path / "export.ndjson"
    checkpoint.write_bytes(tenant["auditor"].get("/v1/audit/checkpoint").content)
    export.write_bytes(tenant["auditor"].get("/v1/audit/export").content)
    assert tenant.events(action="audit.exported")
    good = verify_offline(export, checkpoint)
    assert (good.returncode, good.stdout) == (0, f"{tenant.founded + 7} events hold; 1 checkpoints, signatures verified of 1\n"), (
        good.stderr
    )
    lines = export.read_text().splitlines()
    for name, changed, told in (
        ("edited", [lines[0].replace("published", "publisheD"), *lines[1:]], "event 1 is not what its hash covers"),
        ("cut", lines[:-1], "the export was cut"),
        ("shortened", [*lines[:-2], lines[-1]], f"the export ends at event {tenant.founded + 6}"),
        ("without the second", [lines[0], *lines[2:]], "event 2 is missing"),
        ("swapped", [lines[1], lines[0], *lines[2:]], "event 1 is missing"),
    ):
        export.write_text("\n".join(changed) + "\n")
        bad = verify_offline(export, checkpoint)
        assert (bad.returncode, told in bad.stdout) == (1, True), (name, bad.stdout)
    export.write_text("\n".join(lines) + "\n")
    kept = json.loads(checkpoint.read_text())
    for name, change, told in (
        ("another hash", {"hash": "0" * 64}, "differs from the checkpoint"),
        ("another signature", {"signature": base64.b64encode(b"x" * 64).decode()}, "signature"),
        ("another tenant", {"tenant_id": "x"}, "signature"),
    ):
        checkpoint.write_text(json.dumps({**kept, **change}))
        bad = verify_offline(export, checkpoint)
        assert (bad.returncode, told in bad.stdout) == (1, True), (name, bad.stdout)


def test_every_transition_that_was_refused_is_in_the_log(tenant: Tenant) -> None:
    tenant["publisher"].post(f"/v1/rule-sets/{RULE_SET}/rollback", json={"to": 2, "reason": "Again"})
    event = tenant.events(action="rule_set.rolled_back.refused")[0]
    assert event["details"] == {"code": "state-conflict"}
