"""PHI canaries: a token in every text of the claim, through the whole API; it stands in the answer's own places and in the encrypted table, nowhere else."""

from __future__ import annotations

import io
import itertools
import json
import typing
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from rules_service.claim.claim import Claim
from rules_service.facts.catalogue import _strip_optional
from rules_service.primitives.money import Money, Quantity
from rules_service.storage.database import Database
from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER
from tests.formats.test_837 import file as x12_file
from tests.support.governance import RULE_SET, Tenant, new_tenant
from tests.support.server import Server, prepare, running
from tests.support.waiting import ended

JSON = {"Content-Type": "application/json"}
BIRTH = "1931-04-17"
FIXED: dict[str, Any] = {
    # What routes and judges the claim, and says nothing of a person.
    "payer_id": "EXAMPLE01",
    "line_of_business": "commercial",
    "claim_type": "professional",
    "claim_frequency_code": "1",
    "received_at": "2026-12-20T10:00:00-05:00",
    "birth_date": BIRTH,
    "death_date": BIRTH,
    "diagnosis_pointers": [1],
    "line_number": 1,
    "sequence": 1,
}


def canaried(kind: Any, tokens: Iterator[str], name: str = "") -> Any:
    """A value of a type with a token of its own in every text."""
    kind = _strip_optional(kind)
    if name in FIXED:
        return FIXED[name]
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.encode_name: canaried(field.type, tokens, field.encode_name) for field in msgspec.structs.fields(kind)}
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return typing.get_args(kind)[0]
    if origin in (tuple, list):
        return [canaried(typing.get_args(kind)[0], tokens)]
    simple: dict[Any, Any] = {Money: "10.00", Quantity: "1", date: "2026-10-15", datetime: "2026-10-15T10:00:00-05:00", bool: True, int: 1}
    if kind in simple:
        return simple[kind]
    return next(tokens) if kind is str else {}


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, new_url: Callable[[str], str], tmp_path: Path) -> Iterator[Server]:
    url = new_url(request.param)
    with running(url, prepare(url), tmp_path / "data") as started:
        yield started


def test_what_a_claim_says_of_a_person_stands_in_no_log_table_metric_header_or_problem(server: Server) -> None:
    tenant = new_tenant(server)
    given = [f"CNRY{number:04d}Q" for number in range(600)]
    numbered = iter(given)
    claim = canaried(Claim, numbered)
    claim["context"]["history"] = []
    used = given[: given.index(next(numbered))]
    assert len(used) > 150
    control_number = claim["patient_control_number"]
    clean = msgspec.json.encode(claim)
    # The same claim with faults of many kinds, whose problems must not repeat it.
    broken = [clean[:-1], clean.replace(b'"10.00"', b'"ten"', 1), clean.replace(b'"line_number":1', b'"line_number":"CNRY9999Q"'),
              clean.replace(b'"claim_type"', b'"CNRY9998Q":"CNRY9997Q","claim_type"', 1), b"[" + clean + b"]", clean + b"CNRY9996Q"]  # fmt: skip
    outside: list[str] = []
    ehr, author, auditor = tenant["ehr"], tenant["author"], tenant["auditor"]
    answer = ehr.post("/v1/claims/validate", content=clean, headers={**JSON, "Idempotency-Key": "once"})
    assert answer.status_code == 200, answer.text
    evaluation = answer.json()
    assert evaluation["patient_control_number"] == control_number
    assert evaluation["findings"], "the canary claim must find something, or nothing is tested"
    outside.append(json.dumps({**evaluation, "patient_control_number": ""}) + str(answer.headers))
    path = f"/v1/evaluations/{evaluation['evaluation_id']}"
    assert ehr.get(path).content == answer.content
    again = ehr.post("/v1/claims/validate", content=clean, headers={**JSON, "Idempotency-Key": "once"})
    assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
    for body in broken:
        for where in ("/v1/claims/validate", f"/v1/rule-sets/{RULE_SET}/draft/evaluate"):
            refused = tenant["everyone"].post(where, content=body, headers=JSON)
            assert 400 <= refused.status_code < 500
            outside.append(refused.text + str(refused.headers))
    batch = ehr.post("/v1/claims/validate-batch", content=b'{"claims":[' + broken[1] + b"]}", headers=JSON)
    outside.append(batch.text)
    lines = ehr.post(
        "/v1/claims/validate-batch", content=clean + b"\n" + broken[1] + b"\n", headers={"Content-Type": "application/x-ndjson"}
    )
    assert lines.text.count(control_number) == 1
    dry = ehr.post("/v1/claims/validate?mode=dry_run", content=clean, headers=JSON)
    assert dry.json()["patient_control_number"] == control_number
    outside += [lines.text.replace(control_number, ""), dry.text.replace(control_number, "")]
    x12 = x12_with_canaries()
    for body in (
        x12,
        x12.replace(b"SV1*HC:", b"SV9*HC:"),
        x12.replace(b"DTP*472", b"DTP*999"),
        x12[:-60],
        x12.replace(b"*UN*1*", b"*UN*CNRY998*"),
    ):
        answered = ehr.post("/v1/x12/837/validate", content=body, headers={"Content-Type": "application/edi-x12"})
        assert answered.status_code in (200, 422), answered.text
        outside.append(answered.text.replace("CNRYPCN", "") + str(answered.headers))
    outside.append(ehr.get(f"{path}/explanation").text)
    outside.append(author.post(f"/v1/rule-sets/{RULE_SET}/draft/evaluate", content=clean, headers=JSON).text)
    outside.append(auditor.post(f"{path}/replay", json={"mode": "reproduce"}).text)
    outside.append(auditor.get("/v1/audit-events").text + auditor.get("/v1/audit/export").text)
    outside.append(tenant["everyone"].get("/metrics").text)
    outside += [one for asked in beyond_the_hot_path(tenant, evaluation, clean, control_number) for one in asked]
    told = "\n".join(outside) + (server.data_dir / "server.log").read_text()
    for token in (*used, BIRTH, "CNRY99", "CNRYX"):
        assert token not in told, token
    database = Database(server.url)
    try:
        with database.reading() as connection:
            names = text("SELECT name FROM sqlite_master WHERE type = 'table'") if database.dialect == "sqlite" else text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")  # fmt: skip
            tables = list(connection.execute(names).scalars())
            assert {"claim_body", "evaluation", "audit_event", "idempotency_record"} <= set(tables)
            stored = b"".join(
                value if isinstance(value, bytes) else bytes(value) if isinstance(value, memoryview) else str(value).encode()
                for table in tables
                for row in connection.execute(text(f"SELECT * FROM {table}"))
                for value in row
            )
    finally:
        database.close()
    for token in itertools.chain(used, (BIRTH, "CNRY99", "CNRYX", "CNRYPCN")):
        assert token.encode() not in stored, token
    for file in server.data_dir.rglob("*"):
        if file.is_file() and file.name != "server.log":
            assert control_number.encode() not in file.read_bytes(), file


