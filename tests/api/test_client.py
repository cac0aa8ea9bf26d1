"""The typed client against a real server: every call, retries that do nothing twice, pages, and errors."""

from __future__ import annotations

import asyncio
import http.server
import json
import pickle
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from rules_service.claim.service_check import ServiceCheck
from rules_service.client import AsyncRulesClient, RulesClient, ServiceError
from rules_service.client.answers import Job, read
from rules_service.findings.evaluation import Evaluation
from rules_service.storage.database import Database
from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER, file
from tests.support.builders import THREE_FINDINGS, claim, claim_bytes, claim_document
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import carried
from tests.support.server import ROOT, Server
from tests.support.x12_writer import write_837


@pytest.fixture
def client(server: Server) -> Iterator[RulesClient]:
    with RulesClient(server.base_url, server.key) as opened:
        yield opened


def test_a_claim_as_structure_or_as_data_gives_a_typed_evaluation(client: RulesClient) -> None:
    for one in (claim(lines=THREE_FINDINGS), claim_document(lines=THREE_FINDINGS)):
        evaluation = client.validate(one)
        assert isinstance(evaluation, Evaluation)
        assert [finding.code for finding in evaluation.findings] == ["tf.at_risk", "ncci.ptp", "auth.missing"]
        assert str(evaluation.total_amount_at_risk) == "300.00"
        assert client.evaluation(evaluation.evaluation_id or "") == evaluation
    assert client.validate(claim(), dry_run=True).evaluation_id is None
    assert client.explanation(evaluation.evaluation_id or "")["rules"]


def test_the_same_key_gives_the_same_evaluation(client: RulesClient) -> None:
    first, again = (client.validate(claim(), idempotency_key="client-once") for _ in range(2))
    assert first == again


def test_many_claims_files_and_resources(client: RulesClient) -> None:
    good, bad = client.validate_batch([claim(), {"claim_type": "professional"}])
    assert (good.status, good.evaluation is not None, bad.status, bad.problem is not None) == (200, True, 422, True)
    (result,) = client.validate_x12(file(BILLING, SUBSCRIBER, CLAIM))
    assert (result.segment, result.evaluation is not None) == (14, True)
    found = result.evaluation.findings if result.evaluation is not None else ()
    assert set(result.places) == {finding.finding_id for finding in found}
    assert client.acknowledge_x12(file(BILLING, SUBSCRIBER, CLAIM)).startswith(b"ISA*")
    assert client.validate_fhir(write_fhir(carried(claim())))["resourceType"] == "OperationOutcome"
    assert "professional" in client.capabilities()["claim_types"]
    check = {"payer": {"payer_id": "EXAMPLE01"}, "service_date": "2026-12-01", "services": [{"procedure_code": "P7001"}]}
    assert client.check_services(check).services[0].authorization == "auth-needed"
    assert ServiceCheck.__struct_fields__


def test_an_id_stays_in_its_place_of_the_path(client: RulesClient) -> None:
    with pytest.raises(ServiceError) as refused:
        client.evaluation("../capabilities")
    assert refused.value.problem.status == 404


def test_a_job_is_waited_for_and_its_results_are_streamed(client: RulesClient) -> None:
    body = b"\n".join([claim_bytes(patient_control_number=f"C-{number}") for number in range(120)] + [b"{"])
    job = client.wait_for_job(client.create_job(body).job_id, every=0.05)
    assert (job.state, job.result) == ("succeeded", {"claims": 121, "outcomes": {"clean": 120, "refused": 1}})
    lines = list(client.job_results(job.job_id))
    assert ([one.index for one in lines], lines[120].problem is not None) == (list(range(121)), True)
    with pytest.raises(ServiceError) as refused:
        client.cancel_job(job.job_id)
    assert refused.value.problem.status == 409
    with pytest.raises(ServiceError):
        list(client.job_results("nothing"))


def test_pages_follow_one_another(client: RulesClient) -> None:
    made = {client.validate(claim()).evaluation_id for _ in range(5)}
    listed = []
    for one in client.evaluations(limit="2"):
        listed.append(one.evaluation_id)
        if made <= set(listed):
            break
    assert made <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_refusal_is_an_error_that_says_what_and_where_and_nothing_of_the_claim(client: RulesClient) -> None:
    document = claim_document() | {"total_charge_amount": "SECRET"}
    with pytest.raises(ServiceError) as refused:
        client.validate(document)
    assert (refused.value.problem.status, refused.value.problem.errors[0]["pointer"]) == (422, "/total_charge_amount")
    assert refused.value.request_id
    assert "SECRET" not in str(refused.value)
    with pytest.raises(httpx.TransportError), RulesClient("http://127.0.0.1:9", "x", retries=1) as nobody:
        nobody.capabilities()


def test_a_refusal_in_fhir_says_what_and_where_too(client: RulesClient) -> None:
    resource = write_fhir(carried(claim()))
    one = next(entry["resource"] for entry in resource["entry"] if entry["resource"]["resourceType"] == "Claim")
    one["use"] = "preauthorization"
    with pytest.raises(ServiceError) as refused:
        client.validate_fhir(resource)
    problem = refused.value.problem
    assert problem.status == 422
    assert problem.errors[0]["code"] == "fhir.preauthorization"
    assert problem.errors[0]["pointer"].startswith(("Claim", "Bundle"))
    assert problem.detail == problem.errors[0]["message"]
    assert problem.detail in str(refused.value)


