"""Dates of service as days; periods whose both ends count; filing-limit arithmetic.

A day number is the proleptic Gregorian ordinal (`date.toordinal()`), an int, so that facts stay flat.
"""

from __future__ import annotations

import calendar
import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import holidays

LAST_DAY = date.max


@dataclass(frozen=True, slots=True, order=True)
class EffectivePeriod:
    """First and last day a policy applies, both inclusive; no last day means it has no known end."""

    first: date
    last: date | None = None

    def __post_init__(self) -> None:
        if self.last is not None and self.last < self.first:
            raise ValueError(f"the period ends {self.last}, before it starts {self.first}: swap the dates")

    def __contains__(self, day: date) -> bool:
        return self.first <= day and (self.last is None or day <= self.last)

    def overlaps(self, other: EffectivePeriod) -> bool:
        """True when at least one day lies in both."""
        return self.first <= (other.last or LAST_DAY) and other.first <= (self.last or LAST_DAY)


def first_overlap(periods: Iterable[EffectivePeriod]) -> tuple[EffectivePeriod, EffectivePeriod] | None:
    """The first two periods, in date order, that share a day; None when none do."""
    ordered = sorted(periods, key=lambda period: (period.first, period.last or LAST_DAY))
    for earlier, later in itertools.pairwise(ordered):
        if earlier.overlaps(later):
            return earlier, later
    return None


def add_months(day: date, months: int) -> date:
    """The same day number `months` later, clipped to the end of the month (31 January + 1 = 28 or 29 February)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def add_years(day: date, years: int) -> date:
    """The same day `years` later; 29 February becomes 28 February (Pub 100-04 ch. 1 s. 70)."""
    return add_months(day, 12 * years)


@functools.lru_cache(maxsize=256)
def federal_holidays(year: int) -> frozenset[date]:
    """US federal holidays as observed in a year (5 U.S.C. 6103), the days a federal contractor does not work."""
    return frozenset(holidays.country_holidays("US", years=year, observed=True).keys())


def is_business_day(day: date, extra_holidays: Sequence[date] = (), federal: bool = True) -> bool:
    """Monday to Friday, not a federal holiday where `federal` is set, not one of the payer's own holidays."""
    return day.weekday() < 5 and day not in extra_holidays and not (federal and day in federal_holidays(day.year))


def next_business_day(day: date, extra_holidays: Sequence[date] = (), federal: bool = True) -> date:
    """The day itself when it is a business day, else the first one after it."""
    while not is_business_day(day, extra_holidays, federal):
        day += timedelta(days=1)
    return day


def add_business_days(day: date, count: int, extra_holidays: Sequence[date] = (), federal: bool = True) -> date:
    """The `count`-th business day after `day`; the anchor day is day 0."""
    while count > 0:
        day = next_business_day(day + timedelta(days=1), extra_holidays, federal)
        count -= 1
    return day


def age_in_years(born: date, on: date) -> int:
    """Completed years; someone born on 29 February completes a year on 1 March of a common year."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))
