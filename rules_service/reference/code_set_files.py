"""Readers of code sets: HCPCS Level II (ANWEB), ICD-10-CM order file, place of service, X12 external code lists 139 and 411 (codes and dates)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, decode_text, rows, valid_code, whole_number
from rules_service.reference.source_files import ParsedTable, SourceFile


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
    """CARC, RARC and group codes with start and end dates; keys are `CARC:29`, `RARC:M15`, `GROUP:CO`. A remark code whose text begins
    with "Alert" informs, and is no remark that a CARC may need."""
    fields = (
        Field("code", ("adjcode", "code")),
        Field("type", ("adjtype", "type")),
        Field("text", ("adjdescription", "description"), optional=True),
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
            is_alert = int(kind == "RARC" and cell.get("text", "").lower().startswith("alert"))
            # An end date is the first day the code may no longer be used.
            kept.append(Row(f"{kind}:{cell['code']}", first, None if last is None else date.fromordinal(last.toordinal() - 1), (is_alert,)))
        faults.raise_any()
    return ParsedTable(write_code_table(kept, (("alert", "int"),)), len(kept))