def test_an_answer_of_something_between_is_an_error_of_its_own() -> None:
    class Portal(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>Sign in</html>")

        def log_message(self, *_: Any) -> None:
            pass

    portal = http.server.HTTPServer(("127.0.0.1", 0), Portal)
    threading.Thread(target=portal.serve_forever, daemon=True).start()
    with RulesClient(f"http://127.0.0.1:{portal.server_port}", "x") as lost, pytest.raises(ServiceError, match="not the service's"):
        lost.evaluation("ev_1")
    portal.shutdown()
    portal.server_close()


def test_a_refusal_passes_between_processes(client: RulesClient) -> None:
    with pytest.raises(ServiceError) as refused:
        client.evaluation("ev_nothing")
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.problem, again.request_id) == (str(refused.value), refused.value.problem, refused.value.request_id)


def test_what_a_newer_service_adds_is_passed_over(client: RulesClient) -> None:
    evaluation = client.validate(claim(lines=THREE_FINDINGS), dry_run=True)
    told = httpx.Response(200, content=client._http.post("/v1/claims/validate", params={"mode": "dry_run"}, content=claim_bytes(lines=THREE_FINDINGS), headers={"Content-Type": "application/json"}).content).json()  # fmt: skip
    told["new"] = told["findings"][0]["new"] = told["findings"][0]["location"]["new"] = {"a": 1}
    assert [one.code for one in read(Evaluation, json.dumps(told).encode()).findings] == [one.code for one in evaluation.findings]


class _Flaky(http.server.BaseHTTPRequestHandler):
    """Stands before a server and loses or refuses every first try of a request."""

    target = ""
    key = ""
    tries: dict[str, int] = {}
    mode = "lost"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.headers.get("Idempotency-Key", self.path)
        self.tries[name] = self.tries.get(name, 0) + 1
        headers = {
            key: value
            for key, value in self.headers.items()
            if key.lower() in ("accept", "content-type", "authorization", "idempotency-key")
        }
        is_first = self.tries[name] == 1
        if is_first and self.mode == "busy":
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        answer = httpx.post(self.target + self.path, content=body, headers=headers, trust_env=False)
        if is_first:
            self.connection.close()  # it was judged and stored, and the answer is lost
            return
        self.send_response(answer.status_code)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def flaky(server: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Handler", (_Flaky,), {"target": server.base_url, "tries": {}, "mode": request.param})
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{proxy.server_address[1]}"
    proxy.shutdown()
    proxy.server_close()


CALLS: dict[str, Callable[[RulesClient, dict[str, Any]], Any]] = {
    "claim": lambda client, one: client.validate(one),
    "batch": lambda client, one: client.validate_batch([one]),
    "837": lambda client, one: client.validate_x12(write_837(one)),
    "277CA": lambda client, one: client.acknowledge_x12(write_837(one)),
    "FHIR": lambda client, one: client.validate_fhir(write_fhir(one)),
    "job": lambda client, one: client.create_job(json.dumps(one).encode()),
}


@pytest.mark.parametrize("flaky", ["lost", "busy"], indirect=True)
@pytest.mark.parametrize("how", CALLS)
def test_a_lost_answer_is_asked_for_again_and_stored_once(flaky: str, server: Server, client: RulesClient, how: str) -> None:
    one = carried(claim(patient_control_number=f"ONCE-{uuid.uuid4().hex[:12]}"))
    with RulesClient(flaky, server.key) as losing:
        answer = CALLS[how](losing, one)
    if isinstance(answer, Job):
        client.wait_for_job(answer.job_id, every=0.05)
    lineage = client.validate(one, dry_run=True).lineage_id
    database = Database(server.url)
    with database.reading() as connection:
        query = text("SELECT count(*) FROM evaluation WHERE lineage_id = :one")
        assert connection.execute(query, {"one": lineage}).scalar_one() == 1
    database.close()


@pytest.mark.parametrize("flaky", ["lost"], indirect=True)
def test_what_may_not_be_sent_twice_is_not(flaky: str, server: Server) -> None:
    with RulesClient(flaky, server.key) as client, pytest.raises(httpx.TransportError):
        client.cancel_job("jb_nothing")


def test_the_asynchronous_client_says_the_same(server: Server, client: RulesClient) -> None:
    async def talk() -> None:
        async with AsyncRulesClient(server.base_url, server.key) as other:
            evaluation = await other.validate(claim(lines=THREE_FINDINGS))
            assert [one.code for one in evaluation.findings] == ["tf.at_risk", "ncci.ptp", "auth.missing"]
            job = await other.wait_for_job((await other.create_job(claim_bytes())).job_id, every=0.05)
            assert [one.status async for one in other.job_results(job.job_id)] == [200]
            seen = [one.evaluation_id async for one in other.evaluations(limit="200")]
            assert evaluation.evaluation_id in seen
            with pytest.raises(ServiceError):
                await other.evaluation("nothing")

    asyncio.run(talk())
    assert {name for name in dir(RulesClient) if not name.startswith("_")} ^ {
        name for name in dir(AsyncRulesClient) if not name.startswith("_")
    } == {"close", "aclose"}


def test_the_code_of_the_docs_does_what_it_says(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/client.md").read_text(), re.DOTALL)
    (tmp_path / "claims.837").write_bytes(file(BILLING, SUBSCRIBER, CLAIM, CLAIM.replace("*150***", "*SECRET***")))
    monkeypatch.chdir(tmp_path)
    copied = code.replace("https://rules.example.org", server.base_url)
    exec(copied, {"api_key": server.key, "claim": claim(lines=THREE_FINDINGS)})  # what a reader copies
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told] == ["tf.at_risk", "ncci.ptp", "auth.missing", "0", "1"]
    assert ("Evaluation(" in told[3], "x12.amount" in told[4], "SECRET" in "".join(told)) == (True, True, False)
