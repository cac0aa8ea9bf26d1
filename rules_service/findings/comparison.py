"""What one judgement of a claim says otherwise than another, by finding key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from rules_service.claim.codec import encode_json
from rules_service.findings.evaluation import Judgement

JUDGED = tuple(field.encode_name for field in msgspec.structs.fields(Judgement))
"""Members of an evaluation that the engine answers for; the rest is identity, time and pins."""


def judged_part(evaluation: bytes) -> dict[str, Any]:
    """The judgement within the bytes of a stored evaluation, as plain data."""
    document = msgspec.json.decode(evaluation)
    return {name: document.get(name) for name in JUDGED}


def plain(judgement: Judgement) -> dict[str, Any]:
    """A judgement as the same plain data."""
    document: dict[str, Any] = msgspec.json.decode(encode_json(judgement))
    return document


def compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Findings added, removed and changed (with the members that differ), and the members of the judgement that differ."""
    old, new = _by_key(before["findings"]), _by_key(after["findings"])
    changed = []
    for key in sorted(old.keys() & new.keys()):
        members = sorted(name for name in new[key] if name != "finding_id" and new[key][name] != old[key].get(name))
        if members:
            changed.append({**_told(new[key]), "members": members})
    return {
        "findings_added": [_told(new[key]) for key in sorted(new.keys() - old.keys())],
        "findings_removed": [_told(old[key]) for key in sorted(old.keys() - new.keys())],
        "findings_changed": changed,
        "members": sorted(name for name in JUDGED if name != "findings" and before.get(name) != after.get(name)),
        "outcome": [before["outcome"], after["outcome"]],
    }


def _by_key(findings: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {f"{finding['finding_key']}/{number}": finding for finding, number in _numbered(findings)}


def _numbered(findings: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], int]]:
    """Each finding with how many of its key came before it."""
    seen: dict[str, int] = {}
    found = []
    for finding in findings:
        key = str(finding["finding_key"])
        found.append((finding, seen.get(key, 0)))
        seen[key] = seen.get(key, 0) + 1
    return found


def _told(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {name: finding[name] for name in ("finding_key", "rule_id", "rule_version", "code", "severity", "line_numbers")}
