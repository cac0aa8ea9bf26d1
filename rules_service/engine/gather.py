"""What is to be decided about a claim: the candidates of the rules that concern it, found through indexes, and their facts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import msgspec

from rules_service.engine.compile import FactReader
from rules_service.engine.policy import CompiledRule, Panel, Policy, RuleIndex, Slice
from rules_service.engine.rulings import Question
from rules_service.facts.catalogue import CATALOGUE, claim_facts, line_facts
from rules_service.facts.values import FactValue
from rules_service.facts.view import ClaimView, LineView
from rules_service.primitives.errors import InvalidClaim, Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups
from rules_service.rules.kinds.base import Candidate, Judged
from rules_service.rules.kinds.condition import condition_candidate
from rules_service.rules.selection import Loser

MAX_CANDIDATES = 50_000
"""Of one claim; a claim that needs more is refused whole rather than judged in part."""


@dataclass(slots=True)
class Gathered:
    """Everything to be decided about a claim."""

    questions: list[Question] = field(default_factory=list)
    indexes: list[RuleIndex] = field(default_factory=list)
    pinned: set[tuple[str, int]] = field(default_factory=set)
    """Condition rules that pin a procedure code of the claim."""
    losers: dict[str, Loser] = field(default_factory=dict)

    def asked(self) -> Iterable[tuple[CompiledRule, Question]]:
        """Every rule with each subject it is asked of."""
        return [(rule, question) for question in self.questions for rule in question.panel.rules]

    def lost(self) -> tuple[Loser, ...]:
        """The rules that would apply but for more specific ones, by rule id."""
        return tuple(self.losers[rule_id] for rule_id in sorted(self.losers))


def _policy_day(basis: str, view: ClaimView) -> date:
    if basis == "claim_from":
        return view.date_from or view.received_date
    if basis == "claim_through":
        return view.date_through or view.received_date
    return view.received_date


def _by_day(basis: str, view: ClaimView) -> Iterable[tuple[date, list[LineView]]]:
    """Lines by the date that picks their policy. A line without any date is judged by the policy of the day of receipt."""
    if basis not in ("service_date", "service_through"):
        return [(_policy_day(basis, view), view.lines)]
    days: dict[date, list[LineView]] = {}
    for line in view.lines:
        day = (line.date_from if basis == "service_date" else line.date_through) or view.date_from or view.received_date
        days.setdefault(day, []).append(line)
    return sorted(days.items())


def gather(policy: Policy, view: ClaimView, lookups: Lookups) -> Gathered:
    """The questions of every rule that concerns the claim. InvalidClaim when there are more than MAX_CANDIDATES."""
    gathered = Gathered()
    for current, index, lines in _parts(policy, view):
        gathered.losers |= current.losers
        gathered.indexes.append(index)
        judged = Judged(view, lookups, lines)
        for rule in _concerned(index, judged):
            _derive(rule, current, judged, gathered)
        _ask_conditions(current, index, view, lines, gathered)
    return gathered


def _concerned(index: RuleIndex, judged: Judged) -> list[CompiledRule]:
    """The rules of kinds that can have something to ask: all but those whose tables have no row for any code of the lines."""
    is_void = judged.view.submission_type == "void"
    concerned = set[CompiledRule]()
    for code, day, modifiers in {(line.code, line.date_from, line.modifiers) for line in judged.lines}:
        if code is not None and day is not None:
            concerned |= judged.lookups.once(_rules_with_row, index, is_void, code, day, modifiers)
    return [rule for rule in index.kinds_asked(is_void) if not rule.code_tables or rule in concerned]


def _rules_with_row(
    lookups: Lookups, index: RuleIndex, is_void: bool, code: str, day: date, modifiers: tuple[str, ...]
) -> frozenset[CompiledRule]:
    """The rules that do not pass a line over, and one of whose tables has a row for its code on a day, or is not known to have none."""

    def may_hold(name: str) -> bool:
        table = lookups.codes(name, day, of=code)
        return isinstance(table, Unknown) or bool(table.rows_on(code, day.toordinal()))

    asked = [rule for rule in index.kinds_asked(is_void) if rule.passing_modifiers.isdisjoint(modifiers)]
    return frozenset([rule for rule in asked if any(may_hold(name) for name in rule.code_tables)])


def _parts(policy: Policy, view: ClaimView) -> Iterable[tuple[Slice, RuleIndex, list[LineView]]]:
    """What to judge by what: all rules at once when no policy changes between the claim's dates, else basis by basis."""
    whole = policy.slice_of_all(view.dates)
    if whole is not None:
        return [(whole, whole.everything, view.lines)]
    found: list[tuple[Slice, RuleIndex, list[LineView]]] = []
    for basis in policy.bases:
        # Days of one slice are judged together: the same compiled rules, one pass over the lines.
        groups: dict[Slice, list[LineView]] = {}
        for day, lines in _by_day(basis, view):
            groups.setdefault(policy.slice(day), []).extend(lines)
        for current, lines in groups.items():
            index = current.by_basis.get(basis)
            if index is not None:
                found.append((current, index, sorted(lines, key=lambda line: line.number)))
    return found


