"""Files of claims judged by a job, over real HTTP on both databases: each claim once, in its place, also when the server is killed."""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from rules_service.primitives.scopes import ROLES
from rules_service.storage.database import Database
from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER, file
from tests.support.builders import THREE_FINDINGS, claim_bytes
from tests.support.server import Server, new_key, prepare, start
from tests.support.waiting import ended, results

NDJSON = {"Content-Type": "application/x-ndjson"}
X12 = {"Content-Type": "application/edi-x12"}


def send(client: httpx.Client, body: bytes, headers: dict[str, str] = NDJSON) -> dict[str, Any]:
    answer = client.post("/v1/jobs", content=body, headers=headers)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"/v1/jobs/{answer.json()['job_id']}"
    return answer.json()  # type: ignore[no-any-return]


def ndjson(count: int, **changes: Any) -> bytes:
    return b"\n".join(claim_bytes(patient_control_number=f"BULK-{number}", **changes) for number in range(count))


def test_every_claim_has_its_line_and_its_stored_evaluation(server: Server) -> None:
    client = server.client()
    body = ndjson(230) + b"\n" + b"{not a claim" + b"\n" + claim_bytes(patient_control_number="LAST", lines=THREE_FINDINGS)
    job = ended(client, send(client, body))
    assert (job["state"], job["done"], job["total"]) == ("succeeded", 232, 232)
    assert job["result"] == {"claims": 232, "outcomes": {"clean": 230, "findings": 1, "refused": 1}}
    lines = results(client, job)
    assert [one["index"] for one in lines] == list(range(232))
    assert (lines[230]["status"], lines[230]["problem"]["errors"][0]["code"]) == (422, "malformed_json")
    evaluation = lines[231]["evaluation"]
    assert (evaluation["patient_control_number"], [one["code"] for one in evaluation["findings"]]) == (
        "LAST",
        ["tf.at_risk", "ncci.ptp", "auth.missing"],
    )
    assert client.get(f"/v1/evaluations/{evaluation['evaluation_id']}").json() == evaluation
    assert "BULK-" not in str(job), "a job says nothing of its claims"


def test_readers_who_do_not_read_on_keep_nobody_from_the_database(server: Server) -> None:
    client = server.client()
    job = ended(client, send(client, ndjson(600, lines=THREE_FINDINGS)))
    with ExitStack() as open_readers:
        for _ in range(20):  # more than the pool has connections; each has far more to come than sockets buffer
            answer = open_readers.enter_context(server.client().stream("GET", f"/v1/jobs/{job['job_id']}/results"))
            assert next(answer.iter_lines())
        assert client.get("/readyz").status_code == 200
        assert len(results(client, job)) == 600
    assert client.get(f"/v1/jobs/{job['job_id']}").status_code == 200


def test_lines_after_a_byte_order_mark_are_read(server: Server) -> None:
    client = server.client()
    told = results(client, ended(client, send(client, b"\xef\xbb\xbf" + ndjson(2))))
    assert ["evaluation" in line for line in told] == [True, True]


def test_an_837_file_gives_its_segments(server: Server) -> None:
    client = server.client()
    job = ended(client, send(client, file(BILLING, SUBSCRIBER, *[CLAIM.replace("1001", str(2000 + number)) for number in range(120)]), X12))
    lines = results(client, job)
    assert (len(lines), lines[119]["evaluation"]["patient_control_number"], lines[0]["segment"]) == (120, "PCN-2119", 14)
    assert lines[1]["segment"] > lines[0]["segment"]


def test_a_finding_of_an_837_stands_at_the_segment_it_stands_at_when_the_file_is_answered_at_once(server: Server) -> None:
    client = server.client()
    sent = file(BILLING, SUBSCRIBER, CLAIM.replace("J069", "J069*ABF:Z9999999"), CLAIM.replace("*150***", "*SECRET***"))
    at_once = client.post("/v1/x12/837/validate", content=sent, headers=X12).json()["evaluations"]
    told = results(client, ended(client, send(client, sent, X12)))

    def places(line: dict[str, Any]) -> list[tuple[str, dict[str, int]]]:
        findings = line["evaluation"]["findings"]
        return sorted((one["code"], line["places"][one["finding_id"]]) for one in findings if one["finding_id"] in line["places"])

    assert places(told[0]) == places(at_once[0])
    assert len(places(told[0])) >= 1
    assert (told[1]["segment"], "places" in told[1]) == (at_once[1]["segment"], False)


