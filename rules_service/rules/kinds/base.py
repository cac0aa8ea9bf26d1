"""What a rule kind is: typed parameters, a pure `derive` that yields flat candidate facts, default branches, finding templates.

A kind never decides: it does the joins, look-ups and arithmetic, and its branches say, over the facts it yields, what fires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from rules_service.claim.claim import ClaimType
from rules_service.claim.locations import Place
from rules_service.claim.parties import ClaimStruct
from rules_service.facts.values import FactSpec, FactType, FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.findings.finding import Category, Confidence, Finding, Fix, FixClass, PatchOperation, Severity
from rules_service.primitives.errors import Issue, RuleRefused
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import NOTHING, Lookups
from rules_service.rules.rule import Level, Prediction

P = TypeVar("P", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Branch:
    """One way a rule of this kind can come out. Branches are tried in order; the first true one decides.

    `when` is plain condition data over the kind's facts. `bypassed` records the rule as bypassed (with the fact named
    by `bypassed_by`); a branch with a severity gives a finding; a branch with neither ends the chain in silence. What the payer would
    answer stands in the crosswalk, by `code`; `predicts` is for a rule that says otherwise.
    """

    code: str
    title: str
    when: Any
    severity: Severity | None = None
    category: Category = "coding"
    confidence: Confidence = "certain"
    predicts: Prediction | None = None
    at: str = "claim"
    message: str = ""
    fixes: tuple[Fix, ...] = ()
    bypassed: bool = False
    bypassed_by: str = ""
    owner_role: str = "coder"
    next_action: str = "review_record"
    override_reasons: tuple[str, ...] = ()


class Telling(msgspec.Struct):
    """What a finding about a candidate says besides the branch's wording.

    `params` fill the message; `shown` are the facts the finding displays; `fixes` come before those of the branch.
    """

    params: dict[str, str] = msgspec.field(default_factory=dict)
    shown: dict[str, Any] = msgspec.field(default_factory=dict)
    expected: dict[str, Any] = msgspec.field(default_factory=dict)
    actual: dict[str, Any] = msgspec.field(default_factory=dict)
    fixes: tuple[Fix, ...] = ()


class Candidate(msgspec.Struct, eq=False):
    """One subject a rule concerns, with the kind's facts about it.

    `lines` are those at stake (the first is where the finding points unless `place` says otherwise), `related` those it is
    compared with. `tell` is called only when there is a finding to make. `amount` in cents, default the charges of `lines`. `qualifier` picks
    the row of the crosswalk where the prediction depends on the subject (a provider's role); `deadlines` are the filing deadlines
    found, by line number, with the days left; `key` tells apart findings of one rule in one place. `causes` name what on the claim is at fault besides the
    lines (`diagnosis:` and its position), for the collapse of findings that have one root. `each`: the facts are those of each of the lines by
    itself, which stand together because the kind finds nothing to tell them apart by.
    """

    lines: Sequence[LineView]
    facts: dict[str, FactValue]
    related: Sequence[LineView] = ()
    place: Place | None = None
    tell: Callable[[], Telling] = Telling
    amount: int | None = None
    qualifier: str = ""
    deadlines: dict[int, tuple[date, int]] = msgspec.field(default_factory=dict)
    key: str = ""
    causes: tuple[str, ...] = ()
    each: bool = False


Denials = Mapping[int, Sequence[Finding]]
"""By line number, the findings on lines (not on the whole claim) for which the payer would deny the line."""


@dataclass(slots=True)
class Judged:
    """What `derive` is given: the claim, the look-ups, and the lines whose policy date picked this version."""

    view: ClaimView
    lookups: Lookups
    lines: Sequence[LineView]

    @property
    def has_first_line(self) -> bool:
        """Whether the claim's first line is among them: what belongs to the claim is asked once, beside it."""
        return bool(self.lines) and self.lines[0].index == self.view.lines[0].index

    def classes_of(self, line: LineView, table_name: str | None) -> frozenset[str] | Unknown:
        """What a table of code classes says of the line's code; nothing of a line without one."""
        if line.code is None or line.date_from is None or table_name is None:
            return frozenset()
        table = self.lookups.codes(table_name, line.date_from)
        return table if isinstance(table, Unknown) else frozenset(table.texts_on(line.code, "class", line.date_from.toordinal()))


class Adoption(ClaimStruct, frozen=True):
    """A payer applies an edition, by its label, to claims received from a day on, whatever their dates of service."""

    edition: str
    received_from: date


def unadopted(adoptions: Sequence[Adoption], view: ClaimView) -> frozenset[str]:
    """Labels of the editions the payer had not adopted when it received the claim."""
    return frozenset([one.edition for one in adoptions if view.received_date < one.received_from]) if adoptions else NOTHING


class Parameters(ClaimStruct, frozen=True):
    """Base of every kind's parameter model; unknown parameters are refused."""


class NoParameters(Parameters, frozen=True):
    """A kind without parameters."""


class RuleKind(Generic[P]):
    """A kind. Subclasses set the class variables and override `branches` and `derive`."""

    name: ClassVar[str]
    title: ClassVar[str]
    levels: ClassVar[tuple[Level, ...]]
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters
    specs: ClassVar[dict[str, FactSpec]] = {}
    semantics: ClassVar[int] = 1
    """Raised when the kind's answers change for equal input; part of the engine version."""

    judges_void: ClassVar[bool] = True
    """Whether claims that void another (frequency 8) are judged: their codes are not being billed."""

    claim_types: ClassVar[frozenset[ClaimType]] = frozenset({"professional", "institutional", "dental"})
    """The claims there can be something to find on. Of a payer without a rule of this kind they are told so (`kinds_without_rule`)."""

    def read_parameters(self, raw: dict[str, Any]) -> P:
        """Typed parameters from the author's text; RuleRefused says what and where."""
        try:
            return msgspec.convert(raw, self.parameters, strict=False)  # type: ignore[return-value]
        except msgspec.ValidationError as error:
            what, _, where = str(error).partition(" - at `$")
            raise RuleRefused(
                "The parameters cannot be used",
                [
                    Issue(
                        "parameters",
                        where.rstrip("`").replace(".", "/") or "/",
                        f"{what}.",
                        f"See the parameters of {self.name}: GET /v1/rule-kinds.",
                    )
                ],
            ) from None

    def check_parameters(self, parameters: P) -> Iterable[Issue]:
        """Faults a type cannot express."""
        return ()

    def branches(self, parameters: P) -> tuple[Branch, ...]:
        """The ways this rule can come out, in order."""
        raise RuleRefused("This kind has no branches of its own", [])

    def code_tables(self, parameters: P) -> tuple[str, ...]:
        """Tables by procedure code outside which the rule has no candidates: of a claim none of whose codes has a row in one of them in effect on
        the line's first day (or is not known to have none), `derive` is not asked. None named: it is asked of every claim."""
        return ()

    def passing_modifiers(self, parameters: P) -> tuple[str, ...]:
        """Modifiers of lines that `derive` passes over without a look at those tables."""
        return ()

    def derive(self, parameters: P, judged: Judged) -> Iterable[Candidate]:
        """One candidate a subject the rule concerns. Pure."""
        return ()

    def settled(self, candidate: Candidate, denials: Denials) -> dict[str, FactValue]:
        """Facts of a candidate that turn on what denies its related lines and not its own: asked when all else was decided. Pure."""
        return {}

    def table_names(self, parameters: P) -> tuple[str, ...]:
        """Reference tables and pack tables the parameters name."""
        return ()


def fix(label: str, class_: FixClass = "data_entry", patch: tuple[PatchOperation, ...] | None = None) -> Fix:
    """A way out."""
    return Fix(label=label, class_=class_, patch=patch)


def fact_specs(*entries: tuple[str, FactType, str]) -> dict[str, FactSpec]:
    """Specs of a kind's own facts."""
    return {name: FactSpec(name, kind, "kind", text) for name, kind, text in entries}
