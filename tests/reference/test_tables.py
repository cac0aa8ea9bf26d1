"""Byte-form tables answer as a plain dictionary would, whatever the order they were written in."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.packs.samples import memory_edition
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable, Row, write_code_table
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.reference.pair_table import PairTable, write_pair_table

CODES = st.sampled_from(["A", "AB", "ABC", "P1001", "P1002", "P1003", "99213", "0001U", "Z9", "ZZZZZ"])
DAYS = st.integers(700_000, 700_030)
PAIRS = st.lists(st.tuples(CODES, CODES, DAYS, st.integers(0, 9), st.sampled_from([0, 1, 9])), max_size=40)


def pair_table(rows: list[tuple]) -> PairTable:
    return PairTable(
        write_pair_table(
            [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[2] + r[3] for r in rows], [r[4] for r in rows]
        )
    )


@settings(max_examples=200)
@given(PAIRS, st.sets(CODES, max_size=10), st.randoms())
def test_pair_lookup_finds_exactly_the_rows_whose_codes_are_among_those_asked(rows: list[tuple], asked: set[str], shuffle) -> None:  # type: ignore[no-untyped-def]
    expected = sorted((a, b, first, first + length, indicator) for a, b, first, length, indicator in rows if a in asked and b in asked)
    found = [(row.column_one, row.column_two, row.first_day, row.last_day, row.indicator) for row in pair_table(rows).pairs_among(asked)]
    assert sorted(found) == expected
    again = list(rows)
    shuffle.shuffle(again)
    columns = [[r[0] for r in again], [r[1] for r in again], [r[2] for r in again], [r[2] + r[3] for r in again], [r[4] for r in again]]
    same = [[r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[2] + r[3] for r in rows], [r[4] for r in rows]]
    assert write_pair_table(*columns) == write_pair_table(*same)


ROWS = st.lists(st.tuples(CODES, DAYS, st.none() | st.integers(0, 9), st.integers(-5, 5), st.sampled_from(["", "x", "y z"])), max_size=30)


@settings(max_examples=200)
@given(ROWS, CODES, DAYS)
def test_code_lookup_is_that_of_a_plain_list(rows: list[tuple], key: str, day: int) -> None:
    written = [
        Row(k, date.fromordinal(first), None if length is None else date.fromordinal(first + length), (number, text))
        for k, first, length, number, text in rows
    ]
    table = CodeTable(write_code_table(written, (("number", "int"), ("text", "text"))))
    assert len(table) == len(rows)
    mine = sorted((first, number, text) for k, first, _, number, text in rows if k == key)
    assert sorted((entry.first_day, *entry.values) for entry in table.rows_of(key)) == mine
    active = [first for k, first, length, _, _ in rows if k == key and first <= day and (length is None or day <= first + length)]
    found = table.on(key, day)
    assert (found is None) == (not active)
    assert found is None or found.first_day == max(active)


def test_a_table_cut_short_is_refused() -> None:
    blob = write_code_table([Row("A", date(2020, 1, 1), None, ())], ())
    with pytest.raises(ValueError, match="cut short"):
        CodeTable(blob[:-1])
    with pytest.raises(ValueError, match="not a"):
        PairTable(blob)


def test_the_edition_whose_coverage_holds_the_day_answers_and_no_other_day_is_answered() -> None:
    blob = write_code_table([Row("A", date(2020, 1, 1), None, ())], ())
    first = memory_edition("t", "Q1", blob, EffectivePeriod(date(2026, 1, 1), date(2026, 3, 31)), epoch=1)
    again = memory_edition("t", "Q1b", blob, EffectivePeriod(date(2026, 1, 1), date(2026, 3, 31)), epoch=2)
    second = memory_edition("t", "Q2", blob, EffectivePeriod(date(2026, 4, 1), date(2026, 6, 30)), epoch=1)
    lookups = Lookups(EditionCatalog([first, again, second]))
    assert lookups.edition("t", date(2026, 3, 31)) is again
    assert lookups.edition("t", date(2026, 4, 1)) is second
    for day in (date(2025, 12, 31), date(2026, 7, 1)):
        found = lookups.edition("t", day)
        assert isinstance(found, Unknown)
        assert found.reason == "reference_edition_out_of_range"
    assert [edition.edition for edition in lookups.used()] == ["Q1b", "Q2"]
    assert isinstance(lookups.edition("other", date(2026, 1, 1)), Unknown)


def edition(label: str, first: date, last: date | None, epoch: int = 1) -> Edition:
    def unopened() -> CodeTable:
        raise AssertionError("only which edition answers is asked")

    return Edition("t", label, label, EffectivePeriod(first, last), epoch, unopened)


def label_of(found: Edition | Unknown) -> str:
    return found.reason if isinstance(found, Unknown) else found.edition


def test_where_only_an_edition_not_adopted_answers_the_one_before_it_goes_on() -> None:
    q3, q4 = edition("Q3", date(2026, 7, 1), date(2026, 9, 30)), edition("Q4", date(2026, 10, 1), date(2026, 12, 31))
    catalog = EditionCatalog([q3, q4])
    not_q4 = frozenset({"Q4"})
    for day, unadopted, expected in (
        (date(2026, 10, 5), frozenset(), "Q4"),
        (date(2026, 10, 5), not_q4, "Q3"),
        (date(2026, 9, 30), not_q4, "Q3"),
        (date(2027, 1, 1), not_q4, "reference_edition_out_of_range"),
        (date(2026, 6, 30), not_q4, "reference_edition_out_of_range"),
        (date(2026, 10, 5), frozenset({"Q3", "Q4"}), "reference_edition_out_of_range"),
    ):
        assert label_of(catalog.find("t", day, unadopted)) == expected, (day, unadopted)


def test_a_correction_of_an_edition_is_used_unless_it_is_not_adopted() -> None:
    first, corrected = edition("Q4", date(2026, 10, 1), date(2026, 12, 31)), edition("Q4b", date(2026, 10, 1), date(2026, 12, 31), epoch=2)
    catalog = EditionCatalog([first, corrected])
    assert label_of(catalog.find("t", date(2026, 11, 1))) == "Q4b"
    assert label_of(catalog.find("t", date(2026, 11, 1), frozenset({"Q4b"}))) == "Q4"
