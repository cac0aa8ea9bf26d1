"""`unit_limit`: medically unlikely edits (MUE) and payers' own unit limits.

NCCI Policy Manual ch. I s. V; CMS MUE files. MAI 1 is judged a line, MAI 2 and 3 a day of service over all lines of the code
and provider. An excess denies every unit. A value of 0 is a limit; a missing row is not "no limit", it is not known.
Units of a line that spans days are divided by the days and rounded half up (a documented parameter of CMS practice).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.errors import Issue
from rules_service.primitives.money import Quantity, round_half_up
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.base import (
    Adoption,
    Branch,
    Candidate,
    Judged,
    RuleKind,
    Telling,
    fact_specs,
    fix,
    unadopted,
)
from rules_service.rules.kinds.earlier import relevant_history
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners, ProviderScope
from rules_service.rules.kinds.surgical_center import SurgicalCenters

HOME = "12"
SUPPLIES = ("A4", "A5", "A6", "A7", "A8", "A9", "B", "E", "K", "L", "V2")
"""Beginnings of the HCPCS codes of equipment, supplies, orthotics and glasses."""
BILATERAL = fix("If it was done on both sides, bill one line with modifier 50 and one unit", "needs_documentation")


class UnitLimitParameters(SurgicalCenters, frozen=True):
    """Tables by setting. `adjudication: line` judges every row a line, as Medicaid does, whose file has no MAI. A surgical center, which bills
    RT and LT where others bill modifier 50 with one unit, has the limit for each side. Without `judges_zero` a limit of 0, which says what
    Medicare does not pay, is none of this payer's. `roster` states specialties that claims leave out."""

    table_professional: str | None = None
    table_institutional: str | None = None
    table_supplier: str | None = None
    supplier_taxonomies: tuple[str, ...] = ()
    adjudication: Literal["by_mai", "line"] | None = None
    provider_scope: ProviderScope | None = None
    roster: str | None = None
    round_spans: Literal["half_up", "up"] | None = None
    judges_zero: bool = True
    adoptions: tuple[Adoption, ...] = ()


