"""Two editions of a reference table compared: rows added, removed and changed, new values of coded columns, codes that vanished.

The census says whether a new edition looks like one of its table at all: a cut file, a file of another table or of another quarter's
layout differs in its row count, in the values of its coded columns, or in codes that have always been there.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

import msgspec
import numpy as np

from rules_service.primitives.errors import Issue
from rules_service.reference.code_table import CodeTable
from rules_service.reference.pair_table import PairTable
from rules_service.reference.readers import Reader

TOLERANCE_PERCENT = 20
"""By which the row count may differ, and of the canary codes be gone, before somebody has to look."""
CANARIES = 50
CODED = frozenset({"mai", "type", "coverage", "billable", "record"})
"""Columns that hold one of a few codes: a value never seen in one before is told. Of pairs it is the modifier indicator."""
SAMPLES = 20


class EditionDifference(msgspec.Struct, frozen=True):
    """What an edition says otherwise than the one before. Keys are codes, or pairs as `column one/column two`."""

    rows_before: int
    rows: int
    added: int
    removed: int
    changed: int
    added_samples: tuple[str, ...]
    removed_samples: tuple[str, ...]
    changed_samples: tuple[str, ...]
    new_indicators: dict[str, tuple[str, ...]]
    canaries: int
    canaries_gone: tuple[str, ...]


Content = dict[str, tuple[tuple[Any, ...], ...]]
"""The dated rows of each key."""


def compare_editions(before: Reader, after: Reader) -> EditionDifference:
    """The difference of two editions of one table; ValueError when they are not of one form."""
    if isinstance(before, PairTable) and isinstance(after, PairTable):
        return _compare_pairs(before, after)
    if isinstance(before, CodeTable) and isinstance(after, CodeTable):
        return _compare_codes(before, after)
    raise ValueError("the editions are not of one table")


def census_issues(name: str, found: EditionDifference) -> list[Issue]:
    """Why an edition does not look like one of its table; none when it does."""
    mend = "Check that the file is whole and of this table; accept the census explicitly if it is."
    issues = []
    if abs(found.rows - found.rows_before) * 100 > found.rows_before * TOLERANCE_PERCENT:
        said = f"{found.rows} rows, the edition before had {found.rows_before}: a difference of more than {TOLERANCE_PERCENT}%."
        issues.append(Issue("census", name, said, mend))
    for column, values in sorted(found.new_indicators.items()):
        issues.append(Issue("census", name, f"{column} has values no edition before had: {', '.join(values)}.", mend))
    if len(found.canaries_gone) * 100 > found.canaries * TOLERANCE_PERCENT:
        said = f"{len(found.canaries_gone)} of {found.canaries} codes looked for are gone: {', '.join(found.canaries_gone[:10])}."
        issues.append(Issue("census", name, said, mend))
    return issues


def _told(
    before: int, after: int, added: Sequence[str], removed: Sequence[str], changed: Sequence[str], new: dict[str, tuple[str, ...]],
    canaries: Sequence[str], known: Container[str],
) -> EditionDifference:  # fmt: skip
    gone = tuple(one for one in canaries if one not in known)
    return EditionDifference(
        before, after, len(added), len(removed), len(changed), tuple(added[:SAMPLES]), tuple(removed[:SAMPLES]), tuple(changed[:SAMPLES]),
        new, len(canaries), gone,
    )  # fmt: skip


def _spread(names: Sequence[str]) -> list[str]:
    """Up to CANARIES of some names, evenly spread."""
    return [names[at * len(names) // CANARIES] for at in range(CANARIES)] if len(names) > CANARIES else list(names)


def _content(table: CodeTable) -> Content:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for entry in table:
        found.setdefault(entry.key, []).append((entry.first_day, entry.last_day, *entry.values))
    return {key: tuple(rows) for key, rows in found.items()}


def _compare_codes(before: CodeTable, after: CodeTable) -> EditionDifference:
    old, new = _content(before), _content(after)
    indicators: dict[str, tuple[str, ...]] = {}
    for column in sorted(CODED & set(before.columns) & set(after.columns)):
        here, there = before.column(column) + 2, after.column(column) + 2
        known = {str(row[here]) for rows in old.values() for row in rows}
        unseen = {str(row[there]) for rows in new.values() for row in rows} - known
        if unseen:
            indicators[column] = tuple(sorted(unseen))
    return _told(
        len(before), len(after), sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys()),
        sorted(key for key in old.keys() & new.keys() if old[key] != new[key]), indicators, _spread(sorted(old)), new,
    )  # fmt: skip


def _compare_pairs(before: PairTable, after: PairTable) -> EditionDifference:
    (old, old_rows, old_marks), (new, new_rows, new_marks) = _pairs(before), _pairs(after)
    added, removed = np.setdiff1d(new, old), np.setdiff1d(old, new)
    altered = np.concatenate([np.setdiff1d(new_rows, old_rows), np.setdiff1d(old_rows, new_rows)])
    touched = np.unique(altered["pair"]) if len(altered) else altered["pair"]
    changed = np.setdiff1d(np.setdiff1d(touched, added), removed)
    unseen = np.setdiff1d(new_marks, old_marks)
    canaries = _spread(before.codes())
    return _told(
        len(before), len(after), _texts(added), _texts(removed), _texts(changed),
        {"indicator": tuple(str(one) for one in unseen)} if len(unseen) else {}, canaries, frozenset(after.codes()),
    )  # fmt: skip


def _pairs(table: PairTable) -> tuple[Any, Any, Any]:
    """(distinct pairs, whole rows, distinct indicators) of a table."""
    one, two, first, last, indicator = table.columns()
    rows = np.zeros(len(one), dtype=[("pair", "S32"), ("first", "i4"), ("last", "i4"), ("indicator", "u1")])
    rows["pair"] = np.char.add(np.char.add(one, b"/"), two) if len(one) else one
    rows["first"], rows["last"], rows["indicator"] = first, last, indicator
    return np.unique(rows["pair"]), np.unique(rows), np.unique(indicator)


def _texts(pairs: Any) -> list[str]:
    return [bytes(pair).decode("ascii") for pair in pairs]
