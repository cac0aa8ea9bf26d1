"""Claims in the project's JSON: one, a batch document, or lines (NDJSON)."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

import msgspec

from rules_service.claim.canonical import canonical_claim
from rules_service.claim.claim import Claim
from rules_service.claim.codec import StrictDecoder, claim_decoder
from rules_service.primitives.errors import InvalidClaim, Issue, RulesServiceError

MAX_BATCH = 100
MAX_LINES_OF_NDJSON = 20_000


class ClaimBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a batch: claims read one by one, so that a bad one fails alone."""

    claims: list[msgspec.Raw]


_batch_decoder = StrictDecoder(ClaimBatch)


def claim_of(body: bytes) -> Claim:
    """One canonical claim from strict JSON."""
    return canonical_claim(claim_decoder.decode(body))


def read_claims(texts: Iterable[bytes]) -> list[Claim | RulesServiceError]:
    """Each text's claim, or the error that refuses it: one bad text fails alone."""
    read: list[Claim | RulesServiceError] = []
    for text in texts:
        try:
            read.append(claim_of(text))
        except RulesServiceError as error:
            read.append(error)
    return read


def claims_in_batch(body: bytes, limit: int = MAX_BATCH) -> list[bytes]:
    """The texts of the claims in a batch document; InvalidClaim for more than the limit."""
    batch: ClaimBatch = _batch_decoder.decode(body)
    if len(batch.claims) > limit:
        raise InvalidClaim(
            "The batch is too large",
            [Issue("too_many_claims", "/claims", f"A batch has at most {limit} claims.", "Send several batches, or NDJSON.")],
        )
    return [bytes(raw) for raw in batch.claims]


def lines_of(body: bytes, limit: int = MAX_LINES_OF_NDJSON) -> list[bytes]:
    """The non-empty lines of NDJSON."""
    found = [line for line in body.removeprefix(codecs.BOM_UTF8).split(b"\n") if line.strip()]
    if len(found) > limit:
        issue = Issue("too_many_claims", "", f"A body has at most {limit} lines.", "Send several.")
        raise InvalidClaim("The body has too many lines", [issue])
    return found
