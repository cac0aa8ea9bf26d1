"""837 files (professional, institutional, dental) to canonical claims. The readers know loops and elements, no rule.

A claim that cannot be read fails alone, with the segment it failed at; a broken envelope or another version refuses the file.
"""

from __future__ import annotations

from rules_service.formats.x12.guides import GUIDES, UNREAD
from rules_service.formats.x12.parties import ReadClaim, Transmission
from rules_service.formats.x12.segments import Transaction, fault, transactions

MAX_CLAIMS = 5_000
SEGMENTS_A_CLAIM = 60
"""More than a claim of ten lines has, on average."""


def read_837(data: bytes, max_claims: int = MAX_CLAIMS) -> list[ReadClaim]:
    """Every claim of every transaction, in file order; X12Error refuses the file, also one of more claims than are taken."""
    found: list[ReadClaim] = []
    for transaction in transactions(data, SEGMENTS_A_CLAIM * max_claims):
        found.extend(_read_transaction(transaction))
        if len(found) > max_claims:
            raise fault(
                "x12.too_many_claims", "file", f"A file has at most {max_claims} claims here.", "Split the file, or send it to /v1/jobs."
            )
    if not found:
        raise fault("x12.no_claims", "file", "The file holds no claim (CLM).", "Send an 837 with at least one claim.")
    return found


def _read_transaction(transaction: Transaction) -> list[ReadClaim]:
    where = transaction.segments[0].where()
    if transaction.kind != "837":
        raise fault("x12.not_837", where, "The transaction is not an 837.", "Send claims (837) here.")
    if transaction.version.startswith("004010"):
        raise fault(
            "x12.version_4010", where, "The transaction is version 4010, which was replaced by 5010 on 2012-01-01.", "Send version 005010."
        )
    guide = GUIDES.get(transaction.version[:10])
    if guide is None:
        raise fault(
            "x12.version",
            where,
            "The transaction is of none of the guides read here.",
            "Send 005010X222A1 (professional), 005010X223A2 (institutional) or 005010X224A2 (dental).",
        )
    kind, handlers = guide
    reader = kind(transmission=_transmission(transaction))
    for segment in transaction.segments:
        handler = handlers.get(segment.name)
        if handler is not None:
            reader.take(segment, handler)
        elif segment.name not in UNREAD:
            reader.unknown(segment)
    reader.finish()
    return reader.found


def _transmission(transaction: Transaction) -> Transmission:
    head = transaction.interchange
    if head is None:
        return Transmission()
    return Transmission(sender=(head.get(6) or "").strip(), delimiters=(head.separator, head.component, head.repetition, head.terminator))
