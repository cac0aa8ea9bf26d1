"""Waivers: findings a person chose to pass. A waived finding stays in the answer, marked; it no longer holds the claim.

They are an overlay on the judged bytes, never part of them: what is stored and replayed knows no waiver.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from rules_service.findings.finding import SEVERITY_RANK

WaiverScope = Literal["finding", "standing"]


@dataclass(frozen=True, slots=True)
class Waiver:
    """A choice to pass a finding of one claim (lineage and finding key), or a code for a payer and billing provider, through a day."""

    waiver_id: str
    scope: WaiverScope
    rule_id: str
    code: str
    lineage_id: str | None
    finding_key: str | None
    payer_id: str | None
    billing_npi: str | None
    reason_code: str
    waived_by: str
    on_behalf_of: str | None
    waived_at: datetime
    expires_on: date

    def shown(self) -> dict[str, Any]:
        """What stands on the finding."""
        names = ("waiver_id", "scope", "reason_code", "waived_by", "on_behalf_of", "waived_at", "expires_on")
        return {name: getattr(self, name) for name in names}


class WaiverBook:
    """The waivers of a tenant that have not been ended, by what they pass. `version` counts the tenant's changes of them."""

    def __init__(self, version: int, waivers: Iterable[Waiver] = ()) -> None:
        self.version = version
        self._found: dict[tuple[str | None, ...], Waiver] = {}
        for waiver in waivers:
            if waiver.scope == "finding":
                self._found[waiver.lineage_id, waiver.finding_key] = waiver
            else:
                self._found[waiver.payer_id, waiver.code, waiver.billing_npi] = waiver

    def __bool__(self) -> bool:
        return bool(self._found)

    def matching(
        self, findings: Sequence[tuple[str, str]], lineage_id: str, payer_id: str, billing_npi: str | None, day: date
    ) -> dict[str, Waiver]:
        """By finding key: the waiver of each finding, given as (key, code), that one passes on a day. One of the claim goes first."""
        matched = {}
        for key, code in findings:
            for wanted in ((lineage_id, key), (payer_id, code, billing_npi)):
                waiver = self._found.get(wanted)
                if waiver is not None and waiver.expires_on >= day:
                    matched[key] = waiver
                    break
        return matched


def with_waivers(evaluation: bytes, matched: Mapping[str, Waiver]) -> bytes:
    """The answer with its waived findings marked, and the disposition that leaves."""
    document = msgspec.json.decode(evaluation)
    for finding in document["findings"]:
        waiver = matched.get(finding["finding_key"])
        if waiver is not None:
            finding["waiver"] = waiver.shown()
    left = [finding for finding in document["findings"] if finding["waiver"] is None]
    if any(finding["blocking"] for finding in left):
        document["disposition"] = "hold"
    elif document["outcome"] in ("incomplete", "not_covered") or any(
        SEVERITY_RANK[one["severity"]] >= SEVERITY_RANK["warn"] for one in left
    ):
        document["disposition"] = "review"
    else:
        document["disposition"] = "release"
    return msgspec.json.encode(document)
