"""`add_on_code`: NCCI add-on code edits (CMS add-on code page; Pub 100-04 ch. 12 s. 30; NCCI Policy Manual ch. I).

Type 1 names its primary codes and takes no other; type 2 names none, and any other procedure may be the primary; type 3 names some,
and another may do. The primary is one of the same practitioner, patient and day, on this claim or an earlier one. It is looked up,
never guessed from a code range, and an add-on falls with its primary when that is denied itself. Modifier 51 never belongs on an add-on code; whether 50 does is the payer's choice.

`other_practitioner_codes` are those whose primary another practitioner of the group may have billed (critical care).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.base import Branch, Candidate, Denials, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import billed_on, days_meet, relevant_history
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners, ProviderScope

CONTRACTOR_DEFINED = "CCCCC"
"""What CMS writes in the place of the primary codes of a type 2 add-on."""


class AddOnParameters(Parameters, frozen=True):
    """`table` is the add-on table; `modifier_50: deny` where the payer takes no bilateral modifier on add-on codes; `roster` states
    specialties that claims leave out."""

    table: str
    provider_scope: ProviderScope | None = None
    roster: str | None = None
    other_practitioner_codes: tuple[str, ...] = ()
    modifier_50: Literal["allow", "deny"] | None = None


class AddOnCodeKind(RuleKind[AddOnParameters]):
    """One candidate an add-on line, and one more where it carries a modifier in question."""

    name = "add_on_code"
    semantics = 4  # practitioners whose specialty nobody states; an add-on falls with its primary
    title = "Add-on codes with their primary code"
    levels = ("line",)
    judges_void = False
    parameters = AddOnParameters
    specs = fact_specs(
        ("addon.question", "text", "primary: is its primary code billed; modifier: does it carry 50 or 51."),
        ("addon.type", "count", "1 listed primaries only, 2 contractor defined, 3 some listed."),
        ("addon.primary_on_claim", "flag", "An acceptable primary code of the same practitioner and day stands on the claim."),
        ("addon.primary_in_history", "flag", "It stands on an earlier claim; unknown when history was not supplied."),
        ("addon.history_known", "flag", "Earlier claims were supplied."),
        (
            "addon.other_procedure",
            "flag",
            "Some other procedure of that practitioner and day, no add-on, stands on this claim or an earlier one.",
        ),
        ("addon.primary_denied", "flag", "Every acceptable primary code is on this claim and would be denied."),
        ("addon.modifier", "text", "50 or 51, where the line carries it."),
    )

    def table_names(self, parameters: AddOnParameters) -> tuple[str, ...]:
        return (parameters.table, *filter(None, (parameters.roster,)))

    def code_tables(self, parameters: AddOnParameters) -> tuple[str, ...]:
        return (parameters.table,)

    def branches(self, parameters: AddOnParameters) -> tuple[Branch, ...]:
        primary = {"fact": "addon.question", "is": "primary"}
        absent = [{"fact": "addon.primary_on_claim", "is": "false"}, {"fact": "addon.primary_in_history", "is": "false"}]
        bill = fix("Bill the primary code with it, on this claim and of the same day and practitioner")
        return (
            Branch(
                code="aoc.modifier",
                title="Modifier that does not belong on an add-on code",
                at="line.modifiers",
                severity="deny_soft",
                when={"all": [{"fact": "addon.question", "is": "modifier"}, {"fact": "addon.modifier", "present": "true"}]},
                message="Line {line_number} {code} is an add-on code; modifier {modifier} does not belong on it.",
                fixes=(fix("Remove the modifier", "needs_documentation"),),
                next_action="correct_claim",
            ),
            Branch(
                code="aoc.unlisted_primary",
                title="Add-on code with a primary code that is not listed",
                at="line.procedure_code",
                severity="warn",
                confidence="possible",
                when={"all": [primary, *absent, {"fact": "addon.type", "is": "3"}, {"fact": "addon.other_procedure", "is": "true"}]},
                message="Line {line_number} {code} is an add-on code; none of its listed primary codes is billed, and the list is not exclusive.",
                fixes=(fix("Check with the payer that it accepts the primary code billed", "needs_payer_contact"),),
                override_reasons=("payer_confirmed",),
            ),
            Branch(
                code="aoc.no_primary",
                title="Add-on code without its primary code",
                at="line.procedure_code",
                severity="deny_soft",
                when={
                    "all": [
                        primary,
                        *absent,
                        {"any": [{"fact": "addon.type", "in": ["1", "3"]}, {"fact": "addon.other_procedure", "is": "false"}]},
                    ]
                },
                message="Line {line_number} {code} is an add-on code; no acceptable primary code of that day and practitioner is billed.{listed}",
                fixes=(bill,),
                next_action="correct_claim",
                override_reasons=("primary_paid_on_another_claim",),
            ),
            Branch(
                code="aoc.primary_denied",
                title="Add-on code whose primary code would be denied",
                at="line.procedure_code",
                severity="deny_soft",
                when={"all": [primary, {"fact": "addon.primary_denied", "is": "true"}]},
                message="Line {line_number} {code} is an add-on code and is paid only with its primary code, which would itself be denied.",
                fixes=(fix("Mend what stands against the primary code", "needs_documentation"),),
                next_action="correct_claim",
                override_reasons=("primary_paid_on_another_claim",),
            ),
            Branch(
                code="aoc.primary_elsewhere",
                title="Add-on code whose primary code is not on this claim",
                at="line.procedure_code",
                severity="warn",
                confidence="possible",
                when={"all": [primary, {"fact": "addon.primary_on_claim", "is": "false"}, {"fact": "addon.history_known", "is": "false"}]},
                message="Line {line_number} {code} is an add-on code and its primary code is not on this claim; earlier claims were not supplied.",
                fixes=(bill, fix("Supply the earlier claims of that day in context.history")),
            ),
        )

    def derive(self, parameters: AddOnParameters, judged: Judged) -> Iterator[Candidate]:
        for line in judged.lines:
            if line.code is None or line.date_from is None:
                continue
            table = judged.lookups.codes(parameters.table, line.date_from, of=line.code)
            if isinstance(table, Unknown):
                yield _unjudged(line, table)
                continue
            day = line.date_from.toordinal()
            rows = table.rows_on(line.code, day)
            if not rows:
                continue
            yield self._primary(parameters, judged, table, rows, line)
            modifier = "51" if "51" in line.modifiers else "50" if "50" in line.modifiers and parameters.modifier_50 == "deny" else None
            if modifier is not None:
                yield Candidate(
                    lines=(line,),
                    facts={**_NOTHING, "addon.question": "modifier", "addon.modifier": modifier},
                    place=Place("line.modifiers", line.index, line.number),
                    key=modifier,
                    tell=partial(
                        Telling,
                        params={"line_number": str(line.number), "code": line.code, "modifier": modifier},
                        actual={"modifier": modifier},
                    ),
                )

    def settled(self, candidate: Candidate, denials: Denials) -> dict[str, FactValue]:
        falls = candidate.facts["addon.primary_in_history"] is not True and all(one.number in denials for one in candidate.related)
        return {"addon.primary_denied": falls}

    def _primary(self, parameters: AddOnParameters, judged: Judged, table: CodeTable, rows: list[Entry], line: LineView) -> Candidate:
        kinds = {int(row.values[table.column("type")]) for row in rows}
        # A type 1 row beside others is the strictest; a code has rows of one type in CMS's file.
        kind = min(kinds)
        listed = {str(row.values[table.column("primary")]) for row in rows} - {CONTRACTOR_DEFINED}
        scope = parameters.provider_scope or "rendering_npi"
        if line.code in parameters.other_practitioner_codes or line.claim.claim_type == "institutional":
            scope = "billing_npi"  # a facility's lines are one provider's, whoever rendered them
        whose = Practitioners(scope, judged.lookups, parameters.roster)
        beside = [
            (other, whose.same(line, other))
            for other in judged.view.lines
            if other.index != line.index and other.code is not None and other.code != line.code and days_meet(line, other)
        ]
        day = line.date_from.toordinal() if line.date_from is not None else 0

        def is_procedure(code: str) -> bool:
            """An add-on is none that another could be added to, unless the list says so."""
            return not table.rows_on(code, day)

        accepts = is_procedure if kind == 2 else listed.__contains__
        others = [other for other, same in beside if same and is_procedure(other.code or "")]
        primaries = [other for other, same in beside if same and accepts(other.code or "")]
        unsure = any(same is None and accepts(other.code or "") for other, same in beside)
        other_earlier = False if others and kind != 2 else _earlier(whose, judged, line, is_procedure)
        earlier = other_earlier if kind == 2 else _earlier(whose, judged, line, accepts)
        facts: dict[str, FactValue] = {
            **_NOTHING,
            "addon.question": "primary",
            "addon.type": kind,
            "addon.primary_on_claim": True if primaries else SPECIALTY_NOT_KNOWN if unsure else False,
            "addon.primary_in_history": earlier,
            "addon.history_known": not isinstance(earlier, Unknown),
            "addon.primary_denied": False,
            "addon.other_procedure": bool(others) or other_earlier,
        }
        shown = ", ".join(sorted(listed)[:10])
        return Candidate(
            lines=(line,),
            # The list of a type 3 add-on is not exclusive: another procedure may carry it.
            related=[*primaries, *(one for one in others if one not in primaries)] if kind == 3 and primaries else primaries,
            facts=facts,
            place=Place("line.procedure_code", line.index, line.number),
            tell=lambda: Telling(
                params={"line_number": str(line.number), "code": line.code or "", "listed": f" Listed: {shown}." if shown else ""},
                shown={"type": kind, "service_date": line.date_from.isoformat() if line.date_from else None},
                expected={"primary_any_of": sorted(listed)[:50]} if listed else {"primary": "another procedure of that day"},
            ),
        )


def _earlier(whose: Practitioners, judged: Judged, line: LineView, accepts: Callable[[str], bool]) -> bool | Unknown:
    """Whether an earlier claim of the day has a code that may be the primary."""
    history = relevant_history(judged.view)
    if isinstance(history, Unknown):
        return history
    unsure: Unknown | None = None
    for entry in history:
        code = entry.line.procedure_code
        if code is None or code == line.code or not billed_on(entry.line, line) or not accepts(code):
            continue
        same = whose.same_as_earlier(line, entry.line)
        if same:
            return True
        if same is None:
            unsure = WHO_RENDERED_EARLIER
    return unsure if unsure is not None else False


_NOTHING: dict[str, FactValue] = {
    "addon.type": None,
    "addon.primary_on_claim": None,
    "addon.primary_in_history": None,
    "addon.history_known": None,
    "addon.other_procedure": None,
    "addon.primary_denied": None,
    "addon.modifier": None,
}


def _unjudged(line: LineView, why: Unknown) -> Candidate:
    facts: dict[str, FactValue] = dict.fromkeys(_NOTHING, why)
    return Candidate(lines=(line,), facts={**facts, "addon.question": "primary"})
