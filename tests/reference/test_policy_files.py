"""Tables payers' edits rest on, from the layouts of their publishers: good rows are read, bad ones are named by file and line."""

from __future__ import annotations

from datetime import date

import pytest

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import ReferenceFault
from rules_service.reference.code_table import CodeTable
from rules_service.reference.policy_files import excluded_codes
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile

COVERAGE = EffectivePeriod(date(2026, 1, 1), date(2026, 12, 31))
FEES = "HCPCS,MOD,STATUS CODE,PCTC IND,GLOB DAYS,BILAT SURG,ASST SURG,CO-SURG,TEAM SURG\n"
MCE = "icd_code,icd_description,icd_conflict_group,icd_conflict_rule\n"


def table(name: str, text: str) -> CodeTable:
    return CodeTable(parse_table(name, [SourceFile("f.csv", text.encode())], COVERAGE).blob)


def values(name: str, text: str) -> dict[str, tuple[int | str, ...]]:
    return {entry.key: entry.values for entry in table(name, text)}


def test_a_code_s_indicators_are_those_of_its_row_without_a_modifier() -> None:
    text = FEES + "P4010,26,A,1,000,0,0,0,0\nP4010,,A,1,010,1,2,1,0\nP4010,TC,A,1,XXX,0,0,0,0\nP4020,26,R,0,XXX,9,9,9,9\n"
    assert values("physician_fee_schedule", text) == {
        "P4010": ("A", "1", "010", "1", "2", "1", "0"),
        "P4020": ("R", "0", "XXX", "9", "9", "9", "9"),
    }


def test_the_relative_value_file_s_header_may_stand_in_several_rows() -> None:
    text = (
        "2026 file,,,,,,,,,,\n"
        ",,STATUS,PCTC,GLOB,,BILAT,ASST,CO-,TEAM,\n"
        "HCPCS,MOD,CODE,IND,DAYS,OTHER,SURG,SURG,SURG,SURG,MORE\n"
        "P4010,,A,1,010,x,1,2,1,0,y\n"
    )  # fmt: skip
    assert values("physician_fee_schedule", text) == {"P4010": ("A", "1", "010", "1", "2", "1", "0")}


def test_the_status_of_addendum_b_is_read_by_either_name_of_its_column() -> None:
    assert values("opps_payment_status", "HCPCS Code,Short Descriptor,SI,APC\nP1001,x,T,5071\nP4801,x,C,\n") == {
        "P1001": ("T",),
        "P4801": ("C",),
    }
    assert values("opps_payment_status", "hcpcs,status_indicator\nP4803,E1\n") == {"P4803": ("E1",)}


def test_ages_and_sexes_of_the_code_editor_and_of_plain_columns() -> None:
    text = MCE + (
        'O80,t,Age,"Maternity (Age 9-64)"\nO80,t,Sex,Female Only\nP00.0,t,Age,"Perinatal/Newborn (Age 0 Only)"\nD63.0,t,Manifestation,x\n'
    )
    assert values("diagnosis_age_sex", text) == {"O80": ("9", "64", "F"), "P000": ("0", "0", "")}
    assert values("diagnosis_age_sex", "code,age_from,age_through,sex\nO80,9,64,F\nN40.1,,,M\n") == {
        "O80": ("9", "64", "F"), "N401": ("", "", "M"),
    }  # fmt: skip


def test_lists_of_the_code_editor_of_the_exempt_codes_and_of_plain_columns() -> None:
    text = MCE + "D63.0,t,Other,Manifestation code\nZ37.0,t,Other,Unacceptable principal\nO80,t,Sex,Female Only\n"
    assert values("diagnosis_lists", text) == {"D630": ("manifestation",), "Z370": ("unacceptable_principal",)}
    assert values("diagnosis_lists", "POA Exempt Code\nB90.0\n") == {"B900": ("poa_exempt",)}
    assert values("diagnosis_sides", "code,list\nM17.11,right\n") == {"M1711": ("right",)}


def test_excludes1_notes_name_codes_categories_and_ranges() -> None:
    assert values("icd10cm_excludes1", "code,excluded\nE10,E11\n") == {"E10": ("E11",)}
    assert [entry.values for entry in table("icd10cm_excludes1", "code,excluded\nO99.8,O10-O16\n")] == [("O10-O16",)]
    assert excluded_codes("hypertensive heart disease (I11.-)") == ["I11"]
    assert excluded_codes("complications (O10-O11, O13-O16)") == ["O10-O11", "O13-O16"]
    assert excluded_codes("a note without codes") == []


def test_code_lists_are_valid_for_their_coverage_unless_they_say_otherwise() -> None:
    found = {entry.key: (entry.first_day, entry.last_day) for entry in table("modifiers", "mod_code,effective_from\nLT,\nXE,2026-02-01\n")}
    first, last = COVERAGE.first.toordinal(), date(2026, 12, 31).toordinal()
    assert found == {"LT": (first, last), "XE": (date(2026, 2, 1).toordinal(), last)}
    assert set(values("revenue_codes", "revenue_center_code\n0450\n")) == {"0450"}
    assert set(values("nucc_taxonomy", "Code,Grouping\n207Q00000X,Individual\n")) == {"207Q00000X"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("physician_fee_schedule", FEES + "P 4,,A,1,010,1,2,1,0\n"),
        ("opps_payment_status", "HCPCS Code,SI\nP1001,\n"),
        ("opps_payment_status", "HCPCS Code,SI\nP-1,T\n"),
        ("diagnosis_age_sex", "code,age_from,age_through,sex\nO80,nine,64,F\n"),
        ("diagnosis_age_sex", "code,age_from,age_through,sex\nO80,9,64,X\n"),
        ("diagnosis_age_sex", MCE + "O80,t,Sex,Everybody\n"),
        ("diagnosis_lists", "code,list\nO80,odd\n"),
        ("diagnosis_lists", "POA Exempt Code\nB-90\n"),
        ("icd10cm_excludes1", "code,excluded\nE10,E11-E12-E13\n"),
        ("modifiers", "mod_code\nL-T\n"),
        ("modifiers", "mod_code,effective_from\nLT,soon\n"),
        ("revenue_codes", "revenue_center_code\nABCDEFGHIJK\n"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(name: str, text: str) -> None:
    with pytest.raises(ReferenceFault) as refusal:
        table(name, text)
    assert [issue.where for issue in refusal.value.issues] == ["f.csv:2"]
    assert all(issue.message and issue.mend for issue in refusal.value.issues)
