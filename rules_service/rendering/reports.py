"""Many evaluations as one report: rows for a spreadsheet (CSV), or results with their places for tools that read SARIF 2.1.0.

Works on the JSON a client gets. An entry is one claim of a file: `file`, `claim` (from 1), and `evaluation` or `problem`; of an 837 also
`segment` (of the claim) and `places` (of the findings). What leaves a claim open, so that it is not clean, is told like a finding.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from rules_service import __version__
from rules_service.findings.finding import leaves_open

COLUMNS = (
    "file", "claim", "outcome", "disposition", "finding_code", "rule_id", "severity", "lines", "message", "json_pointer", "x12", "segment", "form", "group_code", "carc",
    "amount_at_risk", "fix_by",
)  # fmt: skip
LEVELS = {
    "reject": "error",
    "deny_hard": "error",
    "deny_soft": "error",
    "pend": "warning",
    "warn": "warning",
    "not evaluated": "warning",
    "info": "note",
}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Entry = Mapping[str, Any]


def csv_report(entries: Iterable[Entry]) -> str:
    """A row a finding; a claim without one, or that could not be read, has a row of its own."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for entry in entries:
        for row in _rows(entry):
            writer.writerow({name: _cell(row.get(name)) for name in COLUMNS})
    return out.getvalue()


def _cell(value: object) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(entry: Entry) -> list[dict[str, Any]]:
    head = {"file": entry["file"], "claim": entry["claim"]}
    if "problem" in entry:
        errors = entry["problem"]["errors"] or [{"pointer": "", "code": "", "message": entry["problem"]["title"]}]
        return [
            head | {"outcome": "refused", "finding_code": one["code"], "message": one["message"], "json_pointer": one["pointer"]}
            for one in errors
        ]
    evaluation = entry["evaluation"]
    head |= {"outcome": evaluation["outcome"], "disposition": evaluation["disposition"]}
    rows = [head | _finding_row(one, entry.get("places", {}).get(one["finding_id"], {})) for one in evaluation["findings"]]
    if evaluation["outcome"] in ("incomplete", "not_covered"):
        rows += [head | _open_row(one) for one in evaluation["not_evaluated"] if leaves_open(one)]
    return rows or [head]


def _open_row(not_evaluated: Mapping[str, Any]) -> dict[str, Any]:
    lines, reason = " ".join(map(str, not_evaluated["line_numbers"])), not_evaluated["reason"]
    supply = f" Supply {not_evaluated['supply']}." if not_evaluated["supply"] else ""
    return {
        "finding_code": not_evaluated["code"] or reason, "rule_id": not_evaluated["rule_id"], "severity": "not evaluated", "lines": lines,
        "message": f"Could not be judged: {reason}.{supply}",
    }  # fmt: skip


def _finding_row(finding: Mapping[str, Any], at: Mapping[str, int]) -> dict[str, Any]:
    place, denial = finding["location"], finding["predicted_denial"] or {}
    return {
        "finding_code": finding["code"], "rule_id": finding["rule_id"], "severity": finding["severity"], "lines": " ".join(map(str, finding["line_numbers"])),
        "message": finding["message"], "json_pointer": place["json_pointer"], "x12": place["x12"], "segment": at.get("segment"), "byte": at.get("byte"), "form": place["form"], "group_code": denial.get("group_code"),
        "carc": denial.get("carc"), "amount_at_risk": finding["amount_at_risk"], "fix_by": finding["fix_by"],
    }  # fmt: skip


def sarif_report(entries: Iterable[Entry]) -> dict[str, Any]:
    """SARIF 2.1.0: a result a finding, with the file and the claim's place in it."""
    results: list[dict[str, Any]] = []
    rules: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for row in _rows(entry):
            code = row.get("finding_code")
            if not code:
                continue
            rules.setdefault(code, {"id": code})
            place = row.get("x12") or row.get("json_pointer") or ""
            region = {"region": {"byteOffset": row["byte"]}} if row.get("byte") is not None else {}
            results.append(
                {
                    "ruleId": code,
                    "level": LEVELS.get(row.get("severity", "reject"), "error"),
                    "message": {"text": row["message"]},
                    "locations": [
                        {
                            "physicalLocation": {"artifactLocation": {"uri": quote(row["file"])}, **region},
                            "logicalLocations": [{"fullyQualifiedName": f"claim {row['claim']}" + (f" {place}" if place else "")}],
                        }
                    ],
                }
            )
    driver = {"name": "rules-service", "version": __version__, "rules": [rules[code] for code in sorted(rules)]}
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
