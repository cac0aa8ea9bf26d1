"""Which row of an authorization list a line meets."""

from __future__ import annotations

from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.conditional_rows import CONDITION_COLUMNS, row_for

ROW_COLUMNS = ("requirement", "family", *CONDITION_COLUMNS)
"""Columns of an authorization list beside code and dates."""
EXEMPTING = ("not_required", "suspended")


def list_row(table: CodeTable, line: LineView) -> Entry | Unknown | None:
    """The row that applies: effective on the date, every condition met; `not_required` and `suspended` before the rest, then the
    most specific. Unknown when a row that would win depends on something the claim does not say."""
    at = table.column("requirement")
    return row_for(table, line, lambda entry: entry.values[at] in EXEMPTING)
