"""Files as publishers ship them: read whole, or refused with file and line and nothing kept."""

from datetime import date

import pytest

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import ReferenceFault
from rules_service.reference.code_table import CodeTable
from rules_service.reference.pair_table import PairTable
from rules_service.reference.publishers import census_issue, parse_table
from rules_service.reference.source_files import SourceFile

COVERAGE = EffectivePeriod(date(2026, 7, 1), date(2026, 9, 30))
NOTICE = '"CPT only copyright American Medical Association. All rights reserved."\r\n\r\n'
PTP = (
    NOTICE
    + '"Column 1"\t"Column 2"\t"*=in existence\nprior to 1996"\t"Effective\nDate"\t"Deletion\nDate\n*=no data"\t"Modifier\n0=not allowed"\t"PTP Edit Rationale"\r\n'
)
MUE = NOTICE + "HCPCS/CPT Code,Practitioner Services MUE Values,MUE Adjudication Indicator,MUE Rationale\r\n"


def parse(name: str, text: str | bytes):  # type: ignore[no-untyped-def]
    data = text.encode() if isinstance(text, str) else text
    return parse_table(name, [SourceFile("file.txt", data)], COVERAGE)


def fault(name: str, text: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(ReferenceFault) as error:
        parse(name, text)
    assert all(issue.message and issue.mend for issue in error.value.issues)
    return [(issue.where, issue.code) for issue in error.value.issues]


def test_ptp_rows_with_their_dates() -> None:
    table = PairTable(
        parse("ncci_ptp_practitioner", PTP + "P1001\tP1002\t*\t19960101\t*\t1\tx\r\nP1001\tP1003\t\t20200101\t20201231\t0\tx\r\n").blob
    )
    rows = table.pairs_among(["P1001", "P1002", "P1003"])
    assert [(row.column_two, date.fromordinal(row.first_day), row.indicator) for row in rows] == [
        ("P1002", date(1996, 1, 1), 1),
        ("P1003", date(2020, 1, 1), 0),
    ]
    assert date.fromordinal(rows[1].last_day) == date(2020, 12, 31)


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("P1001\tp1002\t\t20200101\t*\t1\tx", "bad_code"),
        ("P1001\t\t\t20200101\t*\t1\tx", "bad_code"),
        ("P1001\tP1002\t\t20200101\t*\t2\tx", "bad_indicator"),
        ("P1001\tP1002\t\t20201301\t*\t1\tx", "bad_date"),
        ("P1001\tP1002\t\t*\t*\t1\tx", "no_effective_date"),
        ("P1001\tP1002\t\t20200101\t20191231\t1\tx", "dates_swapped"),
    ],
)
def test_a_bad_ptp_row_is_named_by_file_and_line(row: str, code: str) -> None:
    good = "P1001\tP1009\t\t20200101\t*\t1\tx\r\n"
    found = fault("ncci_ptp_practitioner", PTP + good + row + "\r\n")
    assert ("file.txt:9", code) in found or any(where.startswith("file.txt:") and got == code for where, got in found)


def test_mue_values_and_indicators() -> None:
    table = CodeTable(parse("ncci_mue_practitioner", MUE + "P2001,2,1 Line Edit,x\r\nP2004,0,2 Date of Service Edit: Policy,x\r\n").blob)
    assert table.on("P2001", date(2026, 9, 30).toordinal()).values == (2, 1)  # type: ignore[union-attr]
    assert table.on("P2004", date(2026, 7, 1).toordinal()).values == (0, 2)  # type: ignore[union-attr]
    assert table.on("P2001", date(2026, 10, 1).toordinal()) is None


@pytest.mark.parametrize(
    ("row", "code"),
    [("P2001,x,1,", "bad_value"), ("P2001,1,7,", "bad_mai"), ("p2001,1,1,", "bad_code"), ("P2000,1,1,\r\nP2000,2,1,", "code_twice")],
)
def test_a_bad_mue_row_is_named(row: str, code: str) -> None:
    assert fault("ncci_mue_practitioner", MUE + row + "\r\n")[0][1] == code


def test_the_medicaid_file_has_no_adjudication_indicator() -> None:
    table = CodeTable(parse("ncci_mue_practitioner", "HCPCS/CPT Code,MUE Value\nP2001,2\n").blob)
    assert table.on("P2001", date(2026, 7, 1).toordinal()).values == (2, 0)  # type: ignore[union-attr]


def test_an_icd_order_file_tells_headers_from_billable_codes() -> None:
    text = "00001 A00     0 Cholera                                                      Cholera\n00002 A000    1 Cholera due to Vibrio cholerae 01, biovar cholerae           Cholera\n"
    table = CodeTable(parse("icd10cm", text).blob)
    day = date(2026, 8, 1).toordinal()
    assert [table.on(code, day).values for code in ("A00", "A000")] == [(0,), (1,)]  # type: ignore[union-attr]


def test_a_list_of_billable_codes_gives_its_categories_as_headers() -> None:
    table = CodeTable(parse("icd10cm", "code,fy,billable\nE1142,2026,1\n").blob)
    day = date(2026, 8, 1).toordinal()
    assert [table.on(code, day).values for code in ("E11", "E114", "E1142")] == [(0,), (0,), (1,)]  # type: ignore[union-attr]


@pytest.mark.parametrize("text", ["", "nothing here", "a,b,c\n1,2,3\n", MUE])
def test_a_file_of_something_else_or_without_rows_is_refused(text: str) -> None:
    assert fault("ncci_mue_practitioner", text)[0][1] in ("no_header", "empty")


def test_an_archive_is_not_text() -> None:
    assert fault("ncci_mue_practitioner", b"PK\x03\x04\x81\x8d\x00")[0][1] in ("not_text", "no_header")


def test_an_unknown_table_lists_those_known() -> None:
    with pytest.raises(ReferenceFault, match="ncci_ptp_practitioner"):
        parse("nonsense", "x")


@pytest.mark.parametrize(
    ("now", "before", "fits"), [(100, None, True), (100, 100, True), (120, 100, True), (121, 100, False), (79, 100, False), (80, 100, True)]
)
def test_the_census_allows_a_fifth_more_or_less(now: int, before: int | None, fits: bool) -> None:
    assert (census_issue("t", now, before) is None) == fits
