"""A file of claims as claims: 837 (by its first bytes or its name), NDJSON, a FHIR Claim or Bundle, a batch document, or one claim as JSON."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.formats.fhir.claims import read_fhir
from rules_service.formats.native.json_claims import claims_in_batch, lines_of, read_claims
from rules_service.formats.x12.claims_837 import read_837
from rules_service.formats.x12.parties import ReadClaim
from rules_service.formats.x12.places import finding_places
from rules_service.primitives.errors import InvalidClaim, Issue, RulesServiceError

MAX_CLAIMS = 50_000
"""Of one file, on the command line, in a watched folder, or of a job."""
X12_NAMES = frozenset({".837", ".edi", ".x12", ".837p", ".837i", ".837d"})
LINES_NAMES = frozenset({".ndjson", ".jsonl"})
NAMES = X12_NAMES | LINES_NAMES | {".json", ".txt"}
"""Ends of names of files that may hold claims."""


@dataclass(frozen=True, slots=True)
class FileClaim:
    """One claim of a file, or why it could not be read; of an 837 as its reader has it."""

    outcome: Claim | RulesServiceError
    read: ReadClaim | None = None

    def stands(self, evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
        """What an answer says of an 837 besides the evaluation: the claim's segment, and that of each finding."""
        if self.read is None:
            return {}
        pointers = ((one["finding_id"], one["location"]["json_pointer"]) for one in (evaluation or {"findings": ()})["findings"])
        return {"segment": self.read.segment, "places": finding_places(self.read.places, pointers)}


@dataclass(frozen=True, slots=True)
class ClaimFile:
    """The claims of a file, and whether it is an 837. A file that cannot be read at all has its one error."""

    claims: tuple[FileClaim, ...]
    is_x12: bool


class _Kind(msgspec.Struct):
    """What tells the kinds of JSON apart: a FHIR resource names its type, a batch document has claims."""

    resource_type: str = msgspec.field(name="resourceType", default="")
    claims: msgspec.Raw = msgspec.Raw()


def read_claim_file(name: str, data: bytes) -> ClaimFile:
    """Every claim of a file; nothing raises, each fault stands where its claim would."""
    read = _read(name, data)
    if read.claims:
        return read
    issue = Issue("no_claims", "", "The file holds no claim.", "Send a file with at least one.")
    return ClaimFile((FileClaim(InvalidClaim("No claim was found", [issue])),), read.is_x12)


def _read(name: str, data: bytes) -> ClaimFile:
    text = data.removeprefix(codecs.BOM_UTF8)
    suffix = PurePath(name).suffix.lower()
    is_x12 = text.lstrip()[:3] == b"ISA" or suffix in X12_NAMES
    try:
        if is_x12:
            read = read_837(data, MAX_CLAIMS)
            return ClaimFile(tuple(FileClaim(one.outcome, one) for one in read), is_x12)
        if suffix in LINES_NAMES:
            return ClaimFile(tuple(map(FileClaim, read_claims(lines_of(text, MAX_CLAIMS)))), is_x12)
        kind = _kind_of(text)
        if kind.resource_type:
            return ClaimFile((FileClaim(read_fhir(text).claim),), is_x12)
        texts = claims_in_batch(text, MAX_CLAIMS) if bytes(kind.claims) else [text]
    except RulesServiceError as error:
        return ClaimFile((FileClaim(error),), is_x12)
    return ClaimFile(tuple(map(FileClaim, read_claims(texts))), is_x12)


def _kind_of(data: bytes) -> _Kind:
    """Which kind of JSON it is; what cannot be read is told by the reader of a claim."""
    try:
        return msgspec.json.decode(data, type=_Kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Kind()
