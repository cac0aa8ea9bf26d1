"""`condition`: a free condition tree over the fact catalogue, for everything that needs no kind of its own."""

from __future__ import annotations

from rules_service.claim.locations import Place
from rules_service.facts.view import ClaimView, LineView
from rules_service.rules.kinds.base import Candidate, NoParameters, RuleKind, Telling
from rules_service.rules.rule import RuleVersionContent


class ConditionKind(RuleKind[NoParameters]):
    """Claim or line level. The tree is the version's `when`; the finding is the version's `finding`, complete.

    The engine asks all condition rules of a level about one shared fact of the claim or line, so nothing is derived here.
    """

    name = "condition"
    title = "Condition over the fact catalogue"
    levels = ("claim", "line")


def condition_candidate(content: RuleVersionContent, view: ClaimView, line: LineView | None) -> Candidate:
    """The claim (no line), or a line, as the subject of a condition rule that came true or unknown."""
    at = content.finding.at if content.finding and content.finding.at else content.level
    if line is None:
        return Candidate(lines=view.lines, facts={}, place=Place(at), amount=view.total_at_risk)
    telling = Telling(params={"line_number": str(line.number), "procedure_code": line.code or "without a code"})
    return Candidate(lines=(line,), facts={}, place=Place(at, line.index, line.number), tell=lambda: telling)
