"""Thousands of damaged bodies: against the readers, and against a running server. Read and judged or refused, never anything else."""

import copy
import json
import random
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from rules_service.formats.fhir.claims import read_fhir
from rules_service.formats.native.json_claims import claim_of
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import InputError
from tests.formats.test_837 import BILLING, CLAIM, STAY, SUBSCRIBER, file, hospital
from tests.support.builders import THREE_FINDINGS, claim, claim_bytes
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import carried
from tests.support.server import Server, prepare, running

FHIR = json.dumps(write_fhir(carried(claim(lines=THREE_FINDINGS)))).encode()
PIECES = [
    b"~",
    b"*",
    b":",
    b"^",
    b"HL*",
    b"CLM*",
    b"~LX*1~",
    b"~SE*1*1~",
    b"ISA",
    b"{",
    b"}",
    b"[",
    b'"',
    b",",
    b"null",
    b"\\ud800",
    b"\x00",
    b"\xff",
    b"9" * 30,
]


def damaged(body: bytes, draw: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(draw.randint(1, 6)):
        at = draw.randrange(len(changed))
        piece = draw.choice(PIECES) if draw.random() < 0.5 else bytes(draw.randrange(256) for _ in range(draw.randint(0, 5)))
        changed[at : at + draw.randint(0, 12)] = piece
    return bytes(changed)


ODD = ["", "0", "-1", "99999", "9999999999.99", "1e9", "2026-02-30", "2026-11-20", "0001-01-01", "A1", "59", "Ünïcode", "\u202e", "x" * 300, 0, 1.5, True, None, [], {}, [""], ["59", "59"]]  # fmt: skip
"""Values put in the place of others, so that the body stays JSON."""


def altered(body: bytes, draw: random.Random) -> bytes:
    """JSON in which a few values are others, or gone."""
    document = json.loads(body)
    for _ in range(draw.randint(1, 3)):
        place, key = document, None
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw.choice(keys)
            if not isinstance(place[key], (dict, list)) or draw.random() < 0.1:
                break
            place = place[key]
        if key is not None and keys:
            if isinstance(place, dict) and draw.random() < 0.2:
                del place[key]
            else:
                place[key] = copy.deepcopy(draw.choice(ODD))
    return json.dumps(document).encode()


@pytest.mark.deep
@pytest.mark.parametrize(
    ("reader", "body"),
    [
        (claim_of, claim_bytes(lines=THREE_FINDINGS)),
        (read_837, file(BILLING, SUBSCRIBER, CLAIM * 3)),
        (read_837, hospital(BILLING, SUBSCRIBER, STAY * 2)),
        (read_fhir, FHIR),
    ],
    ids=["json", "837p", "837i", "fhir"],
)
def test_damaged_bodies(reader, body: bytes) -> None:  # type: ignore[no-untyped-def]
    draw = random.Random(11)
    refused = 0
    for _ in range(20_000):
        try:
            reader(damaged(body, draw))
        except InputError as error:
            refused += 1
            assert error.issues
            assert "SAMPLE" not in str(error)
    assert refused > 1_000


INPUTS = 6_000
"""Of each form."""
GROWTH_KB = 150_000
"""How much memory the server may hold more at the end than after the first tenth: stored evaluations are not held, caches have an end."""
FORMS = {
    "json": ("/v1/claims/validate", "application/json", claim_bytes(lines=THREE_FINDINGS)),
    "ndjson": ("/v1/claims/validate-batch", "application/x-ndjson", b"\n".join([claim_bytes(lines=THREE_FINDINGS)] * 3)),
    "837p": ("/v1/x12/837/validate", "application/edi-x12", file(BILLING, SUBSCRIBER, CLAIM * 3)),
    "837i": ("/v1/x12/837/validate", "application/edi-x12", hospital(BILLING, SUBSCRIBER, STAY * 2)),
    "fhir": ("/fhir/Claim/$validate-policy", "application/fhir+json", FHIR),
}


def held(server: Server) -> int:
    """Resident memory of the server's process, in kB."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{server.process.pid}/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.deep
def test_damaged_bodies_over_http_are_judged_or_refused_and_never_a_fault(new_url: Callable[[str], str], tmp_path: Path) -> None:
    url = new_url("sqlite")
    with running(url, prepare(url), tmp_path) as server:

        def send(form: str, seed: int, many: int) -> Counter[int]:
            path, media, body = FORMS[form]
            draw, found = random.Random(f"{form}/{seed}"), Counter[int]()
            with httpx.Client(
                base_url=server.base_url, headers={"Authorization": f"Bearer {server.key}"}, timeout=30, trust_env=False
            ) as client:
                for _ in range(many):
                    is_json = form in ("json", "fhir") and draw.random() < 0.7
                    answer = client.post(path, content=(altered if is_json else damaged)(body, draw), headers={"Content-Type": media})
                    found[answer.status_code] += 1
                    assert answer.status_code < 500, (form, seed, answer.text)
                    if answer.status_code >= 400:
                        assert "SAMPLE" not in answer.text, (form, seed)
                    elif form not in ("json", "fhir"):  # each claim has a status of its own
                        assert not re.search(r'"status":5\d\d', answer.text), (form, seed, answer.text)
            return found

        def all_forms(first: int, many: int) -> dict[str, Counter[int]]:
            with ThreadPoolExecutor(len(FORMS)) as pool:
                return dict(zip(FORMS, pool.map(lambda form: send(form, first, many), FORMS), strict=True))

        all_forms(1, INPUTS // 10)
        before = held(server)
        answered = all_forms(2, INPUTS - INPUTS // 10)
        growth = held(server) - before
        assert server.client().get("/readyz").status_code == 200
    assert growth < GROWTH_KB, f"{growth} kB more"
    for form, found in answered.items():
        assert found[200] > 100, (form, found)
        if form != "ndjson":  # its lines are refused one by one, in an answer of 200
            assert sum(count for status, count in found.items() if 400 <= status < 500) > 100, (form, found)
