"""Rows of a pack's table that hold for some claims only: which of a code's rows a line meets.

Columns of conditions, each empty for "any"; lists inside a cell are separated by spaces. `companion_codes`: one of these codes is on
another line of the claim that shares a day with this one. `specialties`: beginnings of the taxonomy code of who rendered it. `units_from`: the
line bills as many units, or more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from rules_service.facts.view import LineView
from rules_service.primitives.dates import age_in_years
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry
from rules_service.rules.kinds.earlier import days_meet

CONDITION_COLUMNS = (
    "lines_of_business",
    "states",
    "plan_ids",
    "networks",
    "specialties",
    "places_of_service",
    "modifiers",
    "diagnosis_prefixes",
    "age_from",
    "age_through",
    "units_from",
    "companion_codes",
)
_SUPPLY = {
    "lines_of_business": "payer.line_of_business",
    "states": "providers.billing.address.state",
    "plan_ids": "payer.plan_id",
    "networks": "payer.network_status",
    "places_of_service": "place_of_service_code",
    "modifiers": "service_lines.modifiers",
}


def cell(entry: Entry, table: CodeTable, column: str) -> tuple[str, ...]:
    """The values of a cell."""
    return tuple(str(entry.values[table.column(column)]).split())


def specificity(entry: Entry, table: CodeTable) -> int:
    """How many conditions a row has."""
    return sum(bool(cell(entry, table, column)) for column in CONDITION_COLUMNS)


def row_for(table: CodeTable, line: LineView, goes_first: Callable[[Entry], bool] = lambda _: False) -> Entry | Unknown | None:
    """The row in effect whose conditions the line meets: one that goes before the rest, else the most specific, of equal ones the latest.
    Unknown when a row that would win depends on something the claim does not say."""
    if line.code is None or line.date_from is None:
        return None
    best: tuple[tuple[bool, int, int], Entry | Unknown] | None = None
    for entry in table.rows_on(line.code, line.date_from.toordinal()):
        held = met(table, entry, line)
        if held is False:
            continue
        rank = (goes_first(entry), specificity(entry, table), entry.first_day)
        if best is None or rank > best[0]:
            best = (rank, held if isinstance(held, Unknown) else entry)
    return best[1] if best is not None else None


def met(table: CodeTable, entry: Entry, line: LineView) -> bool | Unknown:
    """Whether the line meets every condition of a row; unknown when the claim does not say and nothing else rules the row out."""
    claim = line.claim
    held: dict[str, tuple[str | None, ...]] = {
        "lines_of_business": (claim.payer.line_of_business,),
        "states": (state_of_service(line),),
        "plan_ids": (claim.payer.plan_id,),
        "networks": (claim.payer.network_status,),
        "places_of_service": (line.place_of_service,),
        "modifiers": line.modifiers or ("",),
    }
    unsure: Unknown | None = None
    for column, values in held.items():
        wanted = cell(entry, table, column)
        if wanted and values == (None,):
            unsure = Unknown("context_not_supplied", _SUPPLY[column])
        elif wanted and not set(wanted) & set(values):
            return False
    companions = cell(entry, table, "companion_codes")
    if companions and not any(
        other.code in companions and other.index != line.index and days_meet(line, other) for other in line.view.lines
    ):
        return False
    specialties, taxonomy = cell(entry, table, "specialties"), line.rendering.taxonomy_code
    if specialties and taxonomy is None:
        unsure = Unknown("context_not_supplied", "service_lines.providers.rendering.taxonomy_code")
    elif specialties and taxonomy is not None and not taxonomy.startswith(specialties):
        return False
    least, units = cell(entry, table, "units_from"), line.line.unit_count
    if least and units is None:
        unsure = Unknown("context_not_supplied", "service_lines.unit_count")
    elif least and units is not None and units.thousandths < 1000 * int(least[0]):
        return False
    prefixes = cell(entry, table, "diagnosis_prefixes")
    if prefixes and not any(
        code.replace(".", "").startswith(prefix.replace(".", "")) for code in line.diagnosis_codes for prefix in prefixes
    ):
        return False
    lowest, highest = cell(entry, table, "age_from"), cell(entry, table, "age_through")
    if lowest or highest:
        born = (claim.patient or claim.subscriber).birth_date
        if born is None:
            unsure = Unknown("context_not_supplied", "subscriber.birth_date")
        else:
            age = age_in_years(born, line.date_from or date.min)
            if (lowest and age < int(lowest[0])) or (highest and age > int(highest[0])):
                return False
    return unsure if unsure is not None else True


def state_of_service(line: LineView) -> str | None:
    """State where the service was given: facility, else billing provider, else the payer's."""
    providers = line.claim.providers
    for provider in (line.own_provider("service_facility"), providers.service_facility, providers.billing):
        if provider is not None and provider.address is not None and provider.address.state:
            return provider.address.state
    return line.claim.payer.state
