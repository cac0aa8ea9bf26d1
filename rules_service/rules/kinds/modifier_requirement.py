"""`modifier_requirement`: modifiers a payer wants, or does not take, on a code (domain.md 2.5, 2.7).

Therapy disciplines, waived tests (QW), sides, anaesthesia: rows of a table with dates and conditions.
`requires_any_of`: at least one of these; `forbids`: none of these. A missing modifier is N822, one that does not fit N519.
A published list of codes can stand for rows that all ask for the same: drugs in single-dose containers (JW, JZ; SSA 1847A(h)).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial
from typing import NamedTuple

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.codes import shown_code
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.conditional_rows import CONDITION_COLUMNS, cell, row_for
from rules_service.rules.kinds.earlier import days_meet

DISCARDED = "JW"
"""Stands on the line of the amount discarded, and answers for the line of the amount given too (Pub 100-04 ch. 17 s. 40.1)."""
ROW_COLUMNS = ("requires_any_of", "forbids", *CONDITION_COLUMNS)


class ModifierRequirementParameters(Parameters, frozen=True):
    """`table` is a pack table of kind `modifier_requirements`; or `codes` is a reference list, each code of which needs one of the modifiers
    `requires_any_of`, on hospital bills where its status in `status_table` (OPPS Addendum B) is one of `statuses`, as only what is paid by itself
    is asked."""

    table: str | None = None
    codes: str | None = None
    requires_any_of: tuple[str, ...] = ()
    status_table: str | None = None
    statuses: tuple[str, ...] = ()


class ModifierRequirementKind(RuleKind[ModifierRequirementParameters]):
    """One candidate a line whose code the table names."""

    name = "modifier_requirement"
    semantics = 3  # codes by their payment status; JW on a line of its own
    title = "Modifiers a payer asks for"
    levels = ("line",)
    judges_void = False
    parameters = ModifierRequirementParameters
    specs = fact_specs(
        ("modifier.required_present", "flag", "One of the required modifiers is there; absent when none is required."),
        ("modifier.forbidden", "codes", "Modifiers of the line that the payer does not take on the code."),
    )

    def check_parameters(self, parameters: ModifierRequirementParameters) -> Iterator[Issue]:
        if (parameters.table is None) == (parameters.codes is None) or (parameters.codes is None) == bool(parameters.requires_any_of):
            what = "The rows of a table, or a list of codes and the modifiers they need: one of the two."
            yield Issue("parameters", "/table", what, "Give table; or codes and requires_any_of.")
        if (parameters.status_table is None) == bool(parameters.statuses) or (
            parameters.status_table is not None and parameters.codes is None
        ):
            what = "Statuses limit a list of codes, and come from a table."
            yield Issue("parameters", "/status_table", what, "Give codes, status_table and statuses, or neither of the two last.")

    def table_names(self, parameters: ModifierRequirementParameters) -> tuple[str, ...]:
        return tuple(name for name in (parameters.table, parameters.codes, parameters.status_table) if name)

    def code_tables(self, parameters: ModifierRequirementParameters) -> tuple[str, ...]:
        return (parameters.codes or parameters.table or "",)

    def branches(self, parameters: ModifierRequirementParameters) -> tuple[Branch, ...]:
        line = "Line {line_number} {code}: "
        return (
            Branch(
                code="mod.forbidden",
                title="Modifier the payer does not take on the code",
                at="line.modifiers",
                severity="deny_soft",
                when={"fact": "modifier.forbidden", "present": "true"},
                message=line + "modifier {modifier} is not taken here.",
                fixes=(fix("Remove the modifier, or replace it by one the record supports", "needs_documentation"),),
                next_action="correct_claim",
            ),
            Branch(
                code="mod.missing",
                title="Required modifier is missing",
                at="line.modifiers",
                severity="deny_soft",
                when={"fact": "modifier.required_present", "is": "false"},
                message=line + "the payer asks for one of the modifiers {required}.",
                fixes=(fix("Add the modifier the record supports", "needs_documentation"),),
                next_action="correct_claim",
                override_reasons=("payer_confirmed",),
            ),
        )

    def derive(self, parameters: ModifierRequirementParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            asked = _asked(parameters, judged, line)
            if asked is None or line.code is None:
                continue
            facts: dict[str, FactValue]
            required: tuple[str, ...] = ()
            forbidden: tuple[str, ...] = ()
            if isinstance(asked, Unknown):
                facts = {"modifier.required_present": asked, "modifier.forbidden": ()}
            else:
                required = asked.required
                forbidden = tuple(one for one in line.modifiers if one in asked.forbidden)
                present = set(required) & {*line.modifiers, *_discarded_beside(line)}
                facts = {
                    "modifier.required_present": bool(present) if required else None,
                    "modifier.forbidden": forbidden,
                }
            yield Candidate(
                lines=(line,),
                facts=facts,
                place=Place("line.modifiers", line.index, line.number),
                tell=partial(
                    Telling,
                    params={
                        "line_number": str(line.number),
                        "code": line.code,
                        "required": ", ".join(required),
                        "modifier": ", ".join(forbidden),
                    },
                    expected={"modifiers_any_of": list(required)} if required else {},
                    actual={"modifiers": list(map(shown_code, line.modifiers))},
                ),
            )


class _Asked(NamedTuple):
    """What the payer asks of a line."""

    required: tuple[str, ...]
    forbidden: tuple[str, ...] = ()


def _is_paid_by_itself(parameters: ModifierRequirementParameters, judged: Judged, code: str, day: date) -> bool | Unknown:
    if parameters.status_table is None:
        return True
    table = judged.lookups.codes(parameters.status_table, day, of=code)
    return table if isinstance(table, Unknown) else table.text_on(code, "status", day.toordinal()) in parameters.statuses


def _asked(parameters: ModifierRequirementParameters, judged: Judged, line: LineView) -> _Asked | Unknown | None:
    """None where no row and no list names the code."""
    if line.code is None or line.date_from is None:
        return None
    if parameters.codes is not None:
        listed = judged.lookups.codes(parameters.codes, line.date_from, of=line.code)
        if isinstance(listed, Unknown):
            return listed
        if listed.on(line.code, line.date_from.toordinal()) is None:
            return None
        paid = _is_paid_by_itself(parameters, judged, line.code, line.date_from)
        return paid if isinstance(paid, Unknown) else _Asked(parameters.requires_any_of) if paid else None
    table = judged.lookups.codes(parameters.table or "", line.date_from)
    if isinstance(table, Unknown):
        return table
    row = row_for(table, line)
    if row is None or isinstance(row, Unknown):
        return row
    return _Asked(cell(row, table, "requires_any_of"), cell(row, table, "forbids"))


def _discarded_beside(line: LineView) -> tuple[str, ...]:
    """JW where another line of the same code that shares a day is that of the amount discarded."""
    beside = (one for one in line.view.lines if one.index != line.index and one.code == line.code and days_meet(one, line))
    return (DISCARDED,) if any(DISCARDED in one.modifiers for one in beside) else ()