class UnitLimitKind(RuleKind[UnitLimitParameters]):
    """One candidate a line (MAI 1) or a code and day (MAI 2 and 3)."""

    name = "unit_limit"
    title = "Units above what the payer accepts"
    levels = ("line",)
    judges_void = False
    semantics = 4  # practitioners whose specialty nobody states; surgical centers; one candidate a set of lines; denials asked for; what is supplied to a home
    parameters = UnitLimitParameters
    specs = fact_specs(
        ("units.billed", "quantity", "Units a day, of the line or summed over the day."),
        ("units.limit", "quantity", "The published limit; unknown when the code has no row."),
        ("units.excess", "quantity", "Billed minus limit; unknown when the limit is."),
        ("units.mai", "count", "MUE adjudication indicator: 1 line, 2 day (absolute), 3 day (clinical)."),
        ("units.excess_with_history", "quantity", "The same with earlier claims of that day; unknown when history was not supplied."),
    )

    def check_parameters(self, parameters: UnitLimitParameters) -> Iterable[Issue]:
        if not (parameters.table_professional or parameters.table_institutional):
            yield Issue(
                "parameters",
                "/table_professional",
                "A unit limit names the table of at least one claim type.",
                "Set table_professional or table_institutional.",
            )

    def table_names(self, parameters: UnitLimitParameters) -> tuple[str, ...]:
        return tuple(
            name
            for name in (parameters.table_professional, parameters.table_institutional, parameters.table_supplier, parameters.roster)
            if name
        )

    def branches(self, parameters: UnitLimitParameters) -> tuple[Branch, ...]:

        more: list[dict[str, object]] = [] if parameters.judges_zero else [{"fact": "units.limit", "is_not": "0"}]

        def exceeds(fact: str, mai: str) -> dict[str, object]:
            return {"all": [{"fact": fact, "more_than": "0"}, {"fact": "units.mai", "is": mai}, *more]}

        correct = fix("Correct the units if they were miscounted")
        message = "Line {line_number} {code}: {billed} units a day, the limit is {limit} (MAI {mai})."
        not_payable = (
            Branch(
                code="mue.not_payable",
                title="Code with a unit limit of 0",
                at="line.procedure_code",
                severity="deny_hard",
                when={"all": [{"fact": "units.excess", "more_than": "0"}, {"fact": "units.limit", "is": "0"}]},
                message="Line {line_number} {code}: the published limit is 0, the code is not separately payable in this setting.",
                fixes=(fix("Bill the code the payer accepts for this service, or remove the line"),),
                next_action="correct_claim",
            ),
        )
        return (
            *(not_payable if parameters.judges_zero else ()),
            Branch(
                code="mue.mai1",
                title="Line units above the limit",
                at="line.unit_count",
                severity="deny_soft",
                when=exceeds("units.excess", "1"),
                message=message,
                fixes=(
                    correct,
                    fix(
                        "If the units were separate services, split them over lines with the modifier the record supports",
                        "needs_documentation",
                    ),
                ),
            ),
            Branch(
                code="mue.mai2",
                title="Day's units above an absolute limit",
                at="line.unit_count",
                severity="deny_hard",
                when=exceeds("units.excess", "2"),
                message=message,
                fixes=(correct,),
                next_action="correct_claim",
            ),
            Branch(
                code="mue.mai3",
                title="Day's units above a clinical limit",
                at="line.unit_count",
                severity="deny_soft",
                when=exceeds("units.excess", "3"),
                message=message,
                fixes=(correct, fix("Attach the record that supports the units", "needs_documentation")),
                override_reasons=("units_documented",),
            ),
            Branch(
                code="mue.mai2.cross_claim",
                title="Day's units above an absolute limit, counting earlier claims",
                at="line.unit_count",
                severity="deny_hard",
                when=exceeds("units.excess_with_history", "2"),
                message=message + " Earlier claims of that day are counted.",
                fixes=(correct,),
            ),
            Branch(
                code="mue.mai3.cross_claim",
                title="Day's units above a clinical limit, counting earlier claims",
                at="line.unit_count",
                severity="deny_soft",
                when=exceeds("units.excess_with_history", "3"),
                message=message + " Earlier claims of that day are counted.",
                fixes=(correct, fix("Attach the record that supports the units", "needs_documentation")),
                override_reasons=("units_documented",),
            ),
        )

    def derive(self, parameters: UnitLimitParameters, judged: Judged) -> Iterator[Candidate]:
        counted = [
            line
            for line in judged.view.lines
            if line.code
            and line.date_from
            and line.line.unit_count is not None
            and line.line.unit_basis != "MJ"
            and "GY" not in line.modifiers  # its denial as excluded by statute is asked for
        ]
        of_code: dict[str, list[LineView]] = {}
        for line in counted:
            of_code.setdefault(line.code or "", []).append(line)
        mine = {line.index for line in judged.lines}
        left_out = unadopted(parameters.adoptions, judged.view)
        # A facility's units are summed whoever rendered them.
        is_facility = judged.view.claim.claim_type == "institutional"
        scope: ProviderScope = "billing_npi" if is_facility else parameters.provider_scope or "rendering_npi"
        whose = Practitioners(scope, judged.lookups, parameters.roster)
        done: set[tuple[str, date, int]] = set()
        told: set[tuple[str, tuple[int, ...]]] = set()
        for line in counted:
            table_name = _table(parameters, line)
            if line.index not in mine or line.date_from is None or line.code is None or table_name is None:
                continue
            table = judged.lookups.codes(table_name, line.date_from, left_out, of=line.code)
            if isinstance(table, Unknown):
                yield self._candidate(line, (line,), None, table, parameters)
                continue
            day = judged.lookups.day_within(table_name, line.date_from, left_out) if left_out else line.date_from
            entry = table.on(line.code, day.toordinal())
            if entry is None:
                yield self._candidate(
                    line, (line,), None, Unknown("unit_limit_not_published", "the payer's own limit, if known"), parameters
                )
                continue
            limit = int(entry.values[table.column("value")])
            mai = 1 if parameters.adjudication == "line" else int(entry.values[table.column("mai")])
            if mai == 1:
                yield self._candidate(line, (line,), _per_day(parameters, line), limit, parameters, mai)
                continue
            if len(of_code[line.code]) == 1 and line.days_in_span == 1:  # as nearly every line
                earlier = self._earlier(whose, parameters, judged, line, line.date_from)
                yield self._candidate(line, (line,), _per_day(parameters, line), limit, parameters, mai, earlier)
                continue
            group = [other for other in of_code[line.code] if whose.same(line, other)]
            if (line.code, line.date_from, group[0].number) in done:
                continue
            done.add((line.code, line.date_from, group[0].number))
            worst = self._worst_day(whose, parameters, judged, line, of_code[line.code], group, limit, mai)
            together = (line.code, tuple(one.index for one in worst.lines))
            if together not in told:
                told.add(together)
                yield worst

    def _worst_day(
        self,
        whose: Practitioners,
        parameters: UnitLimitParameters,
        judged: Judged,
        line: LineView,
        of_code: list[LineView],
        group: list[LineView],
        limit: int,
        mai: int,
    ) -> Candidate:
        """The day of the line's span on which most units of the code are billed, counting earlier claims."""
        found: list[tuple[int, int, Candidate]] = []
        unsure = [other for other in of_code if whose.same(line, other) is None]
        for day in line.days:
            same_day = [other for other in group if _on(other, day)]
            billed = sum(_per_day(parameters, other) for other in same_day)
            earlier = self._earlier(whose, parameters, judged, line, day)
            total = billed + (0 if isinstance(earlier, Unknown) else sum(units for units, _ in earlier))
            if total <= 1000 * limit and any(_on(other, day) for other in unsure):
                earlier = SPECIALTY_NOT_KNOWN
            found.append((total, -len(found), self._candidate(line, same_day, billed, limit, parameters, mai, earlier)))
        return max(found, key=lambda item: item[:2])[2]

    def _earlier(
        self, whose: Practitioners, parameters: UnitLimitParameters, judged: Judged, line: LineView, day: date
    ) -> list[tuple[int, tuple[str, ...]]] | Unknown:
        """(thousandths of units, modifiers) of what earlier claims billed of the code on a day."""
        history = relevant_history(judged.view)
        if isinstance(history, Unknown):
            return history
        found: list[tuple[int, tuple[str, ...]]] = []
        for entry in history:
            earlier = entry.line
            if (
                earlier.procedure_code != line.code
                or earlier.unit_count is None
                or earlier.service_from is None
                or earlier.unit_basis == "MJ"
            ):
                continue
            through = earlier.service_through or earlier.service_from
            if not earlier.service_from <= day <= through:
                continue
            same = whose.same_as_earlier(line, earlier)
            if same is None:
                return WHO_RENDERED_EARLIER
            if same:
                units = _spread(parameters, earlier.unit_count.thousandths, (through - earlier.service_from).days + 1)
                found.append((units, earlier.modifiers))
        return found

    def _candidate(
        self,
        line: LineView,
        lines: Sequence[LineView],
        billed: int | None,
        limit: int | Unknown,
        parameters: UnitLimitParameters,
        mai: int = 1,
        before: Sequence[tuple[int, tuple[str, ...]]] | Unknown = (),
    ) -> Candidate:
        facts: dict[str, FactValue] = {"units.billed": billed, "units.mai": mai}
        if isinstance(limit, Unknown) or billed is None:
            facts |= {"units.limit": limit, "units.excess": limit, "units.excess_with_history": limit}
            return Candidate(lines=tuple(lines), facts=facts, place=Place("line.unit_count", line.index, line.number))
        earlier = before if isinstance(before, Unknown) else sum(units for units, _ in before)
        modifiers, is_center = {modifier for one in lines for modifier in one.modifiers}, parameters.bills(line)
        sides = _are_sides(modifiers)
        if is_center:
            theirs = {modifier for _, several in before for modifier in several} if not isinstance(before, Unknown) else set()
            limit *= 2 if _are_sides(modifiers | theirs) else 1
        thousandths = 1000 * limit
        if limit == 0 and any(one.line.unit_count is not None and one.line.unit_count.thousandths > 0 for one in lines):
            billed = max(billed, 1)  # spread over days the units may round to nothing; a limit of 0 is exceeded all the same
        facts |= {"units.limit": thousandths, "units.excess": billed - thousandths, "units.excess_with_history": None}
        if mai != 1 and billed <= thousandths:
            facts["units.excess_with_history"] = (
                earlier if isinstance(earlier, Unknown) else billed + earlier - thousandths if earlier else None
            )
        counted = billed if billed > thousandths or isinstance(earlier, Unknown) else billed + earlier

        def tell() -> Telling:
            shown = str(Quantity(counted))
            return Telling(
                params={
                    "line_number": str(line.number),
                    "code": line.code or "",
                    "billed": shown,
                    "limit": str(limit),
                    "mai": str(mai),
                },
                fixes=(BILATERAL,) if sides and not is_center else (),
                shown={"limit": limit, "mai": mai, "service_date": line.date_from.isoformat() if line.date_from else None},
                expected={"units_at_most": limit},
                actual={"units": shown},
            )

        return Candidate(lines=tuple(lines), facts=facts, place=Place("line.unit_count", line.index, line.number), tell=tell)


