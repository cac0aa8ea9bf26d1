"""Stored claims over HTTP: read with a trace, erased, held by law, past their days, sealed anew with another key."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rules_service.services.acting import Actor
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.retention import Retention
from rules_service.storage import audit_log, jobs
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.job_queue import open_queue
from rules_service.workflow.audit_chain import Event, first_break
from tests.support.builders import claim_document
from tests.support.governance import LATE, Tenant, codes, new_tenant, refused, validate
from tests.support.server import ROOT, Server, prepare, running

DAY = timedelta(days=1)


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return new_tenant(server)


@pytest.fixture
def database(tenant: Tenant) -> Iterator[Database]:
    opened = Database(tenant.server.url)
    yield opened
    opened.close()


def claim_path(evaluation: dict[str, Any], what: str) -> str:
    return f"/v1/evaluations/{evaluation['evaluation_id']}/{what}"


def erase(tenant: Tenant, evaluation: dict[str, Any]) -> Any:
    return tenant["everyone"].post(claim_path(evaluation, "erasure"), json={"reason": "The patient asked for it."})


def test_the_claim_is_read_as_it_was_judged_and_each_read_is_an_audit_event(tenant: Tenant) -> None:
    judged = validate(tenant, **LATE)
    read = tenant["everyone"].get(claim_path(judged, "input"))
    assert read.status_code == 200
    assert read.json()["subscriber"]["member_id"] == claim_document()["subscriber"]["member_id"]
    assert [event["object_id"] for event in tenant.events(action="evaluation.input_read")] == [judged["evaluation_id"]]
    for person in ("ehr", "author", "reviewer", "publisher", "auditor"):
        refused(tenant[person].get(claim_path(judged, "input")), 403, "insufficient-scope")
    assert len(tenant.events(action="evaluation.input_read")) == 1


def test_an_erased_claim_is_gone_and_its_evaluation_stays(tenant: Tenant) -> None:
    judged = validate(tenant, **LATE)
    assert erase(tenant, judged).status_code == 204
    refused(tenant["everyone"].get(claim_path(judged, "input")), 410, "input-erased")
    refused(erase(tenant, judged), 410, "input-erased")
    read = tenant["ehr"].get(f"/v1/evaluations/{judged['evaluation_id']}").json()
    assert (read["patient_control_number"], codes(read)) == (None, codes(judged))
    replay = tenant["auditor"].post(claim_path(judged, "replay"), json={}).json()
    assert (replay["verdict"], replay["reason"]) == ("cannot_reproduce", "input_erased")
    event = tenant.events(action="evaluation.input_erased")[0]
    assert (event["object_id"], event["reason"]) == (judged["evaluation_id"], "The patient asked for it.")
    assert tenant["auditor"].post("/v1/audit/verify", json={}).json()["holds"] is True


@pytest.mark.parametrize("scope", ["lineage_id", "payer_id", "evaluated_from", "evaluated_through", "everything"])
def test_a_legal_hold_keeps_claims_until_it_is_released(tenant: Tenant, scope: str) -> None:
    judged = validate(tenant)
    today = datetime.now(UTC).date().isoformat()
    values = {
        "lineage_id": judged["lineage_id"],
        "payer_id": "EXAMPLE01",
        "evaluated_from": today,
        "evaluated_through": today,
        "everything": None,
    }
    hold = {"reason": "A court asked for it."} | ({} if scope == "everything" else {scope: values[scope]})
    placed = tenant["everyone"].post("/v1/legal-holds", json=hold)
    assert placed.status_code == 201, placed.text
    refused(erase(tenant, judged), 409, "legal-hold")
    released = tenant["everyone"].post(f"/v1/legal-holds/{placed.json()['hold_id']}/release", json={"reason": "It is over."})
    assert (released.status_code, released.json()["released_by"] is not None) == (200, True)
    refused(
        tenant["everyone"].post(f"/v1/legal-holds/{placed.json()['hold_id']}/release", json={"reason": "Again."}), 409, "state-conflict"
    )
    assert erase(tenant, judged).status_code == 204


def test_a_hold_of_something_else_keeps_nothing(tenant: Tenant) -> None:
    judged = validate(tenant)
    other = validate(tenant, patient_control_number="another")
    tomorrow = (datetime.now(UTC) + DAY).date().isoformat()
    for hold in (
        {"lineage_id": other["lineage_id"]},
        {"evaluated_from": tomorrow},
        {"payer_id": "EXAMPLE01", "evaluated_through": "2020-01-01"},
    ):
        assert tenant["everyone"].post("/v1/legal-holds", json={"reason": "Another case."} | hold).status_code == 201
    assert len(tenant["everyone"].get("/v1/legal-holds").json()["data"]) == 3
    assert erase(tenant, judged).status_code == 204


@pytest.mark.parametrize(
    ("hold", "code"),
    [
        ({"payer_id": "NOBODY"}, "unknown_payer"),
        ({"lineage_id": "li_0"}, "unknown_lineage"),
        ({"evaluated_from": "2026-02-02", "evaluated_through": "2026-02-01"}, "dates_swapped"),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(tenant: Tenant, hold: dict[str, str], code: str) -> None:
    problem = refused(tenant["everyone"].post("/v1/legal-holds", json={"reason": "A case."} | hold), 422, "validation-error")
    assert [error["code"] for error in problem["errors"]] == [code]
    assert tenant["everyone"].get("/v1/legal-holds").json()["data"] == []


def test_a_hold_by_any_name_of_a_payer_holds_its_claims_for_auditors_to_see(tenant: Tenant) -> None:
    judged = validate(tenant)
    placed = tenant["everyone"].post("/v1/legal-holds", json={"reason": "A case.", "payer_id": "example health"})
    assert (placed.status_code, placed.json()["payer_id"]) == (201, "EXAMPLE01"), placed.text
    refused(erase(tenant, judged), 409, "legal-hold")
    assert [one["hold_id"] for one in tenant["auditor"].get("/v1/legal-holds").json()["data"]] == [placed.json()["hold_id"]]


def test_an_erased_claim_has_no_explanation_any_more(tenant: Tenant) -> None:
    judged = validate(tenant)
    assert tenant["ehr"].get(f"/v1/evaluations/{judged['evaluation_id']}/explanation").status_code == 200
    assert erase(tenant, judged).status_code == 204
    refused(tenant["ehr"].get(f"/v1/evaluations/{judged['evaluation_id']}/explanation"), 410, "input-erased")


def keeper(database: Database, input_days: int = 400, audit_days: int = 3_653) -> tuple[Retention, Jobs]:
    work = Jobs(database, open_queue(database, 1), 60)
    return Retention(database, ClaimCipher([bytes(32)], bytes(32)), work, input_days, audit_days), work


def retained(database: Database, tenant: Tenant, **days: int) -> dict[str, Any]:
    """A day's retention, run here: the job is taken in the transaction that makes it, so that the server does not run it."""
    service, _ = keeper(database, **days)
    now = datetime.now(UTC)
    with database.writing() as connection:
        job_id = jobs.add(connection, tenant.tenant_id, "retention", {}, now, "tests", now)
        record = jobs.take(connection, tenant.tenant_id, job_id, "tests", now, 60)
    assert record is not None
    return dict(service._retain(JobRun(database, tenant.tenant_id, record, "tests", 60)))