def _ask_conditions(current: Slice, index: RuleIndex, view: ClaimView, lines: list[LineView], gathered: Gathered) -> None:
    """Condition rules of both levels: those that concern everything, and those that pin a procedure code that is there."""
    for line in lines if "line" in index.always or index.by_code else ():
        panels = [index.always["line"]] if "line" in index.always else []
        for panel in [*panels, *_pinned(index, "line", (line.code,), gathered)]:
            gathered.questions.append(Question(current, panel, line_facts(line).__getitem__, None, line))
    panels = [index.always["claim"]] if "claim" in index.always else []
    for panel in [*panels, *(_pinned(index, "claim", sorted(view.codes), gathered) if index.by_code else ())]:
        gathered.questions.append(Question(current, panel, claim_facts(view).__getitem__, None, None))


def _pinned(index: RuleIndex, level: str, codes: Iterable[str | None], gathered: Gathered) -> list[Panel]:
    """The condition rules that pin one of these procedure codes."""
    found = [
        panel for code in codes if code is not None and code in index.by_code and (panel := index.by_code[code].get(level)) is not None
    ]
    for panel in found:
        gathered.pinned.update((rule.rule.content.rule_id, rule.rule.version) for rule in panel.rules)
    return found


def _derive(rule: CompiledRule, current: Slice, judged: Judged, gathered: Gathered) -> None:
    for candidate in rule.kind.derive(rule.parameters, judged):
        # A condition on lines is about one line; only where the version makes one do lines of one kind of facts differ.
        if candidate.each and rule.reads_lines:
            asked = [msgspec.structs.replace(candidate, lines=(line,)) for line in candidate.lines]
        else:
            asked = [candidate]
        for one in asked:
            gathered.questions.append(Question(current, rule.panel, fact_reader(rule, one, judged.view), one, None))
    if len(gathered.questions) > MAX_CANDIDATES:
        raise too_much(f"more than {MAX_CANDIDATES} rule candidates")


def too_much(what: str) -> InvalidClaim:
    """The error of a claim that costs more to judge than any is given."""
    issue = Issue("too_much_work", "/service_lines", f"Judging this claim gives {what}.", "Split the claim, or send less history.")
    return InvalidClaim("The claim is too large to judge", [issue])


def fact_reader(rule: CompiledRule, candidate: Candidate, view: ClaimView) -> FactReader:
    """The kind's facts about a candidate, else (where the rule asks for them) those of its first line, else the claim's."""
    if not rule.reads_catalogue:
        return candidate.facts.get
    own = candidate.facts
    of_subject = line_facts(candidate.lines[0]) if candidate.lines else claim_facts(view)

    def read(name: str) -> FactValue:
        if name in own:
            return own[name]
        return of_subject[name] if name in CATALOGUE else None

    return read


def subject_of(question: Question, rule: CompiledRule, view: ClaimView) -> Candidate:
    """What the question is about: the kind's candidate, or the line or claim of a condition."""
    return question.candidate or condition_candidate(rule.rule.content, view, question.line)


def line_numbers_of(rule: CompiledRule, candidate: Candidate) -> tuple[int, ...]:
    """The lines a rule speaks of; none when it is a condition on the claim."""
    whole_claim = rule.kind.name == "condition" and rule.rule.content.level == "claim"
    return () if whole_claim else tuple([line.number for line in candidate.lines])
