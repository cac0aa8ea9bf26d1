"""Tables of either form, told apart by their first bytes, and partial editions.

A partial edition is an extract of the publisher's table: it is whole for the codes it holds, and about every other code it says nothing. The
first bytes say so, so that the mark is part of the content and of its hash. An excerpt is an extract too, of a list so long that "not known"
would be the answer to nearly every code: it answers as a whole table does, and each answer to a claim names it.
"""

from __future__ import annotations

from rules_service.reference import code_table, pair_table
from rules_service.reference.code_table import CodeTable
from rules_service.reference.pair_table import PairTable

Reader = CodeTable | PairTable


def reader_of(data: memoryview | bytes) -> Reader:
    """The reader for a table's bytes; ValueError when they are no table."""
    head = bytes(data[: len(pair_table.MAGIC)])
    return PairTable(data) if head in (pair_table.MAGIC, pair_table.PARTIAL_MAGIC) else CodeTable(data)


def as_partial(blob: bytes) -> bytes:
    """The same table, marked as an extract."""
    for whole, partial in ((code_table.MAGIC, code_table.PARTIAL_MAGIC), (pair_table.MAGIC, pair_table.PARTIAL_MAGIC)):
        if blob.startswith(whole):
            return partial + blob[len(whole) :]
    raise ValueError("not a whole table")


def as_excerpt(blob: bytes) -> bytes:
    """The same table of codes, marked as an extract whose silence is taken for an answer and told."""
    if not blob.startswith(code_table.MAGIC):
        raise ValueError("not a whole table of codes")
    return code_table.EXCERPT_MAGIC + blob[len(code_table.MAGIC) :]
