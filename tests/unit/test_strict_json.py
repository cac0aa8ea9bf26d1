"""Bodies that are not strict JSON, or not a claim, are refused with a pointer and a mend, and nothing of them is repeated."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.claim.codec import encode_json
from rules_service.formats.native.json_claims import claim_of
from rules_service.primitives.errors import InputError, InvalidClaim, MalformedBody
from tests.support.builders import SMALL, claim, claim_bytes, claim_document

GOOD = claim_bytes()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"a":' * 50_000,
        GOOD + b"x",
        GOOD[:-1],
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b'"150.00"', b"NaN", 1),
        GOOD.replace(b'"150.00"', b"Infinity", 1),
        GOOD.replace(b"PCN-1001", b"\xff"),
        GOOD.replace(b"PCN-1001", b"\\ud800"),
        GOOD.replace(b"PCN-1001", b"a\\u0000b"),
        GOOD.replace(b'"claim_type"', b'"claim_type":"dental","claim_type"', 1),
        GOOD.replace(b'"npi"', b'"npi":"1","npi"', 1),
        b"\x00" + GOOD,
    ],
)
def test_what_is_not_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises((MalformedBody, InvalidClaim)) as error:
        claim_of(body)
    assert error.value.issues
    assert all(issue.message and issue.mend for issue in error.value.issues)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"surprise_SECRET": 1}, "", "unknown_field"),
        ({"total_charge_amount": 150.0}, "/total_charge_amount", "wrong_form"),
        ({"total_charge_amount": "SECRET"}, "/total_charge_amount", "wrong_form"),
        ({"claim_type": "SECRET"}, "/claim_type", "unknown_value"),
        ({"received_at": "2026-11-23T10:00:00"}, "/received_at", "no_offset"),
        ({"received_at": "SECRET"}, "/received_at", "wrong_form"),
        ({"received_at": "2026-11-23"}, "/received_at", "wrong_form"),
        ({"lines": [{"service_from": "2026-02-30"}]}, "/service_lines/0/service_from", "wrong_form"),
        ({"lines": [{"diagnosis_pointers": ["SECRET"]}]}, "/service_lines/0/diagnosis_pointers/0", "wrong_type"),
        ({"lines": [{"line_number": True}]}, "/service_lines/0/line_number", "wrong_type"),
        ({"lines": [{}, {"line_number": 1}]}, "/service_lines/1/line_number", "line_number_twice"),
        ({"service_lines": []}, "/service_lines", "no_service_lines"),
        ({"lines": [{"modifiers": ["A", "B", "C", "D", "E"]}]}, "/service_lines/0/modifiers", "too_many_modifiers"),
        ({"lines": [{"unit_count": "-1"}]}, "/service_lines/0/unit_count", "negative_units"),
        ({"payer": None}, "", "missing_field"),
        (
            {"diagnoses": [{"sequence": 1, "code": "J06.9", "type": "principal"}, {"sequence": 1, "code": "I10", "type": "secondary"}]},
            "/diagnoses/1/sequence",
            "diagnosis_sequence",
        ),
    ],
)
def test_what_is_no_claim_says_where(changes: dict, pointer: str, code: str) -> None:
    with pytest.raises(InvalidClaim) as error:
        claim_of(claim_bytes(**changes))
    issue = error.value.issues[0]
    assert (issue.where, issue.code) == (pointer, code)
    assert "SECRET" not in str(error.value)


def test_an_escaped_backslash_before_u0000_is_text_and_no_nul() -> None:
    assert claim_of(GOOD.replace(b"PCN-1001", b"a\\\\u0000b")).patient_control_number == "a\\u0000b"


def test_codes_are_brought_to_one_spelling() -> None:
    read = claim(
        lines=[{"procedure_code": " p9213 ", "modifiers": ["lt"], "service_through": None}],
        diagnoses=[{"sequence": 1, "code": "j069", "type": "principal"}],
    )
    line = read.service_lines[0]
    assert (line.procedure_code, line.modifiers, read.diagnoses[0].code, line.service_through) == (
        "P9213",
        ("LT",),
        "J06.9",
        line.service_from,
    )


def test_equal_claims_give_equal_bytes() -> None:
    spelled = json.dumps({key: claim_document()[key] for key in reversed(list(claim_document()))}, indent=3).replace('"150.00"', '"150.0"')
    assert encode_json(claim_of(spelled.encode())) == encode_json(claim())


def test_the_canonical_bytes_read_back_as_the_same_claim() -> None:
    assert claim_of(encode_json(claim())) == claim()


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_body_is_read_or_refused_and_never_anything_else(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        claim_of(bytes(body))
    except InputError as error:
        assert error.issues
        assert SMALL["subscriber"]["last_name"] not in str(error)
