"""The kinds of rule. A new kind is one module here, registered in `KINDS`."""

from __future__ import annotations

from typing import Any

from rules_service.rules.kinds.authorization_requirement import AuthorizationRequirementKind
from rules_service.rules.kinds.base import RuleKind
from rules_service.rules.kinds.code_pair import CodePairKind
from rules_service.rules.kinds.code_validity import CodeValidityKind
from rules_service.rules.kinds.condition import ConditionKind
from rules_service.rules.kinds.filing_limit import FilingLimitKind
from rules_service.rules.kinds.identifier import IdentifierKind
from rules_service.rules.kinds.unit_limit import UnitLimitKind

KINDS: dict[str, RuleKind[Any]] = {
    kind.name: kind
    for kind in (
        AuthorizationRequirementKind(),
        CodePairKind(),
        CodeValidityKind(),
        ConditionKind(),
        FilingLimitKind(),
        IdentifierKind(),
        UnitLimitKind(),
    )
}
