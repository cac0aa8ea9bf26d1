"""`denial_crosswalk`: what a payer answers to what a finding found, by the day the claim is received.

Keys are `code` or `code:qualifier`, the qualifier where the answer depends on the subject (a provider's role). domain.md 2.15.
"""

from __future__ import annotations

import functools

from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.rule import Prediction

CROSSWALK = "denial_crosswalk"


def from_crosswalk(table: CodeTable, code: str, qualifier: str, day: int) -> Prediction | None:
    """What the crosswalk says of a finding on a day of receipt: of the subject, else of the code."""
    entry = (table.on(f"{code}:{qualifier}", day) if qualifier else None) or table.on(code, day)
    return None if entry is None else prediction_of(entry)


def prediction_of(entry: Entry) -> Prediction:
    """The prediction of one row."""
    return _prediction(entry.values)


@functools.lru_cache(maxsize=4_096)
def _prediction(values: tuple[int | str, ...]) -> Prediction:
    outcome, group, carc, rarcs, status, appealable, billable = values
    return Prediction(
        outcome=outcome,  # type: ignore[arg-type]
        group_code=str(group) or None,
        carc=str(carc) or None,
        rarcs=tuple(str(rarcs).split()),
        claim_status=str(status) or None,
        appealable={"true": True, "false": False}.get(str(appealable)),
        patient_billable=billable == "true",
    )


def rows_by_code(table: CodeTable) -> dict[str, list[Entry]]:
    """Every row, by finding code, whatever its qualifier and days."""
    found: dict[str, list[Entry]] = {}
    for entry in table:
        found.setdefault(entry.key.partition(":")[0], []).append(entry)
    return found
