"""The stored answer to one claim."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from rules_service.findings.finding import Bypassed, Finding, FindingStruct, NotEvaluated, Severity
from rules_service.primitives.money import Money

Outcome = Literal["findings", "not_covered", "incomplete", "clean"]
Disposition = Literal["release", "review", "hold"]


class PublicationPin(FindingStruct, frozen=True):
    """One publication that was in force."""

    rule_set_id: str
    number: int
    sha256: str


class ReferencePin(FindingStruct, frozen=True):
    """One reference-table edition that was looked at."""

    name: str
    edition: str
    sha256: str


class Pins(FindingStruct, frozen=True):
    """Everything the answer depends on besides the claim; with the stored input it reproduces the answer."""

    catalog_epoch: int
    publications: tuple[PublicationPin, ...]
    reference_tables: tuple[ReferencePin, ...]
    engine_version: str
    input_sha256: str


class UndecidedRuleSet(FindingStruct, frozen=True):
    """A rule set that may speak of the claim: `supply` names the fields the claim leaves out and its scope asks for."""

    rule_set_id: str
    supply: tuple[str, ...]


class Coverage(FindingStruct, frozen=True):
    """How many rule versions concerned the claim, how many could be judged whole, and what no rule asks.

    `kinds_without_rule` names the rule kinds of which no rule is in force for this payer and type of claim on the claim's dates: nothing
    was looked for there, so `clean` does not speak of it. `GET /v1/rule-kinds` says what each is about. `excerpts` names the tables that were
    asked and hold a part of their published list only: of a code they do not hold they say nothing. `payer_named_by` is `name` where the payer id
    of the claim is none of the payer's and only its name was recognised: a claim sent so may reach nobody. `undecided_rule_sets` are those of a
    state, plan, product or line of business the claim does not state: they were not asked.
    """

    rules_applicable: int
    rules_evaluated: int
    kinds_without_rule: tuple[str, ...] = ()
    excerpts: tuple[str, ...] = ()
    payer_named_by: Literal["payer_id", "name"] | None = None
    undecided_rule_sets: tuple[UndecidedRuleSet, ...] = ()


class Judgement(FindingStruct, frozen=True):
    """What the engine says of a claim: a pure function of the claim, the publications and the editions."""

    outcome: Outcome
    highest_severity: Severity | None
    total_amount_at_risk: Money
    earliest_fix_by: date | None
    fails_from: date | None
    """Of a clean claim: the first day on which it would not be clean any more if it were received then."""
    findings: tuple[Finding, ...]
    bypassed: tuple[Bypassed, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    coverage: Coverage


class Evaluation(FindingStruct, frozen=True):
    """A judgement with its identity, its time and its pins. Without an id when it was a dry run; without the control number when
    the claim was erased since."""

    evaluation_id: str | None
    lineage_id: str
    outcome: Outcome
    disposition: Disposition
    highest_severity: Severity | None
    total_amount_at_risk: Money
    earliest_fix_by: date | None
    fails_from: date | None
    patient_control_number: str | None
    evaluated_at: datetime
    findings: tuple[Finding, ...]
    bypassed: tuple[Bypassed, ...]
    not_evaluated: tuple[NotEvaluated, ...]
    coverage: Coverage
    pins: Pins