def made_before(database: Database, evaluation: dict[str, Any], days: int) -> None:
    """The evaluation as if it had been made so many days ago."""
    with database.engine.begin() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(
                text(f"UPDATE evaluation SET evaluated_at = evaluated_at - interval '{days} days' WHERE evaluation_id = :e"),
                {"e": evaluation["evaluation_id"]},
            )
        else:
            sql = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'evaluation_no_update'")).scalar()
            connection.execute(text("DROP TRIGGER evaluation_no_update"))
            connection.execute(
                text(
                    f"UPDATE evaluation SET evaluated_at = strftime('%Y-%m-%d %H:%M:%f000', evaluated_at, '-{days} days') WHERE evaluation_id = :e"
                ),
                {"e": evaluation["evaluation_id"]},
            )
            connection.execute(text(str(sql)))


def test_claims_are_kept_for_their_days_and_no_longer_unless_held(tenant: Tenant, database: Database) -> None:
    young, old, held = (validate(tenant, patient_control_number=name) for name in ("young", "old", "held"))
    made_before(database, young, 399)
    for one in (old, held):
        made_before(database, one, 401)
    hold = tenant["everyone"].post("/v1/legal-holds", json={"reason": "A court asked.", "lineage_id": held["lineage_id"]})
    assert hold.status_code == 201
    assert retained(database, tenant)["claims_erased"] == 1
    found = [tenant["everyone"].get(claim_path(one, "input")).status_code for one in (young, old, held)]
    assert found == [200, 410, 200]
    assert retained(database, tenant)["claims_erased"] == 0
    event = tenant.events(action="retention.inputs_erased")[0]
    assert (event["actor"], event["details"]["claims"]) == ("schedule", 1)
    tenant["everyone"].post(f"/v1/legal-holds/{hold.json()['hold_id']}/release", json={"reason": "It is over."})
    assert retained(database, tenant)["claims_erased"] == 1


