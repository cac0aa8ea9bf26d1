"""Which row of an authorization list a line meets."""

from __future__ import annotations

from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.conditional_rows import CONDITION_COLUMNS, met, specificity

ROW_COLUMNS = ("requirement", "family", *CONDITION_COLUMNS)
"""Columns of an authorization list beside code and dates."""
EXEMPTING = ("not_required", "suspended")


def list_row(table: CodeTable, line: LineView) -> Entry | Unknown | None:
    """The row that applies: effective on the date, every condition met; `not_required` and `suspended` before the rest, then the
    most specific. Unknown when a row that would win depends on something the claim does not say."""
    if line.code is None or line.date_from is None:
        return None
    day = line.date_from.toordinal()
    best: tuple[tuple[int, int, int], Entry | Unknown] | None = None
    for entry in table.rows_of(line.code):
        if not entry.first_day <= day <= entry.last_day:
            continue
        held = met(table, entry, line)
        if held is False:
            continue
        rank = (entry.values[table.column("requirement")] in EXEMPTING, specificity(entry, table), entry.first_day)
        if best is None or rank > best[0]:
            best = (rank, held if isinstance(held, Unknown) else entry)
    return best[1] if best is not None else None
