"""Dates: periods whose both ends count, months that clip, business days."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_service.primitives.dates import (
    EffectivePeriod,
    add_business_days,
    add_months,
    add_years,
    age_in_years,
    federal_holidays,
    first_overlap,
    is_business_day,
    next_business_day,
)

days = st.dates(date(1990, 1, 1), date(2100, 12, 31))


def test_both_ends_of_a_period_count() -> None:
    period = EffectivePeriod(date(2026, 1, 1), date(2026, 1, 31))
    assert date(2026, 1, 1) in period
    assert date(2026, 1, 31) in period
    assert date(2025, 12, 31) not in period
    assert date(2026, 2, 1) not in period


def test_a_period_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="swap the dates"):
        EffectivePeriod(date(2026, 1, 2), date(2026, 1, 1))


@given(days, st.integers(0, 400), days, st.integers(0, 400))
def test_two_periods_overlap_exactly_when_they_share_a_day(first: date, length: int, other: date, other_length: int) -> None:
    one = EffectivePeriod(first, first + timedelta(days=length))
    two = EffectivePeriod(other, other + timedelta(days=other_length))
    shared = {first + timedelta(days=n) for n in range(length + 1)} & {other + timedelta(days=n) for n in range(other_length + 1)}
    assert one.overlaps(two) == two.overlaps(one) == bool(shared)
    assert (first_overlap([one, two]) is not None) == bool(shared)


@given(days, st.integers(-240, 240))
def test_months_keep_the_day_or_clip_to_the_end_of_the_month(day: date, months: int) -> None:
    later = add_months(day, months)
    assert (later.year * 12 + later.month) - (day.year * 12 + day.month) == months
    assert later.day == day.day or (later.day < day.day and (later + timedelta(days=1)).day == 1)


def test_a_leap_day_plus_a_year_is_the_28th() -> None:
    assert add_years(date(2024, 2, 29), 1) == date(2025, 2, 28)


def test_a_month_from_the_31st_of_january() -> None:
    assert add_months(date(2026, 1, 31), 1) == date(2026, 2, 28)


def test_thanksgiving_and_an_observed_holiday_are_no_business_days() -> None:
    assert date(2026, 11, 26) in federal_holidays(2026)
    assert date(2026, 7, 3) in federal_holidays(2026)  # 4 July is a Saturday
    assert next_business_day(date(2026, 11, 26)) == date(2026, 11, 27)
    assert is_business_day(date(2026, 11, 26), federal=False)


@given(days, st.integers(1, 60))
def test_business_days_are_counted_one_by_one(day: date, count: int) -> None:
    end = add_business_days(day, count)
    between = [day + timedelta(days=n) for n in range(1, (end - day).days + 1)]
    assert sum(map(is_business_day, between)) == count
    assert is_business_day(end)


@given(days, days)
def test_age_grows_by_one_on_the_birthday(born: date, on: date) -> None:
    age = age_in_years(born, on)
    assert age_in_years(born, on + timedelta(days=1)) - age in (0, 1)
    if (on.month, on.day) == (born.month, born.day):
        assert age == on.year - born.year
