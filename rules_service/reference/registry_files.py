"""Readers of public registers: who may order and refer in Medicare, what certificate a laboratory holds, which drug packages exist, and
which code a package is billed with.

Sources: CMS "Order and Referring" (data.cms.gov); CMS Provider of Services file, Clinical Laboratories; FDA National Drug Code Directory
(package file); CMS ASP NDC-HCPCS crosswalk and the PDAC's NDC/HCPCS crosswalk. None of them says anything of a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from rules_service.primitives.codes import eleven_digits, ndc_is_whole
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, decode_text, rows, valid_code, whole_number
from rules_service.reference.source_files import ParsedTable, SourceFile

ORDERING_PROGRAMS = ("partb", "dme", "hha", "pmd", "hospice")
CERTIFICATES = {"1": "compliance", "2": "waiver", "3": "accreditation", "4": "microscopy", "9": "registration"}
"""CRTFCT_TYPE_CD of the Provider of Services file (42 CFR 493.2)."""
ASP_HEADERS = tuple(f"{year}code" for year in range(2015, 2100))
"""The crosswalk names its column of codes after the year."""
NPI_DIGITS = 10
CHECK_ROW = "Check the row against the published file."


def read_order_and_referring(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """NPI to last name, first name and Y or N for each program; `hospice` came later and may be absent."""
    fields = (
        Field("npi", ("npi",)),
        Field("last_name", ("lastname",)),
        Field("first_name", ("firstname",)),
        *(Field(name, (name,), optional=name not in ("partb", "dme")) for name in ORDERING_PROGRAMS),
    )
    kept: dict[str, Row] = {}
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            flags = tuple(cell.get(name, "") for name in ORDERING_PROGRAMS)
            if len(cell["npi"]) != NPI_DIGITS or not whole_number(cell["npi"], NPI_DIGITS):
                faults.add("bad_npi", line, "An NPI has ten digits.", CHECK_ROW)
            elif any(flag not in ("Y", "N", "") for flag in flags):
                faults.add("bad_flag", line, "The programs are Y or N.", CHECK_ROW)
            else:
                kept[cell["npi"]] = Row(cell["npi"], coverage.first, coverage.last, (cell["last_name"], cell["first_name"], *flags))
        faults.raise_any()
    columns = ("last_name", "first_name", *ORDERING_PROGRAMS)
    return ParsedTable(write_code_table(kept.values(), tuple((name, "text") for name in columns)), len(kept))


def read_clia_certificates(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """CLIA number to the type of its certificate, from the day it began to the day it ends or was terminated."""
    fields = (
        Field("number", ("prvdrnum", "clianumber")),
        Field("type", ("crtfcttypecd", "certificatetype")),
        Field("first", ("crtfctefctvdt", "effectivefrom"), optional=True),
        Field("last", ("trmntnexprtndt", "effectivethrough"), optional=True),
    )
    kept: dict[str, Row] = {}
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if not valid_code(cell["number"], 10) or len(cell["number"]) != 10:
                faults.add("bad_clia", line, "A CLIA number has ten characters.", CHECK_ROW)
                continue
            if cell["type"] not in CERTIFICATES:
                if cell["type"] == "":
                    continue  # applied for, and not issued
                faults.add("bad_certificate", line, f"The certificate is one of {', '.join(CERTIFICATES)}.", CHECK_ROW)
                continue
            days = _days(cell, line, coverage, faults)
            if days is not None:
                kept[cell["number"]] = Row(cell["number"], *days, (CERTIFICATES[cell["type"]],))
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), (("certificate", "text"),)), len(kept))


def read_ndc_packages(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """NDC in eleven digits, from the first to the last day of marketing (the directory writes ten digits with dashes)."""
    fields = (
        Field("ndc", ("ndcpackagecode", "ndc11", "ndc")),
        Field("first", ("startmarketingdate", "effectivefrom"), optional=True),
        Field("last", ("endmarketingdate", "effectivethrough"), optional=True),
    )
    kept: dict[tuple[str, date], Row] = {}
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            ndc = _whole(cell["ndc"])
            if ndc is None:
                faults.add("bad_ndc", line, "An NDC is eleven digits, or ten in parts with dashes.", CHECK_ROW)
                continue
            days = _days(cell, line, coverage, faults)
            if days is not None:
                kept[ndc, days[0]] = Row(ndc, *days, ())
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), ()), len(kept))


def read_ndc_codes(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """NDC in eleven digits to the HCPCS codes it is billed with, with the days of the relation where the file gives them."""
    fields = (
        Field("code", ("hcpcs", *ASP_HEADERS)),
        Field("ndc", ("ndc", "ndc2", "ndc11")),
        Field("first", ("relationshipstartdate", "effectivefrom"), optional=True),
        Field("last", ("relationshipenddate", "effectivethrough"), optional=True),
    )
    kept: dict[tuple[str, str, date], Row] = {}
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            ndc = _whole(cell["ndc"])
            if ndc is None or not valid_code(cell["code"], 5):
                faults.add("bad_row", line, "A row has a HCPCS code and an NDC.", CHECK_ROW)
                continue
            days = _days(cell, line, coverage, faults)
            if days is not None:
                kept[ndc, cell["code"], days[0]] = Row(ndc, *days, (cell["code"],))
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), (("code", "text"),)), len(kept))


def _days(cell: Mapping[str, str], line: int, coverage: EffectivePeriod, faults: FaultList) -> tuple[date, date | None] | None:
    """First and last day of a row, from the first of the coverage on where it names none; a fault when it ends before it begins."""
    read_day = cell_reader(faults)
    first = read_day(line, cell.get("first", ""), "The first day", "") or coverage.first
    last = read_day(line, cell.get("last", ""), "The last day", "")
    if last is not None and last < first:
        faults.add("dates_swapped", line, "The row ends before it begins.", CHECK_ROW)
        return None
    return first, last


def _whole(ndc: str) -> str | None:
    return ndc if ndc_is_whole(ndc) else eleven_digits(ndc)
