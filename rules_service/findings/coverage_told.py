"""What an answer did not look for, as sentences: for the text report, the OperationOutcome and the ClaimResponse alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def told_of_coverage(coverage: Mapping[str, Any]) -> list[str]:
    """The sentences of an answer's `coverage` as plain data. An answer stored before some of it was told lacks that part."""
    told = []
    if names := coverage.get("kinds_without_rule"):
        told.append(f"Not looked for, as no rule of this payer is held: {', '.join(names)}.")
    if names := coverage.get("excerpts"):
        told.append(f"Asked of excerpts of published lists only: {', '.join(names)}.")
    if coverage.get("payer_named_by") == "name":
        told.append("The payer was recognised by its name: the payer id sent is none of its ids.")
    told.extend(
        f"Rules that may apply were not asked ({one['rule_set_id']}): supply {', '.join(one['supply'])}."
        for one in coverage.get("undecided_rule_sets", ())
    )
    return told
