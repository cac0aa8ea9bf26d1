"""Readers of what payers' edits rest on besides code sets: fee schedule indicators, Medicare Code Editor lists, ICD-10-CM notes, code lists,
and the denial crosswalk of this project.

Sources: CMS physician fee schedule relative value file (PPRRVU); CMS Medicare Code Editor lists and POA-exempt list; NUCC taxonomy;
NUBC revenue codes and modifiers as lists of codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import Row, write_code_table
from rules_service.reference.delimited import FaultList, Field, cell_reader, decode_text, rows, valid_code
from rules_service.reference.source_files import ParsedTable, SourceFile

REQUIRE_RARC = frozenset({"16", "96", "129", "148", "226", "227", "234", "237", "250", "251", "252", "267", "A1"})
"""CARCs that say nothing without a remark code (X12 code list 139, usage notes)."""
CROSSWALK_COLUMNS = ("outcome", "group_code", "carc", "rarcs", "claim_status", "appealable", "patient_billable")
OUTCOMES = ("rejection", "denial", "pend", "none")
FEE_COLUMNS = ("status", "components", "global", "bilateral", "assistant", "co_surgeon", "team")
LABORATORY_INTERPRETATION = "6"
"""PC/TC indicator of clinical laboratory codes that a physician interprets, with modifier 26."""
PAYMENT_STATUS = re.compile(r"[A-Z]\d?")
_AGES = re.compile(r"\(Ages? (\d+)(?:-(\d+))?(?: Only)?\)")


def read_fee_schedule(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Indicators of each code: its row without a modifier, else its first row. Rows are valid for the coverage. A laboratory code whose
    professional part has a row of its own (modifier 26, PC/TC 6) has that row's PC/TC indicator: the other says 9, "does not apply"."""
    fields = (
        Field("code", ("hcpcs", "hcpcscode")),
        Field("modifier", ("mod",)),
        Field("status", ("status", "statuscode")),
        Field("components", ("pctc", "pctcind")),
        Field("global", ("glob", "globdays")),
        Field("bilateral", ("bilatsurg",)),
        Field("assistant", ("asstsurg",)),
        Field("co_surgeon", ("cosurg",)),
        Field("team", ("teamsurg",)),
    )
    kept: dict[str, Row] = {}
    interpreted: set[str] = set()
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(unstacked(decode_text(file.data, file.name)), fields, faults):
            if not valid_code(cell["code"], 5):
                faults.add("bad_code", line, "A code is letters and digits.", "Check the row against the published file.")
            elif cell["modifier"] == "" or cell["code"] not in kept:
                values = tuple(cell[name] for name in FEE_COLUMNS)
                kept[cell["code"]] = Row(cell["code"], coverage.first, coverage.last, values)
            if cell["modifier"] == "26" and cell["components"] == LABORATORY_INTERPRETATION:
                interpreted.add(cell["code"])
        faults.raise_any()
    at = FEE_COLUMNS.index("components")
    for code in interpreted:
        row = kept[code]
        kept[code] = replace(row, values=(*row.values[:at], LABORATORY_INTERPRETATION, *row.values[at + 1 :]))
    return ParsedTable(write_code_table(kept.values(), tuple((name, "text") for name in FEE_COLUMNS)), len(kept))


def read_payment_status(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """The status indicator of each code in Addendum B of the outpatient prospective payment system. Rows are valid for the coverage."""
    fields = (Field("code", ("hcpcs", "hcpcscode")), Field("status", ("si", "status", "statusindicator")))
    kept: dict[str, Row] = {}
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if not valid_code(cell["code"], 5):
                faults.add("bad_code", line, "A code is letters and digits.", "Check the row against the published file.")
            elif not PAYMENT_STATUS.fullmatch(cell["status"]):
                faults.add(
                    "bad_status", line, "A status is a letter, with a digit behind some.", "Check the row against the published file."
                )
            else:
                kept[cell["code"]] = Row(cell["code"], coverage.first, coverage.last, (cell["status"],))
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), (("status", "text"),)), len(kept))


def unstacked(text: str) -> str:
    """The relative value file's header stands in several rows, one word below the other; they are joined into one."""
    lines = text.splitlines(keepends=True)
    for at, line in enumerate(lines[:20]):
        cells = [cell.strip().strip('"') for cell in line.split(",")]
        if cells[0].upper() == "HCPCS" and len(cells) > 10 and at > 0:
            above = [[cell.strip().strip('"') for cell in lines[number].split(",")] for number in range(max(0, at - 3), at)]
            above = [one for one in above if not one[0]]  # a title stands in the first cell
            joined = [" ".join(one[place] for one in [*above, cells] if place < len(one) and one[place]) for place in range(len(cells))]
            return ",".join(f'"{cell}"' for cell in joined) + "\n" + "".join(lines[at + 1 :])
    return text


