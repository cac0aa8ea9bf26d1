"""Builders of claims for tests: the smallest useful claim, with changes by keyword."""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.formats.native.json_claims import claim_of

SMALL: dict[str, Any] = {
    "claim_type": "professional",
    "patient_control_number": "PCN-1001",
    "claim_frequency_code": "1",
    "received_at": "2026-11-23T10:00:00-05:00",
    "payer": {"payer_id": "EXAMPLE01", "line_of_business": "commercial", "claim_filing_indicator_code": "CI"},
    "subscriber": {
        "member_id": "W123456789",
        "relationship_code": "18",
        "first_name": "JANE",
        "last_name": "SAMPLE",
        "birth_date": "1980-05-17",
        "sex": "F",
    },
    "providers": {
        "billing": {
            "npi": "1234567893",
            "tax_id": "123456789",
            "taxonomy_code": "207Q00000X",
            "address": {"state": "TX", "zip": "787010001"},
        }
    },
    "place_of_service_code": "11",
    "total_charge_amount": "150.00",
    "diagnoses": [{"sequence": 1, "code": "J06.9", "type": "principal"}],
    "service_lines": [
        {
            "line_number": 1,
            "procedure_code": "P9213",
            "charge_amount": "150.00",
            "unit_basis": "UN",
            "unit_count": "1",
            "service_from": "2026-11-20",
            "service_through": "2026-11-20",
            "diagnosis_pointers": [1],
        }
    ],
    "context": {"history": []},
}


def claim_document(**changes: Any) -> dict[str, Any]:
    """The smallest useful claim as JSON data; `lines` gives line changes by position, other keywords replace members."""
    document = copy.deepcopy(SMALL)
    lines = changes.pop("lines", None)
    document.update(changes)
    if lines is not None:
        template = document["service_lines"][0]
        document["service_lines"] = [{**copy.deepcopy(template), "line_number": number, **line} for number, line in enumerate(lines, 1)]
        total = sum(round(float(line["charge_amount"]) * 100) for line in document["service_lines"])
        document["total_charge_amount"] = f"{total // 100}.{total % 100:02d}"
    return {key: value for key, value in document.items() if value is not None}


def claim_bytes(**changes: Any) -> bytes:
    """The claim as a JSON body."""
    return msgspec.json.encode(claim_document(**changes))


def claim(**changes: Any) -> Claim:
    """The claim as the canonical structure."""
    return claim_of(claim_bytes(**changes))


THREE_FINDINGS: list[dict[str, Any]] = [
    {"procedure_code": "P1001", "service_from": "2026-09-01", "service_through": "2026-09-01"},
    {"procedure_code": "P1002", "service_from": "2026-09-01", "service_through": "2026-09-01"},
    {"procedure_code": "P7001", "service_from": "2026-09-01", "service_through": "2026-09-01"},
]
"""Lines that give a filing deadline near, a pair without modifier and a missing authorization with EXAMPLE01."""
