"""Readers of reference files in their publishers' layouts: bytes in, an immutable table out.

Sources: CMS NCCI PTP, MUE and add-on files; CMS HCPCS Level II (ANWEB); CMS ICD-10-CM order file; CMS place-of-service list;
X12 external code lists 139 and 411 (codes and dates only).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, ReferenceFault
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, decode_text, rows, valid_code, whole_number
from rules_service.reference.pair_table import NO_LAST_DAY, write_pair_table

Mode = Literal["cumulative", "periodic"]


MAX_PAIR_CODES = 40_000
"""NCCI tables name about 13,000 codes; the bit matrix grows with the square of them."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it came."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ParsedTable:
    """The byte form of an edition and what the census check looks at."""

    blob: bytes
    rows: int


Reader = Callable[[list[SourceFile], EffectivePeriod], ParsedTable]


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


def read_hcpcs(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """HCPCS Level II: codes and modifiers (record types 3 and 7) with add, effective and termination dates and coverage code."""
    fields = (
        Field("code", ("hcpc", "hcpcs")),
        Field("record", ("recid",)),
        Field("added", ("adddt", "adddate")),
        Field("effective", ("acteffdt",), optional=True),
        Field("terminated", ("termdt", "termdate")),
        Field("coverage", ("cov",), optional=True),
    )
    kept: dict[tuple[str, date], Row] = {}
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if not valid_code(cell["code"], 5):
                faults.add("bad_code", line, "A HCPCS code has up to five letters and digits.", "Check the row against the published file.")
                continue
            if cell["record"] not in ("3", "7"):
                continue  # 4 and 8 continue the description of the record before
            first = read_day(line, cell["added"], "The add date", "") or coverage.first
            last = read_day(line, cell["terminated"], "The termination date", "")
            if last is not None and last < first:
                faults.add(
                    "dates_swapped", line, "The termination date lies before the add date.", "Check the row against the published file."
                )
                continue
            kept[cell["code"], first] = Row(
                cell["code"], first, last, ("modifier" if cell["record"] == "7" else "code", cell.get("coverage", ""))
            )
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), (("record", "text"), ("coverage", "text"))), len(kept))