def test_who_sends_claims_sees_the_jobs_of_its_own(server: Server) -> None:
    database = Database(server.url)
    mine, others = (server.client(new_key(database, "default", list(ROLES["ehr_client"]))) for _ in range(2))
    database.close()
    job = ended(mine, send(mine, ndjson(1)))
    assert len(results(mine, job)) == 1
    for path in ("", "/results"):
        assert others.get(f"/v1/jobs/{job['job_id']}{path}").status_code == 404
    assert others.post(f"/v1/jobs/{job['job_id']}/cancellation").status_code == 404
    assert job["job_id"] not in others.get("/v1/jobs").text
    assert job["job_id"] in mine.get("/v1/jobs").text
    assert job["job_id"] in server.client().get("/v1/jobs").text


@pytest.mark.parametrize(
    ("body", "headers", "status"), [(b"", NDJSON, 422), (b"ISA*", X12, 422), (b"{}", {"Content-Type": "text/plain"}, 415)]
)
def test_what_is_no_file_of_claims_makes_no_job(server: Server, body: bytes, headers: dict[str, str], status: int) -> None:
    client = server.client()
    before = len(client.get("/v1/jobs", params={"kind": "validate_claims"}).json()["data"])
    assert client.post("/v1/jobs", content=body, headers=headers).status_code == status
    assert len(client.get("/v1/jobs", params={"kind": "validate_claims"}).json()["data"]) == before


def test_a_file_over_the_limit_is_refused_before_it_is_read(server: Server) -> None:
    host, _, port = server.base_url.removeprefix("http://").partition(":")
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {1 << 40}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 413 ")


def test_a_cancelled_job_keeps_what_it_has_done(server: Server) -> None:
    client = server.client()
    job = send(client, ndjson(4_000))
    time.sleep(0.3)
    assert client.post(f"/v1/jobs/{job['job_id']}/cancellation").status_code == 200
    told = ended(client, job)
    assert told["state"] == "cancelled"
    lines = results(client, job)
    assert len(lines) < 4_000
    assert [one["index"] for one in lines] == list(range(len(lines)))


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_job_survives_kill_9_and_judges_each_claim_once(
    dialect: str, new_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    url, data = new_url(dialect), tmp_path_factory.mktemp("data")
    key = prepare(url)
    environment = {"JOB_LEASE_SECONDS": "2", "JOB_SECONDS": "0.2"}
    server = start(url, key, data, **environment)
    try:
        job = send(server.client(), ndjson(3_000))
        killed = 0
        deadline = time.monotonic() + 120
        while killed < 3 and time.monotonic() < deadline:
            found = server.client().get(f"/v1/jobs/{job['job_id']}").json()
            if found["state"] == "running" and found["done"] >= 300 * (killed + 1):
                server.kill()
                killed += 1
                server = start(url, key, data, **environment)
            time.sleep(0.02)
        told = ended(server.client(), job)
        assert (killed, told["state"], told["result"]["claims"]) == (3, "succeeded", 3_000)
        lines = results(server.client(), job)
    finally:
        server.kill()
    numbers = Counter(one["evaluation"]["patient_control_number"] for one in lines)
    assert len(numbers) == 3_000
    assert set(numbers.values()) == {1}
    database = Database(url)
    with database.reading() as connection:
        stored = connection.execute(text("SELECT count(*) FROM evaluation")).scalar_one()
        left = connection.execute(text("SELECT count(*) FROM job_upload")).scalar_one()
    database.close()
    assert (stored, left) == (3_000, 0), "no evaluation twice, and no claim left behind"
