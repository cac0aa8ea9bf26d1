"""A file of claims as claims: 837 (by its first bytes or its name), NDJSON, a FHIR Claim or Bundle, or one claim as JSON."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import PurePath

import msgspec

from rules_service.claim.claim import Claim
from rules_service.formats.fhir.claims import read_fhir
from rules_service.formats.native.json_claims import lines_of, read_claims
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import RulesServiceError

X12_NAMES = frozenset({".837", ".edi", ".x12", ".837p", ".837i", ".837d"})
LINES_NAMES = frozenset({".ndjson", ".jsonl"})
NAMES = X12_NAMES | LINES_NAMES | {".json", ".txt"}
"""Ends of names of files that may hold claims."""


@dataclass(frozen=True, slots=True)
class FileClaim:
    """One claim of a file, or why it could not be read; in an 837 with its CLM segment."""

    outcome: Claim | RulesServiceError
    segment: int | None = None
    patient_control_number: str = ""


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """The claims of a file, and whether it is an 837. A file that cannot be read at all has its one error."""

    claims: tuple[FileClaim, ...]
    is_x12: bool


class _Kind(msgspec.Struct, rename="camel"):
    resource_type: str = ""


def read_claim_file(name: str, data: bytes) -> ClaimFile:
    """Every claim of a file; nothing raises, each fault stands where its claim would."""
    suffix = PurePath(name).suffix.lower()
    is_x12 = data.removeprefix(codecs.BOM_UTF8).lstrip()[:3] == b"ISA" or suffix in X12_NAMES
    try:
        if is_x12:
            return ClaimFile(tuple(FileClaim(one.outcome, one.segment, one.patient_control_number) for one in read_837(data)), is_x12)
        if suffix in LINES_NAMES:
            return ClaimFile(tuple(map(FileClaim, read_claims(lines_of(data)))), is_x12)
        if _is_fhir(data):
            return ClaimFile((FileClaim(read_fhir(data).claim),), is_x12)
    except RulesServiceError as error:
        return ClaimFile((FileClaim(error),), is_x12)
    return ClaimFile(tuple(map(FileClaim, read_claims([data]))), is_x12)


def _is_fhir(data: bytes) -> bool:
    try:
        return bool(msgspec.json.decode(data, type=_Kind).resource_type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
