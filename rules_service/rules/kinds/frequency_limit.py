"""`frequency_limit`: how often a service is covered (domain.md 2.8).

Per day, calendar year, benefit year, rolling days or months, episode of care (from its first treatment, else its onset), or once in a lifetime; or
a least interval, where Medicare's "eleven full
months" means eligible from the first day of the twelfth month after that of the last service. Codes of one `bucket` count together.
Units of this claim and of earlier ones are counted, or, with `measure: charges`, dollars (the expected amount where it is given, else the charge):
Medicare's therapy threshold, above which KX attests medical necessity (Pub 100-04 ch. 5 s. 10.3). Where history was not supplied, what the payer reported as remaining
(`context.eligibility.benefits_remaining`) is used; without either only a claim that is beyond the limit by itself is judged.

`table` lists codes with `bucket`, `limit`, `period` (day, calendar_year, benefit_year, rolling, episode, lifetime, full_months), `length` (days of a
rolling period, or full months) and `per` (patient or provider).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from rules_service.claim.locations import Place
from rules_service.facts.values import FactValue
from rules_service.facts.view import LineView
from rules_service.primitives.dates import add_months
from rules_service.primitives.money import Quantity
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.base import Branch, Candidate, Judged, Parameters, RuleKind, Telling, fact_specs, fix
from rules_service.rules.kinds.earlier import relevant_history
from rules_service.rules.kinds.practitioners import SPECIALTY_NOT_KNOWN, WHO_RENDERED_EARLIER, Practitioners

LIMIT_COLUMNS = ("bucket", "limit", "period", "length", "per")
EPISODE_NOT_KNOWN = Unknown("context_not_supplied", "dates.initial_treatment")
PERIODS = ("day", "calendar_year", "benefit_year", "rolling", "episode", "lifetime", "full_months")


class FrequencyParameters(Parameters, frozen=True):
    """`benefit_year_month`: the month in which the benefit year begins. `exempt_modifiers` say that the service does not count;
    `attesting_modifiers` that it is covered beyond the limit, and it counts; of `counted_modifiers` a line has one, or it is not looked at.
    `notice_modifiers` say that the patient was told and pays. `roster` states specialties that claims leave out."""

    table: str
    benefit_year_month: int = 1
    exempt_modifiers: tuple[str, ...] = ()
    attesting_modifiers: tuple[str, ...] = ()
    counted_modifiers: tuple[str, ...] = ()
    notice_modifiers: tuple[str, ...] = ()
    measure: Literal["units", "charges"] = "units"
    liability: Literal["provider", "patient"] = "provider"
    roster: str | None = None


@dataclass(frozen=True, slots=True)
class _Limit:
    """A row, typed."""

    bucket: str
    limit: int
    period: str
    length: int
    per: str


class FrequencyLimitKind(RuleKind[FrequencyParameters]):
    """One candidate a line and limit."""

    name = "frequency_limit"
    semantics = 5  # episodes; practitioners whose specialty nobody states; intervals see the same day; what the payer counted beside the history; a claim that is beyond the limit by itself; shares of spans; components
    title = "How often a service is covered"
    levels = ("line",)
    judges_void = False
    parameters = FrequencyParameters
    specs = fact_specs(
        ("frequency.period", "text", "day, calendar_year, benefit_year, rolling, episode, lifetime or full_months."),
        (
            "frequency.over",
            "quantity",
            "Units, or dollars, beyond the limit with this line; unknown without history or a reported remainder, unless the claim is beyond by itself.",
        ),
        ("frequency.notice_given", "flag", "A modifier says that the patient was told that the service is not covered, and pays."),
        ("frequency.interval_met", "flag", "The least interval since the last service has passed; absent for other periods."),
    )

    def table_names(self, parameters: FrequencyParameters) -> tuple[str, ...]:
        return (parameters.table, *filter(None, (parameters.roster,)))

    def code_tables(self, parameters: FrequencyParameters) -> tuple[str, ...]:
        # A limit on some modifiers looks at the table for lines that carry one only.
        return () if parameters.counted_modifiers else (parameters.table,)

    def passing_modifiers(self, parameters: FrequencyParameters) -> tuple[str, ...]:
        return (*parameters.exempt_modifiers, *parameters.attesting_modifiers)

    def branches(self, parameters: FrequencyParameters) -> tuple[Branch, ...]:
        over = {"fact": "frequency.over", "more_than": "0"}
        attest = ", ".join(parameters.attesting_modifiers) or "the modifier the payer asks for"
        line = "Line {line_number} {code}: "
        ask = fix("Ask the payer for an exception, or tell the patient before the service", "needs_payer_contact")
        if parameters.measure == "charges":
            return (
                Branch(
                    code="freq.amount",
                    title="Charges above the period's threshold without the modifier that attests them",
                    at="line.modifiers",
                    severity="warn",
                    confidence="possible",
                    category="clinical",
                    when=over,
                    message=line
                    + "with it the period's charges are above the threshold of {limit} dollars; allowed amounts, which count, may be lower.",
                    fixes=(fix(f"Append {attest} if the record shows that the service is medically necessary", "needs_documentation"),),
                    override_reasons=("documentation_supports_necessity",),
                ),
            )
        told = Branch(
            code="freq.patient_liable",
            title="Beyond the limit, and the patient was told",
            at="line.modifiers",
            severity="warn",
            category="clinical",
            when={
                "all": [
                    {"fact": "frequency.notice_given", "is": "true"},
                    {"any": [over, {"fact": "frequency.interval_met", "is": "false"}]},
                ]
            },
            message=line + "more often than covered; the modifier moves the liability to the patient.",
            fixes=(fix("Keep the signed notice", "needs_documentation"),),
        )
        return (
            *((told,) if parameters.notice_modifiers else ()),
            Branch(
                code="freq.lifetime",
                title="Service covered once in a lifetime",
                at="line.procedure_code",
                severity="deny_hard",
                category="clinical",
                when={"all": [{"fact": "frequency.period", "is": "lifetime"}, over]},
                message=line + "covered {limit} in a lifetime; with this line {counted} are counted.",
                fixes=(fix("Not covered again", "not_fixable"),),
                override_reasons=("payer_confirmed",),
            ),
            Branch(
                code="freq.interval",
                title="Service too soon after the last one",
                at="line.service_from",
                severity="deny_soft",
                category="clinical",
                when={"fact": "frequency.interval_met", "is": "false"},
                message=line + "the last one was on {last}; the next is covered from {next} on.",
                fixes=(ask,),
                owner_role="front_office",
                next_action="contact_payer",
                override_reasons=("payer_confirmed",),
            ),
            Branch(
                code="freq.period",
                title="More services than are covered in the period",
                at="line.unit_count",
                severity="deny_soft",
                category="clinical",
                when={"all": [{"fact": "frequency.period", "in": ["day", "calendar_year", "benefit_year", "rolling", "episode"]}, over]},
                message=line + "{counted} counted in the period, covered are {limit}{again}.",
                fixes=(ask,),
                owner_role="front_office",
                next_action="contact_payer",
                override_reasons=("payer_confirmed",),
            ),
        )

    def derive(self, parameters: FrequencyParameters, judged: Judged) -> Iterator[Candidate]:
        passing = frozenset(self.passing_modifiers(parameters))
        for line in judged.lines:
            if line.code is None or line.date_from is None or not passing.isdisjoint(line.modifiers):
                continue
            if not _counts(parameters, line.modifiers):
                continue
            table = judged.lookups.codes(parameters.table, line.date_from)
            if isinstance(table, Unknown):
                yield Candidate(lines=(line,), facts=dict.fromkeys(self.specs, table))
                return
            day = line.date_from.toordinal()
            for entry in table.rows_on(line.code, day):
                yield self._candidate(parameters, judged, line, table, _limit(table, entry))

    def _candidate(self, parameters: FrequencyParameters, judged: Judged, line: LineView, table: CodeTable, limit: _Limit) -> Candidate:
        day = line.date_from or date.min
        first, following = _span(parameters, limit, day)
        counted = _counted(parameters, judged, line, table, limit, first, following)
        facts: dict[str, FactValue] = {
            "frequency.period": limit.period,
            "frequency.over": None,
            "frequency.interval_met": None,
            "frequency.notice_given": not set(parameters.notice_modifiers).isdisjoint(line.modifiers),
        }
        last: date | None = None
        total = 0
        if isinstance(counted, Unknown):
            facts["frequency.interval_met" if limit.period == "full_months" else "frequency.over"] = counted
        elif limit.period == "full_months":
            last = day if _amount(parameters, limit, line) > 1000 * limit.limit else max((on for on, _ in counted), default=None)
            following = add_months(last.replace(day=1), limit.length + 1) if last is not None else day
            facts["frequency.interval_met"] = day >= following
        else:
            total = sum(units for _, units in counted)
            mine = _amount(parameters, limit, line)
            over = total + mine - 1000 * limit.limit
            facts["frequency.over"] = over
            total += mine
            if limit.period == "rolling" and over > 0:
                # Eligible again when enough of what counts has left the period.
                following = _free_again(counted, limit, mine)
        return Candidate(
            lines=(line,),
            facts=facts,
            place=Place("line.procedure_code", line.index, line.number),
            key=f"{limit.bucket}/{limit.period}",
            qualifier="patient" if parameters.liability == "patient" else "",
            tell=lambda: Telling(
                params={
                    "line_number": str(line.number),
                    "code": line.code or "",
                    "limit": str(limit.limit),
                    "counted": str(Quantity(total)),
                    "last": last.isoformat() if last else "",
                    "next": following.isoformat() if following else "",
                    "again": f"; the next is covered from {following.isoformat()} on" if following else "",
                },
                shown={"period": limit.period, "limit": limit.limit, "next_eligible_date": following.isoformat() if following else None},
                expected={"units_at_most": limit.limit},
                actual={"units_counted": str(Quantity(total))},
            ),
        )


def _limit(table: CodeTable, entry: Entry) -> _Limit:
    bucket, limit, period, length, per = (str(entry.values[table.column(name)]) for name in LIMIT_COLUMNS)
    return _Limit(bucket or entry.key, int(limit or 1), period, int(length or 0), per or "patient")


def _span(parameters: FrequencyParameters, limit: _Limit, day: date) -> tuple[date, date | None]:
    """(first day that counts, the first day of the next period; None for a lifetime)."""
    if limit.period == "day":
        return day, day + timedelta(days=1)
    if limit.period == "calendar_year":
        return date(day.year, 1, 1), date(day.year + 1, 1, 1)
    if limit.period == "benefit_year":
        year = day.year if day.month >= parameters.benefit_year_month else day.year - 1
        return date(year, parameters.benefit_year_month, 1), date(year + 1, parameters.benefit_year_month, 1)
    if limit.period == "rolling":
        return day - timedelta(days=limit.length - 1), None
    return date.min, None


def _episode_began(line: LineView) -> date | None:
    """The first treatment of the illness (DTP*454), else its onset (DTP*431)."""
    dates = line.claim.dates
    return None if dates is None else dates.initial_treatment or dates.onset


def _counted(
    parameters: FrequencyParameters, judged: Judged, line: LineView, table: CodeTable, limit: _Limit, first: date, following: date | None
) -> list[tuple[date, int]] | Unknown:
    """(day, thousandths of units) of what counts besides this line within the period: earlier claims, and the claim's lines before it.

    A service of a later day that was billed already counts too, unless the period looks back from this one.
    """
    day = line.date_from or date.min
    if limit.period == "episode":
        began = _episode_began(line)
        if began is None:
            return [] if _is_beyond(parameters, line, limit, []) else EPISODE_NOT_KNOWN
        first = began
    exempt = frozenset(parameters.exempt_modifiers)
    last = day if limit.period in ("rolling", "full_months") else date.max if following is None else following - timedelta(days=1)
    whose = Practitioners("billing_npi_and_specialty" if limit.per == "provider" else "billing_npi", judged.lookups, parameters.roster)
    beside = [
        (whose.same(line, other), other.date_from, _amount(parameters, limit, other))
        for other in judged.view.lines
        if other.date_from is not None
        and (other.date_from, other.number) < (day, line.number)
        and other.date_from >= first
        and not exempt & set(other.modifiers)
        and not _is_other_component(line, other.date_from, other.modifiers)
        and _counts(parameters, other.modifiers)
        and _in_bucket(table, other.code, other.date_from, limit)
    ]
    same = [(on, amount) for is_same, on, amount in beside if is_same]
    found = _with_history(parameters, judged, line, table, limit, whose, first, last, same)
    unsure = any(is_same is None for is_same, _, _ in beside)
    if unsure and not isinstance(found, Unknown) and not _is_beyond(parameters, line, limit, found):
        return SPECIALTY_NOT_KNOWN
    return found


def _with_history(
    parameters: FrequencyParameters,
    judged: Judged,
    line: LineView,
    table: CodeTable,
    limit: _Limit,
    whose: Practitioners,
    first: date,
    last: date,
    same: list[tuple[date, int]],
) -> list[tuple[date, int]] | Unknown:
    """What the claim's own lines count, and what earlier claims and the payer's own count add to it."""
    exempt = frozenset(parameters.exempt_modifiers)
    same = list(same)
    history = relevant_history(judged.view)
    remaining = _remaining(line, limit) if parameters.measure == "units" else None
    used = None if remaining is None else 1000 * limit.limit - remaining
    if isinstance(history, Unknown):
        if used is not None:
            return [*same, (first, used)]
        return same if _is_beyond(parameters, line, limit, same) else history
    known, unsure = len(same), False
    for entry in history:
        earlier = entry.line
        on = earlier.service_from
        if (
            on is None
            or not first <= on <= last
            or exempt & set(earlier.modifiers)
            or _is_other_component(line, on, earlier.modifiers)
            or not _counts(parameters, earlier.modifiers)
            or not _in_bucket(table, earlier.procedure_code, on, limit)
        ):
            continue
        if limit.per == "provider":
            is_same = whose.same_as_earlier(line, earlier)
            unsure = unsure or is_same is None
            if not is_same:
                continue
        if parameters.measure == "charges" and earlier.charge_amount is None:
            return Unknown("context_not_supplied", "context.history.line.charge_amount")
        charge = 10 * earlier.charge_amount.cents if earlier.charge_amount is not None else 0
        units = earlier.unit_count.thousandths if earlier.unit_count is not None else 1000
        through = earlier.service_through or on
        same.append((on, charge if parameters.measure == "charges" else _share(limit, units, (through - on).days + 1)))
    elsewhere = 0 if used is None else used - sum(units for _, units in same[known:])
    if elsewhere > 0:  # the payer counts what this history does not hold
        same.append((first, elsewhere))
    return WHO_RENDERED_EARLIER if unsure and not _is_beyond(parameters, line, limit, same) else same


def _is_beyond(parameters: FrequencyParameters, line: LineView, limit: _Limit, same: list[tuple[date, int]]) -> bool:
    """Whether the line is beyond the limit with what is known, whatever else was billed."""
    if limit.period == "full_months":
        return any(add_months(on.replace(day=1), limit.length + 1) > (line.date_from or date.min) for on, _ in same)
    return sum(units for _, units in same) + _amount(parameters, limit, line) > 1000 * limit.limit


def _share(limit: _Limit, units: int, days: int) -> int:
    """What of a line over several days falls on one of them, where the limit is one of a day."""
    return -(-units // days) if limit.period == "day" and days > 1 else units


def _is_other_component(line: LineView, on: date, modifiers: tuple[str, ...]) -> bool:
    """Whether a service of the same day is the other half of this one: the hospital gives the technical component, a physician reads it (26)."""
    return on == line.date_from and ("26" in line.modifiers) != ("26" in modifiers)


def _counts(parameters: FrequencyParameters, modifiers: tuple[str, ...]) -> bool:
    return not parameters.counted_modifiers or bool(set(parameters.counted_modifiers) & set(modifiers))


def _in_bucket(table: CodeTable, code: str | None, day: date, limit: _Limit) -> bool:
    return code is not None and any(_limit(table, entry).bucket == limit.bucket for entry in table.rows_on(code, day.toordinal()))


def _remaining(line: LineView, limit: _Limit) -> int | None:
    """Thousandths of units the payer said were left for the code in this period. It says nothing of when the last service was."""
    if limit.period == "full_months":
        return None
    context = line.claim.context
    reported = context.eligibility.benefits_remaining if context is not None and context.eligibility is not None else None
    found = [
        one.quantity.thousandths
        for one in reported or ()
        if one.procedure_code == line.code and one.quantity is not None and one.period in (None, limit.period)
    ]
    return min(found, default=None)


def _amount(parameters: FrequencyParameters, limit: _Limit, line: LineView) -> int:
    """Thousandths of units, or of dollars, that count against the limit."""
    units = line.line.unit_count.thousandths if line.line.unit_count is not None else 1000
    return _share(limit, 10 * line.charge_at_risk if parameters.measure == "charges" else units, line.days_in_span)


def _free_again(counted: list[tuple[date, int]], limit: _Limit, mine: int) -> date | None:
    """The first day on which the line would be within a rolling limit."""
    left = 1000 * limit.limit - mine
    for on, _ in sorted(counted):
        if sum(units for other, units in counted if other > on) <= left:
            return on + timedelta(days=limit.length)
    return None
