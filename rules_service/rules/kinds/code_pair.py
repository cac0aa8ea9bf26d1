"""`code_pair`: NCCI procedure-to-procedure edits and payers' own pairs.

NCCI Policy Manual ch. I; CMS PTP files; CR 11168 (59 and X{EPSU} on either code from 2019-07-01, professional claims).
Column two is denied where column one is payable: `column_one_denied` says what is told where it is not. Indicator 0 cannot be bypassed, 1 can with a PTP-associated modifier, 9 is a deleted row and never fires.
The deletion date is taken as the last active day, which CMS does not state in words: see docs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from typing import Literal

from rules_service.claim.context import HistoryEntry, HistoryLine
from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.findings.finding import Fix
from rules_service.primitives.codes import shown_code
from rules_service.primitives.errors import Issue
from rules_service.primitives.unknown import Unknown
from rules_service.reference.lookups import Lookups, not_in_extract
from rules_service.reference.pair_table import PairRow, PairTable
from rules_service.rules.kinds.base import (
    Adoption,
    Branch,
    Candidate,
    Denials,
    Judged,
    Parameters,
    RuleKind,
    Telling,
    fact_specs,
    fix,
    unadopted,
)
from rules_service.rules.kinds.earlier import relevant_history
from rules_service.rules.kinds.pair_branches import pair_branches
from rules_service.rules.kinds.pair_modifiers import ANATOMIC, ASSOCIATED, DISTINCT_SERVICE, associated, bypassing_modifiers, valid_on
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners, ProviderScope

APPEND = fix(
    "If the record shows a separate encounter, site, practitioner or service, append XE, XS, XP, XU or 59 and keep the note",
    "needs_documentation",
)
REOPEN = fix("If the services were distinct, reopen the earlier claim to add the modifier", "needs_payer_contact")
EXPECT_LESS = fix("No modifier separates the pair: expect what the earlier claim was paid to be taken off", "not_fixable")
APPEND_TO_VISIT = fix(
    "If the record shows a significant, separately identifiable visit, append 25 (57 where it decided for a major operation, 24 where it is "
    "unrelated to an earlier one)",
    "needs_documentation",
)


class CodePairParameters(Parameters, frozen=True):
    """`table_*`: the pair table by claim type (the wrong one gives wrong answers). `bypass_line` speaks of 59 and X{EPSU}.
    `roster` states specialties that claims leave out."""

    table_professional: str | None = None
    table_institutional: str | None = None
    bypass_modifiers: tuple[str, ...] | None = None
    bypass_line: Literal["either", "column_two"] | None = None
    provider_scope: ProviderScope | None = None
    roster: str | None = None
    same_side: Literal["warn", "deny"] | None = None
    column_one_denied: Literal["warn", "deny"] | None = None
    code_classes: str | None = None
    adoptions: tuple[Adoption, ...] = ()


class CodePairKind(RuleKind[CodePairParameters]):
    """One candidate a (column-two line, column-one code); in-claim pairs, then pairs with paid lines of the history."""

    name = "code_pair"
    semantics = 6  # practitioners whose specialty nobody states; no modifier advised for indicator 0; column one that cannot be paid; what separates a visit, also without a table of classes
    title = "Codes that may not be billed together"
    levels = ("line_pair",)
    judges_void = False
    parameters = CodePairParameters
    specs = fact_specs(
        ("pair.modifier_indicator", "count", "0 never, 1 with a PTP-associated modifier, 9 deleted."),
        ("pair.bypass_modifier_present", "flag", "A PTP-associated modifier that is valid on its code stands where the payer accepts it."),
        ("pair.same_side", "flag", "Only anatomic modifiers bypass, and both lines carry the same ones."),
        ("pair.column_one_denied", "flag", "Column one would be denied for another reason than a pair, and no mend makes it payable."),
        ("pair.in_history", "flag", "Column one was billed on an earlier claim; unknown when history was not supplied."),
        ("pair.column_two_in_history", "flag", "Column two was paid earlier and column one is billed now."),
        (
            "pair.question",
            "text",
            "pair: two lines of the claim; modifier: a modifier on the wrong kind of code; history: column two is billed now; prior: column two was billed earlier.",
        ),
    )

    def check_parameters(self, parameters: CodePairParameters) -> Iterable[Issue]:
        if not (parameters.table_professional or parameters.table_institutional):
            yield Issue(
                "parameters",
                "/table_professional",
                "A pair rule names the table of at least one claim type.",
                "Set table_professional or table_institutional.",
            )

    def table_names(self, parameters: CodePairParameters) -> tuple[str, ...]:
        return tuple(
            name
            for name in (parameters.table_professional, parameters.table_institutional, parameters.code_classes, parameters.roster)
            if name
        )

    def branches(self, parameters: CodePairParameters) -> tuple[Branch, ...]:
        return pair_branches(parameters.same_side == "deny", parameters.column_one_denied == "deny")

    def settled(self, candidate: Candidate, denials: Denials) -> dict[str, FactValue]:
        against = [found for one in candidate.related for found in denials.get(one.number, ())]
        unpayable = any(
            found.severity == "deny_hard" and found.category != "duplicate" and not found.code.startswith("ncci.") for found in against
        )
        return {"pair.column_one_denied": unpayable}

    def derive(self, parameters: CodePairParameters, judged: Judged) -> Iterable[Candidate]:
        table = parameters.table_institutional if judged.view.claim.claim_type == "institutional" else parameters.table_professional
        if table is None:
            return
        # Both members of a pair are looked up among all lines; the denied line's date picks the version, so each pair is judged once.
        everything = [line for line in judged.view.lines if line.code and line.date_from]
        mine = {line.index for line in judged.lines}
        for line in judged.lines:
            if line.modifiers:
                yield from self._misplaced(parameters, judged, line)
        yield from self._in_claim(parameters, judged, table, everything, mine)
        yield from self._history(parameters, judged, table, [line for line in everything if line.index in mine])

    def _in_claim(
        self, parameters: CodePairParameters, judged: Judged, table: str, lines: list[LineView], mine: set[int]
    ) -> Iterator[Candidate]:
        by_code: dict[str, list[LineView]] = {}
        for line in lines:
            by_code.setdefault(line.code or "", []).append(line)
        if len(by_code) < 2:
            return
        days = {line.date_from for line in lines if line.index in mine and line.date_from}
        left_out = unadopted(parameters.adoptions, judged.view)
        whose = _whose(parameters, judged)
        chosen: dict[tuple[int, str], Candidate] = {}
        unsure: dict[int, LineView] = {}
        for day in sorted(days):
            edition = judged.lookups.pairs(table, day, left_out)
            two_lines = [line for line in lines if line.index in mine and line.date_from == day]
            if isinstance(edition, Unknown):
                yield _unjudged(two_lines, edition)
                continue
            unknown = [line for line in two_lines if edition.says_nothing_of(line.code or "")]
            if unknown:
                yield _unjudged(unknown, not_in_extract(table))
            rows: list[PairRow] = judged.view.once(("pairs", table, day, left_out), partial(edition.pairs_among, by_code))
            for row in rows:
                if row.indicator == 9:
                    continue
                for two in by_code.get(row.column_two, ()):
                    if two.index not in mine or two.date_from != day:
                        continue
                    for one in by_code.get(row.column_one, ()):
                        if one.index == two.index or not _active_together(row, one, two) or (same := whose.same(one, two)) is False:
                            continue
                        candidate = self._pair(parameters, judged.lookups, row, one, two, day)
                        if same is None:
                            if row.indicator == 0 or not candidate.facts["pair.bypass_modifier_present"]:
                                unsure[two.index] = two
                            continue
                        kept = chosen.get((two.index, row.column_one))
                        if kept is None or _severity(candidate) > _severity(kept):
                            chosen[two.index, row.column_one] = candidate
        yield from (chosen[key] for key in sorted(chosen))
        if unsure:
            yield _unjudged([unsure[index] for index in sorted(unsure)], SPECIALTY_NOT_KNOWN)

    def _misplaced(self, parameters: CodePairParameters, judged: Judged, line: LineView) -> Iterator[Candidate]:
        """PTP-associated modifiers on a kind of code they are not for, in a pair or not."""
        for modifier in dict.fromkeys(associated(parameters, line)):
            if not valid_on(parameters, judged.lookups, modifier, line):
                yield Candidate(
                    lines=(line,),
                    facts={**_NO_PAIR, "pair.question": "modifier"},
                    place=Place("line.modifiers", line.index, line.number),
                    key=modifier,
                    tell=partial(
                        Telling,
                        params={"line_number": str(line.number), "modifier": modifier, "code": line.code or ""},
                        actual={"modifiers": list(map(shown_code, line.modifiers))},
                    ),
                )

    def _pair(self, parameters: CodePairParameters, lookups: Lookups, row: PairRow, one: LineView, two: LineView, day: date) -> Candidate:
        bypassing = bypassing_modifiers(parameters, lookups, one, two)
        same_side = _same_side(bypassing, one.modifiers, two.modifiers)
        facts: dict[str, FactValue] = {
            **_NO_PAIR,
            "pair.question": "pair",
            "pair.modifier_indicator": row.indicator,
            "pair.bypass_modifier_present": bool(bypassing),
            "pair.same_side": same_side,
        }

        def tell() -> Telling:
            separating, append = _advice(parameters, lookups, two)
            wrong = [modifier for modifier in two.modifiers + one.modifiers if modifier in ("22", "76", "77", "50", "51", "26")]
            return Telling(
                params={
                    "line_number": str(two.number),
                    "code": row.column_two,
                    "where_one": f"line {one.number}",
                    "code_one": row.column_one,
                    "modifier": ", ".join(bypassing),
                    "by": "modifier_" + "_".join(bypassing).lower() if bypassing else "",
                    "hint": f" Modifier {wrong[0]} is not PTP-associated." if wrong else "",
                },
                shown={"modifier_indicator": row.indicator, "service_date": day.isoformat()},
                expected={"modifiers_any_of": list(separating)} if row.indicator == 1 else {},
                actual={"modifiers": list(map(shown_code, two.modifiers))},
                fixes=(append,) if row.indicator == 1 and not bypassing else (),
            )

        return Candidate(
            lines=(two,),
            related=(one,),
            qualifier="denied" if parameters.same_side == "deny" else "",
            facts=facts,
            place=Place("line.procedure_code", two.index, two.number),
            tell=tell,
        )

    def _history(self, parameters: CodePairParameters, judged: Judged, table: str, lines: list[LineView]) -> Iterator[Candidate]:
        history = relevant_history(judged.view)
        if history == ():
            return
        asked: list[LineView] = []
        by_code: dict[str, list[HistoryEntry]] = {}
        for entry in history if not isinstance(history, Unknown) else ():
            if entry.line.procedure_code:
                by_code.setdefault(entry.line.procedure_code, []).append(entry)
        for line in lines:
            day = line.date_from or date.min
            edition = judged.lookups.pairs(table, day, unadopted(parameters.adoptions, judged.view))
            if isinstance(edition, Unknown):
                if not isinstance(history, Unknown) and history:
                    yield _unjudged([line], edition)
                continue
            if edition.says_nothing_of(line.code or "") and by_code:
                yield _unjudged([line], not_in_extract(table))
            if not edition.knows(line.code or ""):
                continue
            if isinstance(history, Unknown):
                asked.append(line)
                continue
            yield from self._against(parameters, judged, edition, line, by_code)
        if isinstance(history, Unknown) and asked:
            yield _unsure(asked, history)

    def _against(
        self, parameters: CodePairParameters, judged: Judged, edition: PairTable, line: LineView, by_code: dict[str, list[HistoryEntry]]
    ) -> Iterator[Candidate]:
        """One candidate a pair the line makes with earlier ones: of several earlier lines the one that bypasses least speaks."""
        code = line.code or ""
        rows = judged.view.once(("history pairs", id(edition), code, line.date_from), partial(edition.pairs_among, [code, *by_code]))
        seen: set[tuple[str, str]] = set()
        whose = _whose(parameters, judged)
        for row in rows:
            if row.indicator == 9 or code not in (row.column_one, row.column_two) or (row.column_one, row.column_two) in seen:
                continue
            other = row.column_one if row.column_two == code else row.column_two
            met = [entry for entry in by_code.get(other, ()) if other != code and _active_with(row, line, entry.line)]
            theirs = [(whose.same_as_earlier(line, entry.line), entry) for entry in met]
            found = [self._with_earlier(parameters, judged.lookups, row, line, entry) for same, entry in theirs if same]
            if found:
                seen.add((row.column_one, row.column_two))
                yield max(found, key=_severity)
            elif any(same is None for same, _ in theirs):
                yield _unsure([line], WHO_RENDERED_EARLIER)

    def _with_earlier(
        self, parameters: CodePairParameters, lookups: Lookups, row: PairRow, line: LineView, entry: HistoryEntry
    ) -> Candidate:
        """The pair of a line with an earlier one. Modifiers of the earlier line count as those of a line of the claim would."""
        now_is_two = row.column_two == line.code
        mine = [modifier for modifier in associated(parameters, line) if valid_on(parameters, lookups, modifier, line)]
        theirs = [modifier for modifier in entry.line.modifiers if modifier in (parameters.bypass_modifiers or ASSOCIATED)]
        column_one = theirs if now_is_two else mine
        if parameters.bypass_line == "column_two":
            column_one = [modifier for modifier in column_one if modifier not in DISTINCT_SERVICE]
        bypassing = list(dict.fromkeys([*(mine if now_is_two else theirs), *column_one]))
        asks = now_is_two and row.indicator == 1

        def tell() -> Telling:
            separating, append = _advice(parameters, lookups, line)
            return Telling(
                params={
                    "line_number": str(line.number),
                    "code": line.code or "",
                    "code_one": row.column_one,
                    "code_two": row.column_two,
                    "where_one": "an earlier claim's",
                    "modifier": ", ".join(bypassing),
                    "by": "modifier_" + "_".join(bypassing).lower() if bypassing else "",
                    "hint": "",
                },
                shown={"modifier_indicator": row.indicator, "history_index": _place_in_history(line, entry)},
                expected={"modifiers_any_of": list(separating)} if asks else {},
                actual={"modifiers": list(map(shown_code, line.modifiers))},
                fixes=(append,) if asks and not bypassing else () if now_is_two else (REOPEN if row.indicator == 1 else EXPECT_LESS,),
            )

        return Candidate(
            lines=(line,),
            place=Place("line.procedure_code", line.index, line.number),
            key=f"{row.column_one}/{row.column_two}",
            facts={
                **_NO_PAIR,
                "pair.question": "history" if now_is_two else "prior",
                "pair.modifier_indicator": row.indicator,
                "pair.bypass_modifier_present": bool(bypassing),
                "pair.same_side": _same_side(bypassing, line.modifiers, entry.line.modifiers),
                "pair.in_history": now_is_two,
                "pair.column_two_in_history": not now_is_two,
            },
            tell=tell,
        )


def _whose(parameters: CodePairParameters, judged: Judged) -> Practitioners:
    return Practitioners(parameters.provider_scope or "rendering_npi", judged.lookups, parameters.roster)


def _same_side(bypassing: list[str], one: tuple[str, ...], two: tuple[str, ...]) -> bool:
    """Whether only anatomic modifiers separate the pair, and both lines carry the same ones."""
    return bool(bypassing) and ANATOMIC.issuperset(bypassing) and ANATOMIC & set(one) == ANATOMIC & set(two)


def _advice(parameters: CodePairParameters, lookups: Lookups, two: LineView) -> tuple[tuple[str, ...], Fix]:
    """The modifiers that would separate column two, and the way out that names them: a visit takes other ones than a procedure."""
    if valid_on(parameters, lookups, "25", two) and not valid_on(parameters, lookups, "59", two):
        return ("24", "25", "57"), APPEND_TO_VISIT
    return ("59", "XE", "XP", "XS", "XU"), APPEND


_NO_PAIR: dict[str, FactValue] = {
    "pair.modifier_indicator": None,
    "pair.bypass_modifier_present": False,
    "pair.same_side": False,
    "pair.column_one_denied": False,
    "pair.in_history": False,
    "pair.column_two_in_history": False,
}


def _severity(candidate: Candidate) -> int:
    """Of several column-one lines, the one that bypasses least speaks: none, then the same side, then a real bypass."""
    return 2 * (not candidate.facts["pair.bypass_modifier_present"]) + bool(candidate.facts["pair.same_side"])


def _unjudged(lines: list[LineView], reason: Unknown) -> Candidate:
    return Candidate(
        lines=lines,
        facts={**_NO_PAIR, "pair.question": "pair", "pair.modifier_indicator": reason, "pair.column_two_in_history": False},
        place=Place("claim.service_lines"),
    )


def _active_together(row: PairRow, one: LineView, two: LineView) -> bool:
    """True when on some day both lines were rendered and the row was active (date spans are compared day by day)."""
    if one.first_day is None or two.first_day is None or one.last_day is None or two.last_day is None:
        return False
    return max(one.first_day, two.first_day, row.first_day) <= min(one.last_day, two.last_day, row.last_day)


def _place_in_history(line: LineView, entry: HistoryEntry) -> int | None:
    """The index of an earlier line in `context.history`: it names the line without its control number, which is PHI."""
    history = line.claim.context.history if line.claim.context is not None else None
    return next((index for index, one in enumerate(history or ()) if one is entry), None)


def _unsure(lines: list[LineView], why: Unknown) -> Candidate:
    """The cross-claim question about lines, when what would answer it is not known."""
    first = lines[0]
    facts: dict[str, FactValue] = {**_NO_PAIR, "pair.question": "history", "pair.in_history": why}
    return Candidate(lines=lines, facts=facts, place=Place("line.procedure_code", first.index, first.number))


def _active_with(row: PairRow, line: LineView, earlier: HistoryLine) -> bool:
    """True when on some day both the line and the earlier one were rendered and the row was active."""
    if line.first_day is None or line.last_day is None or earlier.service_from is None:
        return False
    through = earlier.service_through or earlier.service_from
    first = max(line.first_day, earlier.service_from.toordinal(), row.first_day)
    return first <= min(line.last_day, through.toordinal(), row.last_day)
