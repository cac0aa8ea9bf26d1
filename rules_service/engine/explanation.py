"""Why a claim was judged as it was: every rule that concerned it, with each condition and the facts it saw."""

from __future__ import annotations

from typing import Any

from rules_service.engine.decide import engine_decider
from rules_service.engine.evaluate import settle
from rules_service.engine.gather import line_numbers_of, subject_of
from rules_service.engine.policy import Policy, specs_for
from rules_service.facts.view import ClaimView
from rules_service.reference.lookups import Lookups
from rules_service.rules.matching import explain


def explanation(policy: Policy, view: ClaimView, lookups: Lookups) -> list[dict[str, Any]]:
    """Every rule that concerned the claim: each branch's conditions with true, false or unknown and the facts seen; then the losers."""
    gathered, _, _ = settle(policy, view, lookups, frozenset(), engine_decider)
    told: list[dict[str, Any]] = []
    for rule, question in gathered.asked():
        content = rule.rule.content
        branches = []
        for branch, program in rule.branches:
            told_branch = explain(program.condition, question.fact, specs_for(rule.kind, content.level).get)
            branches.append({"code": branch.code, **told_branch.plain()})
            if told_branch.truth:
                break
        candidate = subject_of(question, rule, view)
        told.append(
            {
                "rule_id": content.rule_id,
                "rule_version": rule.rule.version,
                "rule_kind": content.kind,
                "stage": content.stage,
                "line_numbers": list(line_numbers_of(rule, candidate)),
                "related_line_numbers": [line.number for line in candidate.related],
                "branches": branches,
            }
        )
    told.sort(key=lambda one: (one["rule_id"], one["line_numbers"], one["related_line_numbers"]))
    return told + [{"rule_id": loser.rule_id, "lost_to": loser.by, "how": loser.how} for loser in gathered.lost()]
