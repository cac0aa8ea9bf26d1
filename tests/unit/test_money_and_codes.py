"""Money, quantities and identifiers."""

from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_service.primitives.codes import mbi_is_valid, npi_is_valid
from rules_service.primitives.money import Money, Quantity, round_half_up


@given(st.integers(-(10**12) + 1, 10**12 - 1))
def test_money_reads_back_what_it_writes(cents: int) -> None:
    assert Money.parse(str(Money(cents))) == Money(cents)


@given(st.integers(-(10**12) + 1, 10**12 - 1))
def test_a_quantity_reads_back_what_it_writes(thousandths: int) -> None:
    assert Quantity.parse(str(Quantity(thousandths))) == Quantity(thousandths)


@given(st.decimals(min_value=0, max_value=10**10 - 1, places=2))
def test_money_is_the_exact_decimal(amount: Decimal) -> None:
    assert Money.parse(str(amount)).cents == int(amount * 100)


@pytest.mark.parametrize(("text", "cents"), [("150", 15000), ("150.5", 15050), (".5", 50), ("0", 0), ("-3.10", -310), ("150.000", 15000)])
def test_x12_spellings_of_an_amount(text: str, cents: int) -> None:
    assert Money.parse(text).cents == cents


@pytest.mark.parametrize("bad", ["", ".", "-", "1,000", "1e3", "NaN", "1.005", " 1", "1 ", "٣", 1, 1.5, None, True, "9" * 14])
def test_an_amount_that_is_no_amount_is_refused_without_repeating_it(bad: object) -> None:
    with pytest.raises(ValueError, match="Expected an amount") as error:
        Money.parse(bad)
    assert "9999" not in str(error.value)


@given(st.integers(0, 10**6), st.integers(1, 400))
def test_halves_round_up(numerator: int, denominator: int) -> None:
    assert round_half_up(numerator, denominator) == int((Decimal(numerator) / denominator).quantize(Decimal(1), ROUND_HALF_UP))


def test_ten_over_four_is_three() -> None:
    assert round_half_up(10, 4) == 3


@pytest.mark.parametrize("npi", ["1234567893", "1467560003"])
def test_valid_npis(npi: str) -> None:
    assert npi_is_valid(npi)


@given(st.integers(10**8, 2 * 10**8 + 10**8 - 1))
def test_exactly_one_check_digit_is_valid(first_nine: int) -> None:
    found = [digit for digit in range(10) if npi_is_valid(f"{first_nine}{digit}")]
    assert len(found) == (1 if str(first_nine)[0] in "12" else 0)


@pytest.mark.parametrize("npi", ["1234567890", "123456789", "12345678933", "3234567893", "", "12345 7893", "١٢٣٤٥٦٧٨٩٣"])
def test_invalid_npis(npi: str) -> None:
    assert not npi_is_valid(npi)


def test_the_published_mbi_example_is_valid_without_its_dashes() -> None:
    assert mbi_is_valid("1EG4TE5MK73")
    assert not mbi_is_valid("1EG4-TE5-MK73")
    assert not mbi_is_valid("1SG4TE5MK73")
