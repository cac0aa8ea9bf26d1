"""One claim in JSON, 837 and FHIR is one canonical claim, byte for byte: every case and acceptance row, through independent writers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.formats.fhir.claims import read_fhir
from rules_service.formats.native.json_claims import claim_of
from rules_service.formats.x12.claims_837 import read_837
from tests.support.fhir_writer import write_fhir
from tests.support.one_claim import claims
from tests.support.x12_writer import write_837

LEAST = {"professional": 400, "institutional": 50}


def canonical(document: dict[str, Any]) -> bytes:
    return encode_json(claim_of(json.dumps(document).encode()))


def of_837(document: dict[str, Any]) -> bytes:
    (read,) = read_837(write_837(document))
    assert isinstance(read.outcome, Claim), read.outcome
    return encode_json(read.outcome)


def of_fhir(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(encode_json(read_fhir(json.dumps(write_fhir(document)).encode()).claim))
    if document["claim_type"] == "institutional" and "discharge" not in document.get("dates", {}):
        found.get("dates", {}).pop("discharge", None)  # FHIR has no hour without its day
        if not found.get("dates", True):
            del found["dates"]
    return found


@pytest.mark.parametrize("claim_type", ["professional", "institutional"])
def test_a_claim_of_the_cases_is_the_same_claim_in_json_and_837(claim_type: str) -> None:
    documents = claims(claim_type)
    assert len(documents) >= LEAST[claim_type]
    for document in documents:
        assert of_837(document) == canonical(document), document


@pytest.mark.parametrize("claim_type", ["professional", "institutional"])
def test_a_claim_of_the_cases_is_the_same_claim_in_json_and_fhir(claim_type: str) -> None:
    for document in claims(claim_type):
        own = document.get("institutional", {})
        if "discharge_hour" in own and "statement_through" not in own:
            continue  # without a day there is no instant to write
        if any(document.get(person, {}).get("sex", "U") not in "FMU" for person in ("subscriber", "patient")):
            continue  # FHIR has words for these three only
        if "patient" not in document and not document["subscriber"].get("relationship_code"):
            continue  # a FHIR claim always says who its patient is
        assert of_fhir(document) == json.loads(canonical(document)), document


def test_what_is_written_as_fhir_is_valid_fhir() -> None:
    """The Bundles the reader is compared on, read by an independent library."""
    bundle = get_fhir_model_class("Bundle")
    for document in claims("professional")[::25] + claims("institutional")[::10]:
        hour = document.get("institutional", {}).get("discharge_hour", "00")
        if hour < "24" and all("adjudication_date" in one for one in document.get("other_payers", ())):  # a ClaimResponse has its day
            bundle.model_validate(write_fhir(document))