def x12_with_canaries() -> bytes:
    """An 837P with a canary in every name, identifier, address and note."""
    billing = BILLING.replace("2******", "2*CNRYXORG*****").replace("123456789~", "CNRYXTAX~")
    subscriber = SUBSCRIBER.replace("SAMPLE*JANE", "CNRYXLAST*CNRYXFIRST").replace("W123456789", "CNRYXMEMBER")
    subscriber = subscriber.replace("~DMG", "~N3*CNRYXSTREET~N4*CNRYXCITY*TX*787010001~DMG")
    claim = CLAIM.replace("PCN-1001", "CNRYPCN").replace("~HI", "~REF*G1*CNRYXAUTH~NTE*ADD*CNRYXNOTE~HI")
    return x12_file(billing, subscriber, claim)


def beyond_the_hot_path(tenant: Tenant, evaluation: dict[str, Any], claim: bytes, control_number: str) -> Iterator[tuple[str, ...]]:
    """The answers of everything else that touches stored claims, but for the one that is there to show them."""
    path, everyone = f"/v1/evaluations/{evaluation['evaluation_id']}", tenant["everyone"]
    assert control_number in everyone.get(f"{path}/input").text
    found = everyone.post("/v1/evaluations/search", json={"patient_control_number": control_number})
    assert len(found.json()["data"]) == 2, "judged alone, and in a batch"
    yield found.text, str(found.url), everyone.get("/v1/evaluations").text
    for finding in evaluation["findings"]:
        for scope in ("finding", "standing"):
            waiver = {"finding_id": finding["finding_id"], "reason_code": (finding["override_reasons"] or ["none"])[0], "scope": scope,
                      "expires_on": (datetime.now(UTC) + timedelta(days=1)).date().isoformat()}  # fmt: skip
            yield (everyone.post(f"{path}/waivers", json=waiver).text,)
    yield (everyone.get("/v1/waivers").text,)
    tenant.edit({"pack.yaml": ("\ntitle: ", "\ntitle: Other ")})
    for body, media in ((b"{}", "application/json"), (claim + b"\n{}", "application/x-ndjson")):
        started = everyone.post(f"/v1/rule-sets/{RULE_SET}/draft/impact", content=body, headers={"Content-Type": media})
        assert started.status_code == 202, started.text
        done = ended(everyone, started.json())
        assert done["state"] == "succeeded"
        assert done["result"]["claims_judged"] >= 1
        yield json.dumps(done), everyone.get(f"/v1/jobs/{done['job_id']}/results").text
    yield (ended(everyone, everyone.post("/v1/audit/verify-evaluations", json={}).json())["state"], everyone.get("/v1/jobs").text)
    with zipfile.ZipFile(io.BytesIO(everyone.get(f"{path}/evidence").content)) as archive:
        yield tuple(archive.read(name).decode() for name in archive.namelist())


def test_an_erased_claim_takes_its_control_number_with_it_and_is_not_reproduced(server: Server) -> None:
    tenant = new_tenant(server)
    claim = canaried(Claim, iter([f"CNRY{number:04d}Q" for number in range(600)]))
    evaluation = tenant["ehr"].post("/v1/claims/validate", content=msgspec.json.encode(claim), headers=JSON).json()
    database = Database(server.url)
    try:
        with database.writing() as connection:
            connection.execute(text("DELETE FROM claim_body WHERE evaluation_id = :e"), {"e": evaluation["evaluation_id"]})
    finally:
        database.close()
    path = f"/v1/evaluations/{evaluation['evaluation_id']}"
    assert tenant["ehr"].get(path).json() == {**evaluation, "patient_control_number": None}
    replayed = tenant["auditor"].post(f"{path}/replay", json={"mode": "reproduce"}).json()
    assert (replayed["verdict"], replayed["reason"]) == ("cannot_reproduce", "input_erased")
