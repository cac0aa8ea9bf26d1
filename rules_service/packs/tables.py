"""A pack's own CSV tables: lists with effective dates per row, compiled to the same byte form as reference editions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from rules_service.primitives.errors import Issue, PackFault, ReferenceFault
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, rows, valid_code
from rules_service.reference.pair_table import NO_LAST_DAY, write_pair_table
from rules_service.rules.kinds.authorization_requirement import ROW_COLUMNS

REQUIREMENTS = ("required", "not_required", "notification", "voluntary", "suspended")
_DATES = (Field("first", ("effectivefrom",)), Field("last", ("effectivethrough",), optional=True))
_COLUMNS: dict[str, tuple[Field, ...]] = {
    "authorization_list": (
        Field("code", ("code",)),
        *_DATES,
        *(Field(name, (name.replace("_", ""),), optional=name != "requirement") for name in ROW_COLUMNS),
    ),
    "code_classes": (Field("code", ("code",)), *_DATES, Field("class", ("class",), optional=False)),
    "unit_limits": (Field("code", ("code",)), *_DATES, Field("value", ("value",)), Field("mai", ("mai",), optional=True)),
    "code_pairs": (Field("one", ("columnone",)), Field("two", ("columntwo",)), *_DATES, Field("indicator", ("modifierindicator",))),
}


_STORED: dict[str, tuple[tuple[str, Literal["int", "text"]], ...]] = {
    "authorization_list": tuple((name, "text") for name in ROW_COLUMNS),
    "code_classes": (("class", "text"),),
    "unit_limits": (("value", "int"), ("mai", "int")),
}


def compile_table(kind: str, text: str, file: str) -> bytes:
    """The table's bytes; PackFault with file and line for every bad row."""
    faults = FaultList(file)
    read_day = cell_reader(faults)
    kept: list[Row] = []
    pairs: list[tuple[str, str, int, int, int]] = []
    for line, cell in rows(text, _COLUMNS[kind], faults):
        first, last = read_day(line, cell["first"], "effective_from", ""), read_day(line, cell.get("last", ""), "effective_through", "")
        if first is None:
            faults.add("no_first_day", line, "The row has no effective_from.", "Give the first day it applies.")
            continue
        if last is not None and last < first:
            faults.add("dates_swapped", line, "effective_through lies before effective_from.", "Swap the dates.")
            continue
        codes = [cell["one"], cell["two"]] if kind == "code_pairs" else [cell["code"]]
        if not all(valid_code(code) for code in codes):
            faults.add("bad_code", line, "A code is letters and digits, upper-case.", "Mend the code.")
            continue
        values = _values(kind, cell, line, faults)
        if kind == "code_pairs":
            pairs.append(
                (codes[0], codes[1], first.toordinal(), last.toordinal() if last else NO_LAST_DAY, int(values[0]) if values else 0)
            )
        else:
            kept.append(Row(codes[0], first, last, values))
    try:
        faults.raise_any()
    except ReferenceFault as error:
        raise PackFault(
            f"The table {file} cannot be used", [Issue("PK017", issue.where, issue.message, issue.mend) for issue in error.issues]
        ) from None
    if kind == "code_pairs":
        columns_one, columns_two = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        return write_pair_table(columns_one, columns_two, *([pair[index] for pair in pairs] for index in (2, 3, 4)))
    return write_code_table(kept, _STORED[kind])


def _values(kind: str, cells: Mapping[str, str], line: int, faults: FaultList) -> tuple[int | str, ...]:
    if kind == "authorization_list":
        if cells["requirement"] not in REQUIREMENTS:
            faults.add("requirement", line, f"requirement is one of {', '.join(REQUIREMENTS)}.", "Mend the cell.")
        for name in ("age_from", "age_through"):
            if cells.get(name) and not cells[name].isdigit():
                faults.add("age", line, f"{name} is a whole number of years.", "Mend the cell.")
        return tuple(cells.get(name, "") for name in ROW_COLUMNS)
    if kind == "code_classes":
        return (cells["class"],)
    if kind == "code_pairs":
        if cells["indicator"] not in ("0", "1", "9"):
            faults.add("indicator", line, "modifier_indicator is 0, 1 or 9.", "Mend the cell.")
            return (0,)
        return (int(cells["indicator"]),)
    if not cells["value"].isdigit() or cells.get("mai", "") not in ("", "0", "1", "2", "3"):
        faults.add("value", line, "value is a whole number and mai 1, 2 or 3.", "Mend the row.")
        return (0, 0)
    return (int(cells["value"]), int(cells.get("mai") or 1))
