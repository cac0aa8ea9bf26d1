"""Public registers as they are published: who may order, certificates of laboratories, drug packages and their codes."""

from __future__ import annotations

from datetime import date

import pytest

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import ReferenceFault
from rules_service.reference.code_table import CodeTable
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile

COVERAGE = EffectivePeriod(date(2026, 1, 1), date(2026, 12, 31))


def table(name: str, text: str) -> CodeTable:
    return CodeTable(parse_table(name, [SourceFile("f.csv", text.encode())], COVERAGE).blob)


def test_who_may_order_is_read_with_the_programs_and_the_name() -> None:
    text = "NPI,LAST_NAME,FIRST_NAME,PARTB,DME,HHA,PMD\n1467560003,O'SAMPLE,PAT,Y,N,Y,N\n"
    found = table("order_and_referring", text)
    assert [entry.values for entry in found] == [("O'SAMPLE", "PAT", "Y", "N", "Y", "N", "")]
    assert found.on("1467560003", date(2026, 6, 1).toordinal()) is not None
    assert found.on("1467560003", date(2027, 1, 1).toordinal()) is None


def test_a_laboratory_s_certificate_lasts_from_its_first_day_to_its_last() -> None:
    text = "PRVDR_NUM,FAC_NAME,CRTFCT_TYPE_CD,CRTFCT_EFCTV_DT,TRMNTN_EXPRTN_DT\n45D0000001,X,2,20250301,20270228\n45D0000002,Y,,,\n"
    found = table("clia_laboratories", text)
    assert [(entry.key, entry.values) for entry in found] == [("45D0000001", ("waiver",))]
    first, last = date(2025, 3, 1).toordinal(), date(2027, 2, 28).toordinal()
    assert found.on("45D0000001", first)
    assert found.on("45D0000001", last)
    assert found.on("45D0000001", first - 1) is None
    assert found.on("45D0000001", last + 1) is None


def test_packages_of_the_directory_are_kept_in_eleven_digits() -> None:
    text = (
        "PRODUCTID\tPRODUCTNDC\tNDCPACKAGECODE\tSTARTMARKETINGDATE\tENDMARKETINGDATE\n"
        "a\t0002-0152\t0002-0152-01\t20100101\t\nb\t12345-6789\t12345-6789-1\t20200101\t20260630\n"
    )
    found = table("ndc_packages", text)
    assert [entry.key for entry in found] == ["00002015201", "12345678901"]
    assert found.on("12345678901", date(2026, 6, 30).toordinal()) is not None
    assert found.on("12345678901", date(2026, 7, 1).toordinal()) is None


@pytest.mark.parametrize(
    "text",
    [
        "Note before the header\n_2026_CODE,Short Description,LABELER NAME,NDC2,Drug Name\nJ1885,x,y,99999-0001-01,z\n",
        "NDC,NDC Mod,HCPCS,HCPCS Mod,Relationship Start Date,Relationship End Date\n99999000101,,J1885,,01/01/2020,\n",
    ],
)
def test_codes_of_packages_are_read_from_either_crosswalk(text: str) -> None:
    found = table("ndc_codes", text)
    assert found.texts_on("99999000101", "code", date(2026, 6, 1).toordinal()) == {"J1885"}


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("order_and_referring", "NPI,LAST_NAME,FIRST_NAME,PARTB,DME\n146756,X,Y,Y,Y\n", "bad_npi"),
        ("order_and_referring", "NPI,LAST_NAME,FIRST_NAME,PARTB,DME\n1467560003,X,Y,Q,Y\n", "bad_flag"),
        ("clia_laboratories", "PRVDR_NUM,CRTFCT_TYPE_CD\n45D1,2\n", "bad_clia"),
        ("clia_laboratories", "PRVDR_NUM,CRTFCT_TYPE_CD\n45D0000001,7\n", "bad_certificate"),
        ("clia_laboratories", "PRVDR_NUM,CRTFCT_TYPE_CD,CRTFCT_EFCTV_DT,TRMNTN_EXPRTN_DT\n45D0000001,2,20260301,20260228\n", "dates_swapped"),
        ("ndc_packages", "NDCPACKAGECODE\n12345\n", "bad_ndc"),
        ("ndc_packages", "NDCPACKAGECODE,STARTMARKETINGDATE,ENDMARKETINGDATE\n0002-0152-01,20260301,20260228\n", "dates_swapped"),
        ("ndc_codes", "HCPCS,NDC\nJ1885,123\n", "bad_row"),
        ("ndc_codes", "HCPCS,NDC,Relationship Start Date,Relationship End Date\nJ1885,99999000101,20260301,20260228\n", "dates_swapped"),
    ],
)  # fmt: skip
def test_a_bad_row_is_refused_by_file_and_line(name: str, text: str, code: str) -> None:
    with pytest.raises(ReferenceFault) as caught:
        table(name, text)
    assert [(issue.code, issue.where) for issue in caught.value.issues] == [(code, "f.csv:2")]
