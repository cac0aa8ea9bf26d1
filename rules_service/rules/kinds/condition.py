"""`condition`: a free condition tree over the fact catalogue, for everything that needs no kind of its own."""

from __future__ import annotations

from collections.abc import Iterable

from rules_service.claim.locations import Place
from rules_service.rules.kinds.base import Candidate, Judged, NoParameters, RuleKind


class ConditionKind(RuleKind[NoParameters]):
    """Claim or line level. The tree is the version's `when`; the finding is the version's `finding`, complete."""

    name = "condition"
    title = "Condition over the fact catalogue"
    levels = ("claim", "line")

    def derive(self, parameters: NoParameters, judged: Judged) -> Iterable[Candidate]:
        """The claim, or each line: their facts are read from the catalogue as the condition asks for them."""
        at = judged.content.finding.at if judged.content.finding and judged.content.finding.at else judged.content.level
        if judged.content.level == "claim":
            yield Candidate(lines=judged.view.lines, facts={}, place=Place(at), amount=judged.view.total_at_risk)
            return
        for line in judged.lines:
            yield Candidate(
                lines=(line,),
                facts={},
                place=Place(at, line.index, line.number),
                params={"line_number": str(line.number), "procedure_code": line.code or "without a code"},
            )
