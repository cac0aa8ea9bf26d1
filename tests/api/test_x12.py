"""837 files over real HTTP: results with their segments, and the simulated 277CA."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from rules_service.formats.x12.segments import segments
from tests.formats.test_837 import BILLING, CLAIM, STAY, SUBSCRIBER, file, hospital
from tests.formats.test_acknowledgment import found, statuses, validated
from tests.support.server import Server

X12 = {"Content-Type": "application/edi-x12"}


@pytest.fixture
def client(server: Server) -> httpx.Client:
    return server.client()


def post(client: httpx.Client, body: bytes, **headers: str) -> httpx.Response:
    return client.post("/v1/x12/837/validate", content=body, headers={**X12, **headers})


def results(client: httpx.Client, body: bytes) -> list[dict[str, Any]]:
    answer = post(client, body)
    assert answer.status_code == 200, answer.text
    return answer.json()["evaluations"]  # type: ignore[no-any-return]


def test_each_result_names_the_segment_of_its_claim_and_of_each_finding(client: httpx.Client) -> None:
    sick = (
        CLAIM.replace("CLM*PCN-1001", "CLM*PCN-1002").replace("HI*ABK:J069~", "HI*ABK:J069*ABF:Z9999999~")
        + "LX*2~SV1*HC:P9213*10*UN*0***7~DTP*472*D8*20301120~"
    )
    body = file(BILLING, SUBSCRIBER, CLAIM, sick)
    first, second = results(client, body)
    at = {segment.number: segment for segment in segments(body)}
    assert [at[one["segment"]].get(1) for one in (first, second)] == ["PCN-1001", "PCN-1002"]
    assert second["evaluation"]["findings"]
    expected = {"/diagnoses/1/code": "HI", "/service_lines/1/unit_count": "SV1", "/service_lines/1/diagnosis_pointers": "SV1", "/service_lines/1/service_from": "DTP", "/providers/billing/address": "N4"}  # fmt: skip
    seen = set()
    for one in second["evaluation"]["findings"]:
        place = second["places"][one["finding_id"]]
        segment = at[place["segment"]]
        assert segment.offset == place["byte"]
        pointer = one["location"]["json_pointer"]
        if pointer in expected:
            seen.add(pointer)
            assert segment.name == expected[pointer], pointer
            if pointer.startswith("/service_lines/1"):
                assert place["segment"] > next(
                    number for number, other in at.items() if other.name == "LX" and other.get(1) == "2" and number > second["segment"]
                )
    assert len(seen) >= 4, [one["location"]["json_pointer"] for one in second["evaluation"]["findings"]]


def test_a_claim_that_cannot_be_read_fails_alone(client: httpx.Client) -> None:
    bad, good = results(client, file(BILLING, SUBSCRIBER, CLAIM.replace("*150***", "*SECRET***"), CLAIM))
    assert (bad["status"], bad["places"], good["status"]) == (422, {}, 200)
    assert "SECRET" not in str(bad)
    body = file(BILLING, SUBSCRIBER, CLAIM.replace("*150***", "*SECRET***").replace("PCN-1001", "PCN-BAD"), CLAIM)
    returned = client.post(
        "/v1/x12/837/validate", content=body, headers={"Content-Type": "application/edi-x12", "Accept": "application/edi-x12"}
    )
    numbers = [one.get(2) for one in found(returned.content, "TRN") if one.get(1) == "2"]
    assert {"PCN-BAD", "PCN-1001"} <= set(numbers), "the one that could not be read is named as it was sent"
    assert b"SECRET" not in returned.content


def test_an_institutional_claim_is_judged_by_the_rules_of_its_type(client: httpx.Client) -> None:
    (result,) = results(client, hospital(BILLING, SUBSCRIBER.replace("PI*EXAMPLE01", "PI*MEDA"), STAY))
    rules = {pin["rule_set_id"] for pin in result["evaluation"]["pins"]["publications"]}
    assert "medicare_part_a" in rules
    assert all((one["location"]["x12"] or "").partition("/")[2][:3] != "SV1" for one in result["evaluation"]["findings"])


def test_accept_asks_for_a_simulated_277ca(client: httpx.Client) -> None:
    body = file(
        BILLING.replace("NM1*85*2*", "NM1*85*1*"),
        SUBSCRIBER,
        CLAIM,
        CLAIM.replace("*150***", "*SECRET***"),
        CLAIM.replace("LX*1~SV1*HC:P9213*150", "LX*1~SV1*HC:P9213*149"),
    )
    answer = post(client, body, Accept="application/edi-x12")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/edi-x12")
    validated(answer.content)
    assert b"SECRET" not in answer.content
    assert len(found(answer.content, "TRN")) == 6
    assert [action for _, action in statuses(answer.content)[2:5]] == ["WQ", "U", "U"]
    assert found(answer.content, "ISA")[0].get(15) == "T"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/EDI-X12", "application/edi-x12"), ("text/html, application/edi-x12; q=0.5", "application/edi-x12"),
        ("application/edi-x12;q=0, application/json", "application/json"), ("*/*", "application/json"),
        ("application/json, application/edi-x12;q=0.5", "application/json"), ("application/json;q=0.5, application/edi-x12;q=0.9", "application/edi-x12"),
        ("application/*, application/edi-x12;q=0.4", "application/json"), ("application/edi-x12;q=much, */*;q=0.1", "application/json"),
    ],
)  # fmt: skip
def test_accept_is_read_as_http_says(client: httpx.Client, accept: str, media: str) -> None:
    answer = client.post(
        "/v1/x12/837/validate", content=file(BILLING, SUBSCRIBER, CLAIM), headers={"Content-Type": "application/edi-x12", "Accept": accept}
    )
    assert answer.headers["content-type"] == media


@pytest.mark.parametrize("accept", ["text/html", "application/edi-x12;q=much", "application/json;q=0, application/edi-x12;q=0"])
def test_who_takes_no_form_that_is_offered_is_told_before_a_claim_is_judged(client: httpx.Client, accept: str) -> None:
    answer = post(client, file(BILLING, SUBSCRIBER, CLAIM), Accept=accept, **{"Idempotency-Key": f"not acceptable {accept}"})
    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
    assert "application/edi-x12" in answer.json()["detail"]
    other = post(client, file(BILLING, SUBSCRIBER, CLAIM, CLAIM.replace("1001", "1002")), **{"Idempotency-Key": f"not acceptable {accept}"})
    assert (other.status_code, "idempotent-replayed" in other.headers) == (200, False), "nothing was kept under the key"


def test_a_file_that_cannot_be_read_is_a_problem_also_when_a_277ca_was_asked_for(client: httpx.Client) -> None:
    answer = post(client, b"ISA*", Accept="application/edi-x12")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
