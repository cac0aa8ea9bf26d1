"""Thousands of damaged bodies against the readers: read or refused, never anything else."""

import json
import random

import pytest

from rules_service.formats.fhir.claims import read_fhir
from rules_service.formats.native.json_claims import claim_of
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import InputError
from tests.formats.test_837 import BILLING, CLAIM, STAY, SUBSCRIBER, file, hospital
from tests.support.builders import THREE_FINDINGS, claim, claim_bytes
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import carried

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
