"""The answer to a check before the service, in the vocabulary of Da Vinci CRD where it has words."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from rules_service.findings.evaluation import Pins
from rules_service.findings.finding import Finding, FindingStruct, NotEvaluated

AuthorizationNeed = Literal["auth-needed", "no-auth", "satisfied", "conditional", "indeterminate"]
"""CRD `pa-needed`: conditional when it depends on what was not said, indeterminate when no rule of the payer names the service."""
Covered = Literal["covered", "not-covered", "conditional", "indeterminate"]
"""CRD `covered`. Covered only when a coverage rule of the payer names the service and is met."""
Frequency = Literal["within", "exceeded", "unknown", "indeterminate"]
"""Unknown for want of history; indeterminate when no rule of the payer limits the service."""
Basis = Literal["required", "not_required", "voluntary", "notification", "unknown", "not_named"]
"""What the list that decides says of the service."""


class ServiceAnswer(FindingStruct, frozen=True):
    """What is known of one planned service, by its position from 1; `rule_ids` said so, `supply` would tell what is not known."""

    line_number: int
    procedure_code: str
    authorization: AuthorizationNeed
    authorization_basis: Basis
    authorization_rule_id: str | None
    authorization_rule_version: int | None
    covered: Covered
    frequency: Frequency
    rule_ids: tuple[str, ...]
    supply: tuple[str, ...]


class ServiceCheckAnswer(FindingStruct, frozen=True):
    """All planned services, with the findings and the rules that could not be judged. Nothing of it is stored."""

    checked_at: datetime
    payer_id: str | None
    covers_payer: bool
    services: tuple[ServiceAnswer, ...]
    findings: tuple[Finding, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    pins: Pins