def read_denial_crosswalk(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Finding code (and qualifier) to what the payer would answer; keys are `code` or `code:qualifier`."""
    fields = (
        Field("code", ("findingcode",)),
        Field("qualifier", ("qualifier",)),
        *(Field(name, (name.replace("_", ""),)) for name in CROSSWALK_COLUMNS),
        Field("requires_rarc", ("requiresrarc",)),
        Field("first", ("effectivefrom",)),
        Field("last", ("effectivethrough",)),
    )
    kept: list[Row] = []
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            if cell["outcome"] not in OUTCOMES or not cell["code"].replace("_", "").replace(".", "").isalnum():
                faults.add("bad_row", line, f"A row has a finding code and an outcome: {', '.join(OUTCOMES)}.", "Mend the row.")
                continue
            if any(cell[name] not in ("true", "false", "") for name in ("appealable", "patient_billable", "requires_rarc")):
                faults.add("bad_flag", line, "Flags are true or false.", "Mend the row.")
                continue
            requires = cell["carc"] in REQUIRE_RARC
            if requires != (cell["requires_rarc"] == "true") or (requires and not cell["rarcs"]):
                faults.add(
                    "rarc", line, "The CARC needs a remark code, or is said to need one and does not.", "Give rarcs and requires_rarc."
                )
                continue
            if bool(cell["carc"]) != bool(cell["group_code"]) or (cell["carc"] == "18" and cell["group_code"] != "OA"):
                faults.add("group_code", line, "A CARC has its group code (OA for 18).", "Mend the row.")
                continue
            first = read_day(line, cell["first"], "effective_from", "") or coverage.first
            last = read_day(line, cell["last"], "effective_through", "")
            if last is not None and last < first:
                faults.add("dates_swapped", line, "effective_through lies before effective_from.", "Swap the dates.")
                continue
            key = f"{cell['code']}:{cell['qualifier']}" if cell["qualifier"] else cell["code"]
            kept.append(Row(key, first, last, tuple(cell[name] for name in CROSSWALK_COLUMNS)))
        faults.raise_any()
    return ParsedTable(write_code_table(kept, tuple((name, "text") for name in CROSSWALK_COLUMNS)), len(kept))


def read_diagnosis_age_sex(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Ages (years, both inclusive) and sex of diagnoses: Medicare Code Editor rows (conflict group and rule), or plain columns."""
    limits: dict[str, list[str]] = {}
    for file in files:
        faults = FaultList(file.name)
        text = decode_text(file.data, file.name)
        if "conflict" in text[:500].lower():
            for line, cell in rows(
                text, (Field("code", ("icdcode",)), Field("group", ("icdconflictgroup",)), Field("rule", ("icdconflictrule",))), faults
            ):
                code = cell["code"].replace(".", "")
                found = _AGES.search(cell["rule"])
                if not valid_code(code):
                    faults.add("bad_code", line, "A diagnosis code is letters and digits.", "Check the row against the published list.")
                elif cell["group"] == "Age" and found is not None:
                    limits.setdefault(code, ["", "", ""])[:2] = [found[1], found[2] or found[1]]
                elif cell["group"] == "Sex" and cell["rule"] in ("Female Only", "Male Only"):
                    limits.setdefault(code, ["", "", ""])[2] = cell["rule"][0]
                elif cell["group"] in ("Age", "Sex"):
                    faults.add("bad_rule", line, "The rule names no ages and no sex.", "Check the row against the published list.")
        else:
            fields = (Field("code", ("code",)), Field("first", ("agefrom",)), Field("last", ("agethrough",)), Field("sex", ("sex",)))
            for line, cell in rows(text, fields, faults):
                code = cell["code"].replace(".", "")
                if (
                    not valid_code(code)
                    or cell["sex"] not in ("", "F", "M")
                    or not all(one == "" or one.isdigit() for one in (cell["first"], cell["last"]))
                ):
                    faults.add("bad_row", line, "A row has a code, ages in years and F or M.", "Mend the row.")
                    continue
                limits[code] = [cell["first"], cell["last"], cell["sex"]]
        faults.raise_any()
    kept = [Row(code, coverage.first, coverage.last, tuple(values)) for code, values in limits.items()]
    return ParsedTable(write_code_table(kept, (("age_from", "text"), ("age_through", "text"), ("sex", "text"))), len(kept))


_LISTS = {
    "manifestation": "manifestation",
    "unacceptable principal": "unacceptable_principal",
    "unacceptable_principal": "unacceptable_principal",
    "principal_unacceptable": "unacceptable_principal",
    "poa_exempt": "poa_exempt",
    "right": "right",
    "left": "left",
    "bilateral": "bilateral",
}


def read_diagnosis_lists(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Which list a diagnosis stands in: Medicare Code Editor rows, the POA-exempt list, or plain columns `code` and `list`."""
    kept: set[tuple[str, str]] = set()
    for file in files:
        faults = FaultList(file.name)
        text = decode_text(file.data, file.name)
        start = text[:500].lower()
        if "poaexempt" in start.replace(" ", ""):
            found = ((line, cell["code"], "poa_exempt") for line, cell in rows(text, (Field("code", ("poaexemptcode",)),), faults))
        elif "conflict" in start:
            fields = (Field("code", ("icdcode",)), Field("group", ("icdconflictgroup",)), Field("rule", ("icdconflictrule",)))
            found = (
                (line, cell["code"], cell["rule"].lower())
                for line, cell in rows(text, fields, faults)
                if cell["group"] not in ("Age", "Sex")
            )
        else:
            found = (
                (line, cell["code"], cell["list"])
                for line, cell in rows(text, (Field("code", ("code",)), Field("list", ("list",))), faults)
            )
        for line, code, name in found:
            bare = code.replace(".", "")
            known = next((ours for theirs, ours in _LISTS.items() if name.startswith(theirs)), None)
            if not valid_code(bare):
                faults.add("bad_code", line, "A diagnosis code is letters and digits.", "Check the row against the published list.")
            elif known is not None:
                kept.add((bare, known))
            elif "conflict" not in start:
                faults.add("bad_list", line, f"The lists are {', '.join(sorted(set(_LISTS.values())))}.", "Mend the cell.")
        faults.raise_any()
    return diagnosis_list_rows(kept, coverage)


def diagnosis_list_rows(pairs: Iterable[tuple[str, str]], coverage: EffectivePeriod) -> ParsedTable:
    """The table of (code, list) pairs; dots are removed."""
    kept = [Row(code.replace(".", ""), coverage.first, coverage.last, (name,)) for code, name in pairs]
    return ParsedTable(write_code_table(kept, (("list", "text"),)), len(kept))


def read_excludes1(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """Excludes1 notes as columns `code` and `excluded` (a code, a category or a range of them)."""
    kept: list[tuple[str, str]] = []
    for file in files:
        faults = FaultList(file.name)
        for line, cell in rows(decode_text(file.data, file.name), (Field("code", ("code",)), Field("excluded", ("excluded",))), faults):
            parts = cell["excluded"].replace(".", "").split("-")
            if not valid_code(cell["code"].replace(".", "")) or not 1 <= len(parts) <= 2 or not all(valid_code(part) for part in parts):
                faults.add("bad_row", line, "A row has a code and what it excludes: a code, or a range such as O10-O16.", "Mend the row.")
                continue
            kept.append((cell["code"], "-".join(parts)))
        faults.raise_any()
    return excludes1_rows(kept, coverage)


def excludes1_rows(notes: Iterable[tuple[str, str]], coverage: EffectivePeriod) -> ParsedTable:
    """The table of (code or category, what its Excludes1 note names)."""
    kept = [Row(code.replace(".", ""), coverage.first, coverage.last, (excluded,)) for code, excluded in sorted(set(notes))]
    return ParsedTable(write_code_table(kept, (("excluded", "text"),)), len(kept))


_NOTE = re.compile(r"\b([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?)(?:\.?-?(?=[,) ]|$))?(?:\s?-\s?([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?))?")


def excluded_codes(note: str) -> list[str]:
    """The codes, categories and ranges a note names in its last parentheses: `(I11.-)` gives I11, `(O10-O11, O13-O16)` two ranges."""
    inside = note[note.rfind("(") + 1 : note.rfind(")")] if "(" in note and note.endswith(")") else ""
    return [f"{first}-{last}".replace(".", "") if last else first.replace(".", "") for first, last in _NOTE.findall(inside)]


def read_code_list(files: list[SourceFile], coverage: EffectivePeriod) -> ParsedTable:
    """A list of codes in the first of the columns a publisher calls its code; dates where it gives them."""
    fields = (
        Field("code", ("code", "modcode", "revenuecentercode", "revenuecode", "hcpcscode", "hcpcs", "cptcode")),
        Field("first", ("effectivefrom",), optional=True),
        Field("last", ("effectivethrough",), optional=True),
    )
    kept: dict[str, Row] = {}
    for file in files:
        faults = FaultList(file.name)
        read_day = cell_reader(faults)
        for line, cell in rows(decode_text(file.data, file.name), fields, faults):
            code = cell["code"].upper()
            if not valid_code(code, 10):
                faults.add("bad_code", line, "A code is up to ten letters and digits.", "Check the row against the published list.")
                continue
            first = read_day(line, cell.get("first", ""), "effective_from", "") or coverage.first
            kept[code] = Row(code, first, read_day(line, cell.get("last", ""), "effective_through", "") or coverage.last, ())
        faults.raise_any()
    return ParsedTable(write_code_table(kept.values(), ()), len(kept))