def _on(line: LineView, day: date) -> bool:
    return line.first_day is not None and line.last_day is not None and line.first_day <= day.toordinal() <= line.last_day


def _per_day(parameters: UnitLimitParameters, line: LineView) -> int:
    """Thousandths of units a day."""
    return _spread(parameters, line.line.unit_count.thousandths if line.line.unit_count else 0, line.days_in_span)


def _spread(parameters: UnitLimitParameters, thousandths: int, days: int) -> int:
    if days <= 1:
        return thousandths
    if parameters.round_spans == "up":
        return 1000 * -(-thousandths // (1000 * days))
    return 1000 * round_half_up(thousandths, 1000 * days)


def _are_sides(modifiers: set[str]) -> bool:
    return "RT" in modifiers and "LT" in modifiers and "50" not in modifiers


def _table(parameters: UnitLimitParameters, line: LineView) -> str | None:
    """The table of the claim's kind. What is supplied to a home (equipment, supplies, glasses) goes by that of suppliers, whoever supplies it."""
    claim = line.claim
    if claim.claim_type == "institutional":
        return parameters.table_institutional
    supplied = line.place_of_service == HOME and (line.code or "").startswith(SUPPLIES)
    if parameters.table_supplier and (supplied or claim.providers.billing.taxonomy_code in parameters.supplier_taxonomies):
        return parameters.table_supplier
    return parameters.table_professional
