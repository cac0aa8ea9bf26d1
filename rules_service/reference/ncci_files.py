"""Readers of CMS NCCI files: PTP pairs, MUE unit limits, add-on codes (Medicare and Medicaid ship one layout)."""

from __future__ import annotations

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, ReferenceFault
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, decode_text, rows, valid_code, whole_number
from rules_service.reference.pair_table import NO_LAST_DAY, write_pair_table
from rules_service.reference.source_files import ParsedTable, SourceFile

MAX_PAIR_CODES = 40_000
"""NCCI tables name about 13,000 codes; the bit matrix grows with the square of them."""


def read_pairs(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """NCCI PTP: column 1, column 2, prior-1996 mark, effective date, deletion date (* none), modifier indicator, rationale."""
    fields = (
        Field("one", ("column1",)),
        Field("two", ("column2",)),
        Field("first", ("effectivedate", "effective")),
        Field("last", ("deletiondate", "deletion")),
        Field("indicator", ("modifier",)),
    )
    ones: list[str] = []
    twos: list[str] = []
    firsts: list[int] = []
    lasts: list[int] = []
    indicators: list[int] = []
    days: dict[str, int] = {"": NO_LAST_DAY, "*": NO_LAST_DAY}
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            one, two, indicator = cell["one"], cell["two"], cell["indicator"]
            if not valid_code(one) or not valid_code(two):
                faults.add("bad_code", line, "A pair has two codes of letters and digits.", "Check the row against the published file.")
                continue
            if indicator not in ("0", "1", "9"):
                faults.add("bad_indicator", line, "The modifier indicator is 0, 1 or 9.", "Check the row against the published file.")
                continue
            for column in ("first", "last"):
                text = cell[column]
                if text not in days:
                    day = read_day(line, text, f"The {'effective' if column == 'first' else 'deletion'} date", "*")
                    days[text] = day.toordinal() if day else NO_LAST_DAY
            first, last = days[cell["first"]], days[cell["last"]]
            if first == NO_LAST_DAY:
                faults.add("no_effective_date", line, "The row has no effective date.", "Every published pair has one.")
                continue
            if last < first:
                faults.add(
                    "dates_swapped", line, "The deletion date lies before the effective date.", "Check the row against the published file."
                )
                continue
            ones.append(one)
            twos.append(two)
            firsts.append(first)
            lasts.append(last)
            indicators.append(int(indicator))
        faults.raise_any()
    codes = len(set(ones) | set(twos))
    if codes > MAX_PAIR_CODES:
        issue = Issue(
            "too_many_codes",
            files[0].name,
            f"{codes} different codes; a pair table has at most {MAX_PAIR_CODES}.",
            "Check that this is the PTP file.",
        )
        raise ReferenceFault("The table is not a pair table of this kind: nothing was loaded", [issue])
    return ParsedTable(write_pair_table(ones, twos, firsts, lasts, indicators), len(ones))


def read_unit_limits(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """MUE: HCPCS/CPT code, value, MAI (absent in the Medicaid files: 0 there), rationale (not kept). Rows are valid for the coverage."""
    fields = (
        Field("code", ("hcpcscptcode", "hcpcscode", "hcpcs", "code")),
        Field(
            "value",
            ("practitionerservicesmue", "outpatienthospitalservicesmue", "dmesupplierservicesmue", "muevalue", "mueunits", "value", "mue"),
        ),
        Field("mai", ("mueadjudicationindicator", "muemai", "mai"), optional=True),
    )
    kept: list[Row] = []
    for file in files:
        faults = FaultList(file.name)
        seen: dict[str, int] = {}
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            code, value, mai = cell["code"], cell["value"], cell.get("mai", "")[:1] or "0"
            if not valid_code(code):
                faults.add("bad_code", line, "A code is letters and digits.", "Check the row against the published file.")
            elif not whole_number(value, 7):
                faults.add("bad_value", line, "A unit limit is a whole number.", "Check the row against the published file.")
            elif mai not in ("0", "1", "2", "3"):
                faults.add("bad_mai", line, "The MUE adjudication indicator is 1, 2 or 3.", "Check the row against the published file.")
            elif code in seen:
                faults.add("code_twice", line, f"The code stands on line {seen[code]} already.", "Load one setting's file at a time.")
            else:
                seen[code] = line
                kept.append(Row(code, coverage.first, coverage.last, (int(value), int(mai))))
        faults.raise_any()
    return ParsedTable(write_code_table(kept, (("value", "int"), ("mai", "int"))), len(kept))


def read_add_on_codes(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Add-on code edits: type 1, 2 or 3, add-on code, primary code (CCCCC: contractor defined), dates as YYYYDDD."""
    fields = (
        Field("type", ("edittype", "aocedittype", "type")),
        Field("add_on", ("addoncode",)),
        Field("primary", ("primarycode",)),
        Field("first", ("editeffective", "effective"), optional=True),
        Field("last", ("editdeletion", "deletion"), optional=True),
    )
    kept: list[Row] = []
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if cell["type"] not in ("1", "2", "3") or not valid_code(cell["add_on"]) or not valid_code(cell["primary"]):
                faults.add(
                    "bad_row",
                    line,
                    "An add-on edit has a type 1, 2 or 3, an add-on code and a primary code.",
                    "Check the row against the published file.",
                )
                continue
            first = read_day(line, cell.get("first", ""), "The effective date", "*") or coverage.first
            last = read_day(line, cell.get("last", ""), "The deletion date", "*")
            if last is not None and last < first:
                faults.add(
                    "dates_swapped", line, "The deletion date lies before the effective date.", "Check the row against the published file."
                )
                continue
            kept.append(Row(cell["add_on"], first, last, (int(cell["type"]), cell["primary"])))
        faults.raise_any()
    return ParsedTable(write_code_table(kept, (("type", "int"), ("primary", "text"))), len(kept))
