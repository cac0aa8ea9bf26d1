"""A request that is sent again under its idempotency key does nothing again: over real HTTP on both databases."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.formats.test_837 import BILLING, CLAIM, SUBSCRIBER, file
from tests.support.builders import claim, claim_bytes
from tests.support.fhir_writer import write_fhir
from tests.support.governance import refused
from tests.support.one_claim import carried
from tests.support.server import Server

NDJSON, X12 = "application/x-ndjson", "application/edi-x12"
Send = Callable[[list[bytes]], httpx.Response]


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


@pytest.fixture
def key() -> str:
    return f"again-{uuid.uuid4()}"


def one(number: int, **changes: Any) -> bytes:
    return claim_bytes(patient_control_number=f"AGAIN-{number}", **changes)


def x12(*numbers: int) -> bytes:
    return file(BILLING, SUBSCRIBER, *[CLAIM.replace("1001", str(number)) for number in numbers])


def told(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith(NDJSON):
        return [json.loads(line) for line in answer.text.splitlines()]
    document = answer.json()
    return list(document["results"] if "results" in document else document["evaluations"])


def ids(answer: httpx.Response) -> list[str]:
    return [one["evaluation"]["evaluation_id"] for one in told(answer)]


@pytest.mark.parametrize("form", ["application/json", NDJSON])
def test_a_batch_that_is_sent_again_finds_what_was_stored_and_does_the_rest(client: httpx.Client, key: str, form: str) -> None:
    def send(*claims: bytes) -> httpx.Response:
        body = b"\n".join(claims) if form == NDJSON else b'{"claims":[' + b",".join(claims) + b"]}"
        return client.post("/v1/claims/validate-batch", content=body, headers={"Content-Type": form, "Idempotency-Key": key})

    first = ids(send(one(1), one(2)))
    again = ids(send(one(1), one(2), one(3)))
    assert (again[:2], len(set(again))) == (first, 3)
    mixed = told(send(one(1), one(2, place_of_service_code="12"), b"{}"))
    assert [result["status"] for result in mixed] == [200, 422, 422]
    assert mixed[0]["evaluation"]["evaluation_id"] == first[0]
    assert mixed[1]["problem"]["type"] == "/problems/idempotency-key-reused"


def test_a_file_that_is_sent_again_gives_the_same_evaluations(client: httpx.Client, key: str) -> None:
    def send(body: bytes, **more: str) -> httpx.Response:
        return client.post("/v1/x12/837/validate", content=body, headers={"Content-Type": X12, "Idempotency-Key": key, **more})

    first = send(x12(2001, 2002))
    again = send(x12(2001, 2002))
    assert again.json() == first.json()
    assert ("idempotent-replayed" in first.headers, again.headers.get("idempotent-replayed")) == (False, "true")
    assert "idempotent-replayed" not in send(x12(2001, 2002, 2004)).headers, "one of its claims is new"
    assert ids(send(x12(2001, 2002, 2004)))[:2] == ids(first)
    acknowledged = [send(x12(2001, 2002), Accept=X12) for _ in range(2)]
    assert [one.status_code for one in acknowledged] == [200, 200]
    assert acknowledged[0].content == acknowledged[1].content, "control number and time are those of the evaluations"
    reused = send(x12(2002, 2001), Accept=X12)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused"), "no claim is returned for the sender's key"
    assert len({*ids(first), *ids(client.post("/v1/x12/837/validate", content=x12(2001), headers={"Content-Type": X12}))}) == 3


def test_a_fhir_claim_that_is_sent_again_gives_the_same_evaluation(client: httpx.Client, key: str) -> None:
    def send(**changes: Any) -> httpx.Response:
        body = write_fhir(carried(claim(payer={"payer_id": "EXAMPLE01"}, **changes)))
        return client.post(
            "/fhir/Claim/$validate-policy", json=body, headers={"Content-Type": "application/fhir+json", "Idempotency-Key": key}
        )

    first, again = send(), send()
    assert (again.headers["content-location"], again.content) == (first.headers["content-location"], first.content)
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    other = send(place_of_service_code="12")
    assert (other.status_code, other.json()["resourceType"]) == (422, "OperationOutcome")


def test_a_job_is_made_once_also_when_it_is_asked_for_twice_at_once(client: httpx.Client, key: str) -> None:
    def send(body: bytes, media: str = NDJSON) -> httpx.Response:
        return client.post("/v1/jobs", content=body, headers={"Content-Type": media, "Idempotency-Key": key})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(send, [one(1) + b"\n" + one(2)] * 8))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    refused(send(one(1)), 422, "idempotency-key-reused")


@pytest.mark.parametrize(
    ("path", "media"),
    [
        ("/v1/claims/validate-batch", "application/json"),
        ("/v1/x12/837/validate", X12),
        ("/fhir/Claim/$validate-policy", "application/fhir+json"),
        ("/v1/jobs", NDJSON),
    ],
)
def test_a_key_that_is_none_is_refused(client: httpx.Client, path: str, media: str) -> None:
    for unfit in ("", "x" * 256):
        assert client.post(path, content=b"", headers={"Content-Type": media, "Idempotency-Key": unfit}).status_code == 400, unfit