def test_the_audit_log_is_cut_at_its_beginning_and_what_is_left_verifies(tenant: Tenant, database: Database, tmp_path: Path) -> None:
    with database.reading() as connection:
        before, _ = audit_log.head(connection, tenant.tenant_id)
        kept_inside = audit_log.event(connection, tenant.tenant_id, before)
    with database.writing() as connection:  # events of years to come, after those of today
        for years in (3, 12):
            told = Event("tests", "rule_set.changed", "rule_set", "x", details={"years": years})
            audit_log.append(connection, tenant.tenant_id, datetime.now(UTC) + years * 365 * DAY, told)
    result = retained(database, tenant, audit_days=-4 * 365)
    assert result["audit_events_purged"] == before + 1, "what was told before the fourth year to come"
    verified = tenant["auditor"].post("/v1/audit/verify", json={}).json()
    assert verified["holds"] is True
    checkpoint = {"checkpoints": [{"seq": kept_inside.seq, "hash": kept_inside.hash}]}
    assert tenant["auditor"].post("/v1/audit/verify", json=checkpoint).json()["holds"] is True, "it was cut off: it can be held to nothing"
    with database.reading() as connection:
        base_seq, base_hash = audit_log.base(connection, tenant.tenant_id)
    for hashed, holds in ((base_hash, True), ("0" * 64, False)):
        body = {"checkpoints": [{"seq": base_seq, "hash": hashed}]}
        assert tenant["auditor"].post("/v1/audit/verify", json=body).json()["holds"] is holds
    export = tmp_path / "export.ndjson"
    export.write_bytes(tenant["auditor"].get("/v1/audit/export").content)
    script = [sys.executable, str(ROOT / "docs/tools/verify_audit_log.py"), str(export)]
    assert subprocess.run(script, capture_output=True, text=True, check=False).returncode == 0
    lines = export.read_text().splitlines()
    export.write_text("\n".join(lines[1:]) + "\n")
    assert subprocess.run(script, capture_output=True, text=True, check=False).returncode == 1, "the first event that is left was taken out"


def test_a_hold_keeps_the_audit_log_whole_and_triggers_keep_it_above_its_base(tenant: Tenant, database: Database) -> None:
    tenant["everyone"].post("/v1/legal-holds", json={"reason": "A court asked."})
    assert retained(database, tenant, audit_days=-1)["audit_events_purged"] == 0
    for statement in (
        "DELETE FROM audit_event WHERE tenant_id = :t",
        "UPDATE tenant SET audit_base_seq = audit_seq + 1 WHERE tenant_id = :t",
        "UPDATE tenant SET audit_base_seq = -1 WHERE tenant_id = :t",
    ):
        with pytest.raises(Exception, match=r"append-only|only rises"), database.engine.begin() as connection:
            connection.execute(text(statement), {"t": tenant.tenant_id})
    with database.reading() as connection:
        seq, hashed = audit_log.head(connection, tenant.tenant_id)
        assert first_break(audit_log.links(connection, tenant.tenant_id), seq, hashed) is None


def test_retention_is_made_once_a_day_for_each_tenant(tenant: Tenant, database: Database) -> None:
    service, work = keeper(database)
    for _ in range(3):
        service.ensure_daily()
    assert len(work.listed(Actor(tenant.tenant_id, "x", frozenset()), "retention", 10)) == 1


def keys(command: str, url: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rules_service.cli.main", "keys", command], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "DATABASE_URL": url, "DATA_DIR": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_the_claim_key_is_rotated_while_the_service_runs_and_no_claim_is_lost(
    dialect: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(dialect)
    key, folder = prepare(url), tmp_path / "data"
    with running(url, key, folder, JOB_SECONDS="0.2") as server:
        client = server.client()
        body, headers = json.dumps(claim_document()), {"Content-Type": "application/json"}
        judged = [client.post("/v1/claims/validate", content=body, headers=headers).json() for _ in range(30)]
        first = keys("status", url, folder)
        assert first.strip().endswith("(current)  30 claims, 0 webhook secrets")
        rotated = keys("rotate", url, folder)
        assert "current key" in rotated
        deadline = time.monotonic() + 60
        while not keys("status", url, folder).strip().endswith("(current)  30 claims, 0 webhook secrets") and time.monotonic() < deadline:
            time.sleep(0.3)
        status = keys("status", url, folder)
        assert status.strip().endswith("(current)  30 claims, 0 webhook secrets"), status
        assert status.split()[0] != first.split()[0]
        for one in judged:
            assert client.get(claim_path(one, "input")).status_code == 200
        replayed = client.post(claim_path(judged[0], "replay"), json={}).json()
        assert replayed["verdict"] == "reproduced"
        again = client.post("/v1/claims/validate", content=body, headers=headers).json()
        assert again["lineage_id"] == judged[0]["lineage_id"], "lineages are keyed apart, and stay"
    assert (folder / "claim.key").stat().st_mode & 0o077 == 0
