"""What a claim is judged to be by one catalog and by another, and what that comes to over many claims."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rules_service.claim.claim import Claim
from rules_service.engine.decide import Decider
from rules_service.engine.evaluate import judge
from rules_service.findings.evaluation import Judgement
from rules_service.primitives.codes import shown_code, shown_npi
from rules_service.primitives.money import Money
from rules_service.reference.lookups import Lookups
from rules_service.services.snapshot import Snapshot
from rules_service.services.validate_claim import disposition
from rules_service.storage.change_requests import REFERENCE

TRANSITIONS = ("clean_to_finding", "finding_to_clean", "changed", "unchanged")
SAMPLES = 20
LARGEST = 50
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sides:
    """Two catalogs that differ in a rule set, and who decides."""

    rule_set_id: str
    before: Snapshot
    after: Snapshot
    hold: frozenset[str]
    decide: Decider

    def compare(self, claim: Claim, name: Mapping[str, Any]) -> Line | None:
        """What changes for a claim, under the name it is told by; None when the rule set does not speak of it on either side."""
        judged, times, concerned, payer_id = [], [], False, ""
        for snapshot in (self.before, self.after):
            policy, view = snapshot.policy_for(claim)
            # An edition of a reference table may matter to any claim.
            concerned = (
                concerned
                or self.rule_set_id.startswith(REFERENCE)
                or any(one.rule_set_id == self.rule_set_id for one in policy.publications)
            )
            started = time.perf_counter_ns()
            payer_id = view.payer_id
            judged.append(judge(policy, view, Lookups(snapshot.editions), self.hold, self.decide).judgement)
            times.append(time.perf_counter_ns() - started)
        if not concerned:
            return None
        return {**name, **_changed(claim, payer_id, *judged), "nanoseconds": times}


def _changed(claim: Claim, payer_id: str, before: Judgement, after: Judgement) -> Line:
    old, new = ({(one.finding_key, one.severity): one for one in judgement.findings} for judgement in (before, after))
    added = [new[key] for key in new if key not in old]
    removed = [old[key] for key in old if key not in new]
    was_clean, is_clean = before.outcome != "findings", after.outcome != "findings"
    transition = "unchanged"
    if was_clean != is_clean:
        transition = "clean_to_finding" if was_clean else "finding_to_clean"
    elif added or removed or before.outcome != after.outcome:
        transition = "changed"
    line: Line = {"transition": transition}
    if transition == "unchanged":
        return line
    numbers = {number for finding in (*added, *removed) for number in finding.line_numbers}
    lines = [one for one in claim.service_lines if not numbers or one.line_number in numbers]
    sides = (before, after)
    return line | {
        "outcome": [one.outcome for one in sides],
        "disposition": [disposition(one) for one in sides],
        "amount_at_risk": [str(one.total_amount_at_risk) for one in sides],
        "added": [_told(one) for one in added],
        "removed": [_told(one) for one in removed],
        "payer_id": payer_id,
        "billing_npi": shown_npi(claim.providers.billing.npi),
        "procedure_codes": sorted({shown_code(one.procedure_code) for one in lines if one.procedure_code}),
    }


def _told(finding: Any) -> dict[str, Any]:
    return {"rule_id": finding.rule_id, "code": finding.code, "severity": finding.severity, "line_numbers": list(finding.line_numbers)}


@dataclass(slots=True)
class Tally:
    """What the lines of many claims come to."""

    transitions: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(TRANSITIONS, 0)))
    not_judged: Counter[str] = field(default_factory=Counter)
    newly_blocked: int = 0
    no_longer_blocked: int = 0
    cents: list[int] = field(default_factory=lambda: [0, 0])
    nanoseconds: list[int] = field(default_factory=lambda: [0, 0])
    groups: dict[str, dict[str, Counter[str]]] = field(default_factory=lambda: {name: {} for name in ("rule", "payer", "provider", "code")})
    samples: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Count one claim."""
        if "not_judged" in line:
            self.not_judged[line["not_judged"]] += 1
            return
        transition = line["transition"]
        self.transitions[transition] += 1
        for side in (0, 1):
            self.nanoseconds[side] += line["nanoseconds"][side]
        if transition == "unchanged":
            return
        amounts = [Money.parse(amount).cents for amount in line["amount_at_risk"]]
        for side in (0, 1):
            self.cents[side] += amounts[side]
        held = [one == "hold" for one in line["disposition"]]
        self.newly_blocked += held[1] and not held[0]
        self.no_longer_blocked += held[0] and not held[1]
        found = self.samples.setdefault(transition, [])
        if len(found) < SAMPLES:
            found.append(line.get("evaluation_id", line.get("index")))
        members = {
            "rule": {one["rule_id"] for one in (*line["added"], *line["removed"])},
            "payer": {line["payer_id"]},
            "provider": {line["billing_npi"]},
            "code": set(line["procedure_codes"]),
        }
        for kind, names in members.items():
            for name in names:
                self.groups[kind].setdefault(name or "", Counter()).update({transition: 1, "cents": amounts[1] - amounts[0]})

    @property
    def judged(self) -> int:
        """Claims that were judged on both sides."""
        return sum(self.transitions.values())

    def result(self) -> dict[str, Any]:
        """The tally as plain data. Shares are of the claims judged, with Wilson's 95% interval; amounts are at-risk dollars of the
        claims that change."""
        judged, spent = self.judged, self.nanoseconds
        low, high = wilson(self.newly_blocked, judged)
        return {
            "claims_judged": judged,
            "not_judged": dict(sorted(self.not_judged.items())),
            "transitions": {name: self.transitions[name] for name in TRANSITIONS},
            "newly_blocked": self.newly_blocked,
            "no_longer_blocked": self.no_longer_blocked,
            "share_newly_blocked": _share(self.newly_blocked / judged if judged else 0.0),
            "share_interval": [_share(low), _share(high)],
            "amount_at_risk_before": str(Money(self.cents[0])),
            "amount_at_risk_after": str(Money(self.cents[1])),
            **{f"by_{kind}": _largest(groups) for kind, groups in self.groups.items()},
            "samples": {name: self.samples[name] for name in TRANSITIONS if name in self.samples},
            "evaluation_time_ratio": f"{spent[1] / spent[0]:.2f}" if spent[0] else None,
        }


def tally(lines: Iterable[Line]) -> Tally:
    """The tally of lines."""
    whole = Tally()
    for line in lines:
        whole.add(line)
    return whole


def wilson(hits: int, of: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) of nothing."""
    if of == 0:
        return 0.0, 1.0
    share = hits / of
    middle = share + z * z / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _share(value: float) -> str:
    return f"{value:.6f}"


def _largest(groups: Mapping[str, Counter[str]]) -> list[dict[str, Any]]:
    """The members most claims change for, most first."""
    ordered = sorted(groups.items(), key=lambda item: (-sum(item[1][name] for name in TRANSITIONS), item[0]))
    return [
        {"name": name, **{one: counts[one] for one in TRANSITIONS[:3]}, "amount_at_risk_change": str(Money(counts["cents"]))}
        for name, counts in ordered[:LARGEST]
    ]
