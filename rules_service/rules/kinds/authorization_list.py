"""Which row of an authorization list a line meets."""

from __future__ import annotations

from datetime import date

from rules_service.facts.view import LineView
from rules_service.primitives.dates import age_in_years
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Entry


def _cell(entry: Entry, table: CodeTable, column: str) -> tuple[str, ...]:
    return tuple(str(entry.values[table.column(column)]).split())


_ANYWHERE = ("lines_of_business", "states", "plan_ids", "places_of_service", "modifiers")
_SUPPLY = {
    "lines_of_business": "payer.line_of_business",
    "states": "providers.billing.address.state",
    "plan_ids": "payer.plan_id",
    "places_of_service": "place_of_service_code",
    "modifiers": "service_lines.modifiers",
}


def list_row(table: CodeTable, line: LineView) -> Entry | Unknown | None:
    """The row that applies: effective on the date, every condition met; `not_required` and `suspended` before the rest, then the
    most specific. Unknown when a row that would win depends on something the claim does not say."""
    if line.code is None or line.date_from is None:
        return None
    day = line.date_from.toordinal()
    best: tuple[tuple[int, int, int], Entry | Unknown] | None = None
    for entry in table.rows_of(line.code):
        if not entry.first_day <= day <= entry.last_day:
            continue
        met = _met(table, entry, line)
        if met is False:
            continue
        exempting = entry.values[table.column("requirement")] in ("not_required", "suspended")
        specific = sum(bool(_cell(entry, table, column)) for column in (*_ANYWHERE, "diagnosis_prefixes", "age_from", "age_through"))
        rank = (exempting, specific, entry.first_day)
        if best is None or rank > best[0]:
            best = (rank, met if isinstance(met, Unknown) else entry)
    return best[1] if best is not None else None


def _met(table: CodeTable, entry: Entry, line: LineView) -> bool | Unknown:
    """Whether the line meets every condition of a row; unknown when the claim does not say and nothing else rules the row out."""
    claim = line.claim
    held: dict[str, tuple[str | None, ...]] = {
        "lines_of_business": (claim.payer.line_of_business,),
        "states": (_state(line),),
        "plan_ids": (claim.payer.plan_id,),
        "places_of_service": (line.place_of_service,),
        "modifiers": line.modifiers or ("",),
    }
    unsure: Unknown | None = None
    for column, values in held.items():
        wanted = _cell(entry, table, column)
        if wanted and values == (None,):
            unsure = Unknown("context_not_supplied", _SUPPLY[column])
        elif wanted and not set(wanted) & set(values):
            return False
    prefixes = _cell(entry, table, "diagnosis_prefixes")
    if prefixes and not any(
        code.replace(".", "").startswith(prefix.replace(".", "")) for code in line.diagnosis_codes for prefix in prefixes
    ):
        return False
    lowest, highest = _cell(entry, table, "age_from"), _cell(entry, table, "age_through")
    if lowest or highest:
        born = (claim.patient or claim.subscriber).birth_date
        if born is None:
            unsure = Unknown("context_not_supplied", "subscriber.birth_date")
        else:
            age = age_in_years(born, line.date_from or date.min)
            if (lowest and age < int(lowest[0])) or (highest and age > int(highest[0])):
                return False
    return unsure if unsure is not None else True


def _state(line: LineView) -> str | None:
    """State where the service was given: facility, else billing provider, else the payer's."""
    providers = line.claim.providers
    for provider in (line.line.providers.service_facility if line.line.providers else None, providers.service_facility, providers.billing):
        if provider is not None and provider.address is not None and provider.address.state:
            return provider.address.state
    return line.claim.payer.state