def read_icd10cm(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """ICD-10-CM: CMS's order file (fixed width: order, code, 0 header or 1 billable), or a table code, fiscal year, billable.

    In an order file every row is valid for the declared coverage; in a table, from 1 October before its fiscal year through 30 September.
    """
    kept: dict[tuple[str, date], Row] = {}
    for file in files:
        faults = FaultList(file.name)
        text = decode_text(file.data, file.name)
        start = text.lstrip()[:16]
        if start[:5].isdigit() and start[5:6] == " ":
            for line, row in enumerate(text.splitlines(), 1):
                if not row.strip():
                    continue
                code, billable = row[6:14].strip(), row[14:15]
                if not valid_code(code) or billable not in ("0", "1"):
                    faults.add(
                        "bad_row",
                        line,
                        "A row of the order file has a code in columns 7-14 and 0 or 1 in column 15.",
                        "Load the file as CMS ships it.",
                    )
                    continue
                kept[code, coverage.first] = Row(code, coverage.first, coverage.last, (int(billable),))
        else:
            for line, cell in rows(
                text,
                (
                    Field("code", ("code",)),
                    Field("year", ("fy", "fiscalyear"), optional=True),
                    Field("billable", ("billable",)),
                    Field("first", ("effectivefrom",), optional=True),
                    Field("last", ("effectivethrough",), optional=True),
                ),
                faults,
            ):
                code = cell["code"].replace(".", "")
                if not valid_code(code) or cell["billable"] not in ("0", "1"):
                    faults.add("bad_row", line, "A row has an ICD-10-CM code and billable 0 or 1.", "Check the row.")
                    continue
                if cell.get("year"):
                    if not whole_number(cell["year"], 4) or not 1990 <= int(cell["year"]) <= 2200:
                        faults.add("bad_year", line, "The fiscal year is four digits.", "Check the row.")
                        continue
                    year = int(cell["year"])
                    first, last = date(year - 1, 10, 1), date(year, 9, 30)
                else:
                    read_day = cell_reader(faults)
                    first = read_day(line, cell.get("first", ""), "effective_from", "") or coverage.first
                    last = read_day(line, cell.get("last", ""), "effective_through", "") or coverage.last or date.max
                kept[code, first] = Row(code, first, None if last == date.max else last, (int(cell["billable"]),))
        faults.raise_any()
    return ParsedTable(write_code_table(_with_headers(kept.values(), coverage), (("billable", "int"),)), len(kept))


def icd10cm_rows(codes: Iterable[tuple[str, bool]], coverage: EffectivePeriod) -> ParsedTable:
    """ICD-10-CM from (code, billable) pairs, as the package `simple-icd-10-cm` carries them; dots are removed."""
    kept = [Row(code.replace(".", ""), coverage.first, coverage.last, (int(billable),)) for code, billable in codes]
    return ParsedTable(write_code_table(kept, (("billable", "int"),)), len(kept))


def _with_headers(found: Iterable[Row], coverage: EffectivePeriod) -> list[Row]:
    """A list of billable codes alone does not name the categories above them; they are added as headers, so that a category
    code is answered with "needs more characters" and not with "unknown". Needed only where a file has no header rows."""
    given = list(found)
    if any(row.values[0] == 0 for row in given):
        return given
    named = {(row.key, row.first) for row in given}
    spans: dict[tuple[str, date], date | None] = {}
    for row in given:
        for length in range(3, len(row.key)):
            prefix = (row.key[:length], row.first)
            if prefix not in named:
                spans[prefix] = row.last
    return given + [Row(code, first, last, (0,)) for (code, first), last in spans.items()]


def read_places_of_service(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Place-of-service codes: code, facility or non-facility, name. Codes named "Unassigned" are not valid."""
    fields = (
        Field("code", ("poscode", "code")),
        Field("type", ("postype", "type"), optional=True),
        Field("name", ("posname", "name")),
        Field("first", ("effectivefrom",), optional=True),
    )
    kept: list[Row] = []
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if not (len(cell["code"]) == 2 and cell["code"].isdigit()):
                if "-" in cell["code"]:
                    continue  # ranges of unassigned codes
                faults.add("bad_code", line, "A place-of-service code has two digits.", "Check the row against the published list.")
            elif not cell["name"].lower().startswith("unassigned"):
                kept.append(
                    Row(
                        cell["code"],
                        read_day(line, cell.get("first", ""), "effective_from", "") or coverage.first,
                        None,
                        (cell.get("type", ""),),
                    )
                )
        faults.raise_any()
    return ParsedTable(write_code_table(kept, (("type", "text"),)), len(kept))


def read_remittance_codes(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """CARC, RARC and group codes with start and end dates; keys are `CARC:29`, `RARC:M15`, `GROUP:CO`."""
    fields = (
        Field("code", ("adjcode", "code")),
        Field("type", ("adjtype", "type")),
        Field("first", ("adjstartdate", "start")),
        Field("last", ("adjenddate", "stop", "end")),
    )
    kept: list[Row] = []
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            kind = cell["type"].upper()
            if kind not in ("CARC", "RARC", "GROUP") or not valid_code(cell["code"], 5):
                faults.add(
                    "bad_row", line, "A row has a code and its type: CARC, RARC or Group.", "Check the row against the published list."
                )
                continue
            first = read_day(line, cell["first"], "The start date", "") or date(1995, 1, 1)
            last = read_day(line, cell["last"], "The end date", "")
            # An end date is the first day the code may no longer be used.
            kept.append(Row(f"{kind}:{cell['code']}", first, None if last is None else date.fromordinal(last.toordinal() - 1), ()))
        faults.raise_any()
    return ParsedTable(write_code_table(kept, ()), len(kept))


@dataclass(frozen=True, slots=True)
class TableKind:
    """A reference table this service knows by name."""

    name: str
    title: str
    mode: Mode
    read: Reader


TABLES: dict[str, TableKind] = {
    table.name: table
    for table in (
        TableKind("ncci_ptp_practitioner", "NCCI PTP, practitioner and ASC", "cumulative", read_pairs),
        TableKind("ncci_ptp_outpatient_hospital", "NCCI PTP, outpatient hospital", "cumulative", read_pairs),
        TableKind("ncci_mue_practitioner", "MUE, practitioner", "periodic", read_unit_limits),
        TableKind("ncci_mue_outpatient_hospital", "MUE, outpatient hospital", "periodic", read_unit_limits),
        TableKind("ncci_mue_dme_supplier", "MUE, DME supplier", "periodic", read_unit_limits),
        TableKind("ncci_add_on_codes", "NCCI add-on code edits", "cumulative", read_add_on_codes),
        TableKind("hcpcs_level_ii", "HCPCS Level II codes and modifiers", "cumulative", read_hcpcs),
        TableKind("icd10cm", "ICD-10-CM diagnosis codes", "periodic", read_icd10cm),
        TableKind("place_of_service", "Place of service codes", "cumulative", read_places_of_service),
        TableKind("remittance_codes", "CARC, RARC and group codes with dates", "cumulative", read_remittance_codes),
    )
}


def parse_table(name: str, files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """The edition's bytes; ReferenceFault with file and line for every bad row, or when the table is unknown or empty."""
    table = TABLES.get(name)
    if table is None:
        raise ReferenceFault(
            "No such reference table",
            [Issue("unknown_table", name, "No reference table has this name.", f"Known: {', '.join(sorted(TABLES))}.")],
        )
    parsed = table.read(files, coverage)
    if parsed.rows == 0:
        raise ReferenceFault(
            "The edition is empty",
            [Issue("empty", files[0].name if files else name, "No data row was found.", "Load the file as its publisher ships it.")],
        )
    return parsed


def census_issue(name: str, rows_now: int, rows_before: int | None, tolerance_percent: int = 20) -> Issue | None:
    """A fault when the number of rows differs from the edition before by more than the tolerance."""
    if rows_before is None or abs(rows_now - rows_before) * 100 <= rows_before * tolerance_percent:
        return None
    return Issue(
        "census",
        name,
        f"{rows_now} rows, the edition before had {rows_before}: a difference of more than {tolerance_percent}%.",
        "Check that the file is whole and of this table; accept the census explicitly if it is.",
    )
