"""Raw bytes no caller should send: a problem document each, no 5xx, nothing echoed, and the server goes on."""

import socket

import httpx
import pytest

from tests.support.builders import claim_bytes
from tests.support.server import Server

SECRET = "SECRETVALUE"
GOOD = claim_bytes()
X12 = b"ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*1200*^*00501*000000001*0*P*:~"

BODIES: list[tuple[str, str, bytes, int]] = [
    ("/v1/claims/validate", "application/json", b"", 400),
    ("/v1/claims/validate", "application/json", b"{", 400),
    ("/v1/claims/validate", "application/json", b"null", 422),
    ("/v1/claims/validate", "application/json", b"[]", 422),
    ("/v1/claims/validate", "application/json", GOOD + b"x", 400),
    ("/v1/claims/validate", "application/json", b"\xff" + GOOD, 400),
    ("/v1/claims/validate", "application/json", b"[" * 200_000, 422),
    ("/v1/claims/validate", "application/json", b'{"a":' * 100_000, 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"150.00"', b"NaN", 1), 400),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"150.00"', b"1e999", 1), 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b"PCN-1001", b"\\ud800"), 400),
    ("/v1/claims/validate", "application/json", GOOD.replace(b"PCN-1001", b"a\\u0000"), 400),
    ("/v1/claims/validate", "application/json", GOOD.replace(b"PCN-1001", b"a\x00"), 400),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"npi"', b'"npi":"' + SECRET.encode() + b'","npi"', 1), 400),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"claim_type"', b'"' + SECRET.encode() + b'":1,"claim_type"', 1), 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"professional"', b'"' + SECRET.encode() + b'"', 1), 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"2026-11-20"', b'"' + SECRET.encode() + b'"', 1), 422),
    ("/v1/claims/validate", "text/plain", GOOD, 415),
    ("/v1/claims/validate", "", GOOD, 415),
    ("/v1/claims/validate", "application/json", b" " * (1 << 20) + GOOD, 413),
    ("/v1/claims/validate-batch", "application/json", b'{"claims": 1}', 422),
    ("/v1/claims/validate-batch", "application/json", b'{"claims": [], "claims": []}', 400),
    ("/v1/claims/validate-batch", "application/json", b'{"claims": [' + GOOD + b"], \"x\": 1}", 422),
    ("/v1/claims/validate-batch", "text/csv", GOOD, 415),
    ("/v1/claims/validate-batch", "application/x-ndjson", b" " * ((8 << 20) + 1), 413),
    ("/v1/x12/837/validate", "application/edi-x12", b"", 422),
    ("/v1/x12/837/validate", "application/edi-x12", b"ISA", 422),
    ("/v1/x12/837/validate", "application/edi-x12", X12, 422),
    ("/v1/x12/837/validate", "application/edi-x12", X12 + b"IEA*1*1~", 422),
    ("/v1/x12/837/validate", "application/edi-x12", X12 + b"GS*HC*A*B*20260101*1200*1*X*005010X222A1~ST*835*1~SE*2*1~GE*1*1~IEA*1*1~", 422),
    ("/v1/x12/837/validate", "application/edi-x12", X12 + b"GS*HC*A*B*20260101*1200*1*X*004010X098A1~ST*837*1~SE*2*1~GE*1*1~IEA*1*1~", 422),
    ("/v1/x12/837/validate", "application/edi-x12", X12 + b"GS*HC*A*B*20260101*1200*1*X*005010X222A1~ST*837*1~NM1*\x00~SE*3*1~GE*1*1~IEA*1*1~", 422),
    ("/v1/x12/837/validate", "application/json", X12, 415),
    ("/v1/x12/837/validate", "application/edi-x12", X12 + b"GS*HC*A*B*20260101*1200*1*X*005010X222A1~ST*837*1~" + b"CLM*A~" * 6_000 + b"SE*6002*1~GE*1*1~IEA*1*1~", 422),
    ("/v1/claims/validate-batch", "application/json", b'{"claims":["\xff"]}', 400),
    ("/v1/claims/validate-batch", "application/json", b'{"claims":[' + b"9" * 5_000 + b"]}", 400),
    ("/v1/claims/validate-batch", "application/json", b'{"claims":[' + b"[" * 960 + b"]" * 960 + b"]}", 400),
    ("/v1/claims/validate-batch", "application/x-ndjson", b"1\n" * 20_001, 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b"2026-11-20", b"9999-12-31"), 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b"2026-11-23T10:00:00-05:00", b"0001-01-01T00:00:00Z"), 422),
    ("/v1/claims/validate", "application/json", GOOD.replace(b'"150.00"', b'"99999999999.00"'), 422),
]  # fmt: skip


