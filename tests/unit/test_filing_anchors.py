"""Days a filing clock starts at, where the claim tells them in more than one way."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from rules_service.facts.view import ClaimView
from rules_service.primitives.unknown import Unknown
from rules_service.rules.kinds.filing_clock import anchor_day
from tests.support.builders import claim


def discharged(status: str | None, **more: Any) -> date | Unknown:
    stay = {"type_of_bill": "0111", "statement_from": "2026-09-01", "statement_through": "2026-09-04"}
    told = claim(claim_type="institutional", institutional=stay | ({"patient_status": status} if status else {}), **more)
    return anchor_day("discharge", ClaimView(told, "EXAMPLE01"), None)


@pytest.mark.parametrize("status", ["01", "20", "62"])
def test_a_statement_that_ends_with_the_discharge_tells_its_day(status: str) -> None:
    assert discharged(status) == date(2026, 9, 4)


def test_a_day_of_discharge_that_is_told_counts_before_the_statement() -> None:
    assert discharged("01", dates={"discharge": "2026-09-03"}) == date(2026, 9, 3)


@pytest.mark.parametrize("status", ["30", None])
def test_a_patient_who_has_not_left_or_of_whom_nothing_is_told_has_no_day(status: str | None) -> None:
    assert discharged(status) == Unknown("context_not_supplied", "dates.discharge")
