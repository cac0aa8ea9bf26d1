"""Which rule sets speak of a claim, and which of their rules stand once the more specific ones have overridden or disabled others.

Precedence, most specific first: plan, product, payer with line of business and state, payer with claim type, payer, national.
A rule may override or disable only rules of a broader scope; the losers are kept for the explanation.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from rules_service.findings.finding import Severity
from rules_service.rules.rule import RuleSetScope, RuleVersionContent

_LAYER = {"national": 0, "payer": 1, "product": 2, "plan": 3}


@dataclass(frozen=True, slots=True)
class StandingRule:
    """A rule version in force, with where it comes from."""

    content: RuleVersionContent
    version: int
    sha256: str
    rule_set_id: str
    layer: str
    rank: tuple[int, ...]
    severity_cap: Severity | None = None
    """What an emergency holds its findings to."""
    verified_on: date | None = None
    reverify_by: date | None = None


@dataclass(frozen=True, slots=True)
class Loser:
    """A rule that would apply but for a more specific one."""

    rule_id: str
    by: str
    how: str


@dataclass(frozen=True, slots=True)
class ScopeKey:
    """What of a claim decides which rule sets speak of it. `payer_id` is the payer its ids and aliases resolved to ("" when none)."""

    payer_id: str
    line_of_business: str | None
    state: str | None
    plan_id: str | None
    product: str | None
    claim_type: str


def scope_matches(scope: RuleSetScope, key: ScopeKey) -> bool:
    """True when claims of this key lie in the scope."""
    return all(not wanted or held in wanted for wanted, held, _ in _tests(scope, key))


def undecided_for_want_of(scope: RuleSetScope, key: ScopeKey) -> tuple[str, ...]:
    """The fields of the claim it leaves out that would decide whether it lies in the scope; () when that is decided."""
    open_tests = [(held, field) for wanted, held, field in _tests(scope, key) if wanted and held not in wanted]
    return tuple(field for _, field in open_tests) if all(held is None for held, _ in open_tests) else ()


def _tests(scope: RuleSetScope, key: ScopeKey) -> tuple[tuple[Sequence[str], str | None, str], ...]:
    """(what the scope asks, what the claim has, its field) of everything a scope may ask."""
    return (
        (scope.payer_ids, key.payer_id, "payer.payer_id"),
        (scope.lines_of_business, key.line_of_business, "payer.line_of_business"),
        (scope.states, key.state, "payer.state"),
        (scope.plan_ids, key.plan_id, "payer.plan_id"),
        (scope.products, key.product, "payer.product"),
        (scope.claim_types, key.claim_type, "claim_type"),
    )


def scope_rank(scope: RuleSetScope) -> tuple[int, ...]:
    """How specific a scope is; a greater tuple wins."""
    return (
        _LAYER[scope.layer],
        bool(scope.plan_ids),
        bool(scope.products),
        bool(scope.lines_of_business) + bool(scope.states),
        bool(scope.claim_types),
        bool(scope.payer_ids),
    )


def standing(rules: Iterable[StandingRule]) -> tuple[list[StandingRule], list[Loser]]:
    """Rules that stand, in a fixed order, and those that lost. Only a stable rule of a more specific scope can displace one. What an overridden
    rule had overridden stays so: the rule that takes its place answers for it. A disabled rule displaces nothing."""
    ordered = sorted(rules, key=lambda rule: (rule.rank, rule.content.rule_id), reverse=True)
    losers: dict[str, Loser] = {}
    for winner in ordered:
        lost = losers.get(winner.content.rule_id)
        if winner.content.stage != "stable" or (lost is not None and lost.how != "overridden"):
            continue
        for how, targets in (("overridden", winner.content.overrides), ("disabled", winner.content.disables)):
            for loser in ordered:
                if loser.content.rule_id in targets and loser.rank < winner.rank:
                    losers.setdefault(loser.content.rule_id, Loser(loser.content.rule_id, winner.content.rule_id, how))
    kept = [rule for rule in reversed(ordered) if rule.content.rule_id not in losers]
    kept.sort(key=lambda rule: rule.content.rule_id)
    return kept, sorted(losers.values(), key=lambda loser: loser.rule_id)