@pytest.mark.parametrize(("path", "media", "body", "status"), BODIES, ids=range(len(BODIES)))
def test_a_bad_body_gives_a_problem_that_echoes_nothing(server: Server, path: str, media: str, body: bytes, status: int) -> None:
    with server.client() as client:
        answer = client.post(path, content=body, headers={"Content-Type": media} if media else {})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["request-id"]
    if status in (400, 422):
        assert all(error["message"] and error["mend"] for error in problem["errors"])
        assert problem["errors"]
    for word in (SECRET, "JANE", "SAMPLE", "W123456789", "PCN-1001"):
        assert word not in answer.text


@pytest.mark.parametrize("query", ["mode=" + SECRET, "Mode=live", "mode=live&explain=" + SECRET])
def test_an_unknown_query_is_refused(server: Server, query: str) -> None:
    with server.client() as client:
        answer = client.post(f"/v1/claims/validate?{query}", content=GOOD, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert SECRET not in answer.text


@pytest.mark.parametrize("path", ["/v1/evaluations/a%00b", "/v1/rule-sets/a%00b/publications", "/v1/payers/", "/v1/claims/validate/"])
def test_an_odd_path_is_not_found(server: Server, path: str) -> None:
    with server.client() as client:
        answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_a_claim_of_999_lines_with_history_is_judged_or_refused_in_bounds(server: Server) -> None:
    lines = [{"procedure_code": "P1002"} for _ in range(999)]
    history = [
        {"status": "paid", "line": {"procedure_code": "P1001", "service_from": "2026-11-20", "rendering_npi": "1234567893"}}
        for _ in range(5_000)
    ]
    payer = {"payer_id": "MEDB", "line_of_business": "medicare"}
    with server.client() as client:
        for count, status in ((100, 200), (5_000, 422)):
            body = claim_bytes(lines=lines, payer=payer, context={"history": history[:count]})
            answer = client.post("/v1/claims/validate", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == status
            assert len(answer.content) < 5_000_000


def test_an_encoded_body_is_not_unpacked(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/claims/validate", content=GOOD, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
    assert answer.status_code == 415


def test_a_body_declared_too_large_is_refused_before_it_is_sent(server: Server) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            f"POST /v1/claims/validate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n".encode()
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_body_without_length_is_cut_off_at_the_limit(server: Server) -> None:
    def endless():  # type: ignore[no-untyped-def]
        for _ in range(64):
            yield b" " * (1 << 16)

    with server.client() as client:
        answer = client.post("/v1/claims/validate", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/claims/validate", 405), ("DELETE", "/v1/payers", 405), ("POST", "/livez", 405)]
)
def test_a_wrong_method_is_told(server: Server, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, server.base_url + path, headers={"Authorization": f"Bearer {server.key}"}, trust_env=False)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_nothing_of_a_claim_is_in_the_log(server: Server) -> None:
    with server.client() as client:
        for path, media, body, _ in BODIES[:20]:
            client.post(path, content=body, headers={"Content-Type": media} if media else {})
        client.post("/v1/claims/validate", content=GOOD, headers={"Content-Type": "application/json"})
    log = (server.data_dir / "server.log").read_text()
    for word in (SECRET, "JANE", "SAMPLE", "W123456789", "PCN-1001"):
        assert word not in log
