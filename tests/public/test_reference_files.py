"""The public copies of the reference files load, and look-ups in them agree with the file read plainly."""

import csv
import gzip
import random
import subprocess
import sys
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import CodeTable
from rules_service.reference.pair_table import PairTable
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from tests.support.public_data import DIRECTORY, needs_public_data, public

pytestmark = needs_public_data


@pytest.mark.parametrize(
    ("name", "path", "first", "rows"),
    [
        ("ncci_mue_practitioner", "ncci/mue_prac_2024Q3.csv", "2024-07-01", 14_677),
        ("ncci_mue_outpatient_hospital", "ncci/mue_out_2024Q3.csv", "2024-07-01", 14_628),
        ("ncci_mue_dme_supplier", "ncci/mue_dme_2024Q3.csv", "2024-07-01", 2_928),
        ("ncci_mue_dme_supplier", "ncci/MCR_MUE_DME_Additions_Eff_10-01-2025.txt", "2025-10-01", 24),
        ("ncci_add_on_codes", "ncci/aoc_2025Q4_eff2025-10-01.csv", "2013-01-01", 8_615),
        ("ncci_add_on_codes", "ncci/aoc_2024Q3.csv", "2024-07-01", 7_465),
        ("hcpcs_level_ii", "hcpcs/hcpcs_level2_2026JAN.csv", "1990-01-01", 9_006),
        ("icd10cm", "icd10/icd10cm_billable_FY2025_FY2026.csv", "2024-10-01", 148_979),
        ("place_of_service", "codesets/pos_codes_2024.csv", "1990-01-01", 52),
        ("modifiers", "codesets/modifiers_2024-06.csv", "1990-01-01", 426),
        ("nucc_taxonomy", "codesets/nucc_taxonomy_240.csv", "1990-01-01", 874),
        ("revenue_codes", "codesets/tuva_revenue_codes.csv", "1990-01-01", 526),
        ("physician_fee_schedule", "codesets/mpfs_indicators_2024Q3.csv", "2024-07-01", 16_471),
        ("opps_payment_status", "hcpcs/opps_addendumB_status_2026-04.csv", "2026-04-01", 19_059),
        ("diagnosis_age_sex", "icd10/mce_code_edits_v41.1_FY2024.csv", "2023-10-01", 4_927),
        ("diagnosis_lists", "icd10/mce_code_edits_v41.1_FY2024.csv", "2023-10-01", 422),
        ("diagnosis_lists", "icd10/POAexemptCodes2020.txt", "2019-10-01", 37_075),
        ("remittance_codes", "codesets/carc_rarc_group_codes_2024-06.csv", "1990-01-01", 1_581),
    ],
)
def test_a_public_file_loads_with_every_row(name: str, path: str, first: str, rows: int) -> None:
    parsed = parse_table(name, [SourceFile(Path(path).name, public(path).read_bytes())], EffectivePeriod(date.fromisoformat(first)))
    assert parsed.rows == rows
    assert len(CodeTable(parsed.blob)) >= rows


def test_a_carc_that_was_deactivated_is_not_active_afterwards() -> None:
    path = public("codesets/carc_rarc_group_codes_2024-06.csv")
    table = CodeTable(parse_table("remittance_codes", [SourceFile("c.csv", path.read_bytes())], EffectivePeriod(date(1990, 1, 1))).blob)
    assert table.on("CARC:15", date(2018, 4, 30).toordinal()) is not None
    assert table.on("CARC:15", date(2018, 5, 1).toordinal()) is None
    assert table.on("CARC:197", date(2026, 11, 23).toordinal()) is not None


def test_every_code_the_shipped_rules_predict_is_active_in_the_public_list(packs_folder: Path) -> None:
    from rules_service.engine.policy import complete_branches
    from rules_service.packs.read import find_packs, read_pack

    path = public("codesets/carc_rarc_group_codes_2024-06.csv")
    table = CodeTable(parse_table("remittance_codes", [SourceFile("c.csv", path.read_bytes())], EffectivePeriod(date(1990, 1, 1))).blob)
    day = date(2024, 6, 30).toordinal()
    predicted = {
        f"{kind}:{code}"
        for folder in find_packs(packs_folder)
        for _, _, content in read_pack(folder).contents()
        for branch in complete_branches(content)
        if branch.predicts is not None
        for kind, codes in (("CARC", (branch.predicts.carc,)), ("RARC", branch.predicts.rarcs))
        for code in codes
        if code is not None
    }
    assert predicted
    assert [code for code in sorted(predicted) if table.on(code, day) is None] == []


def test_the_full_practitioner_table_agrees_with_the_file(tmp_path: Path) -> None:
    source = public("ncci/ptp_practitioner_v302_2024-07-01.csv.gz")
    target = tmp_path / "ccipra.txt"
    subprocess.run(
        [sys.executable, str(DIRECTORY.parent / "tools" / "cms_ptp_layout.py"), str(source), str(target)], check=True, capture_output=True
    )
    parsed = parse_table(
        "ncci_ptp_practitioner", [SourceFile(target.name, target.read_bytes())], EffectivePeriod(date(1996, 1, 1), date(2024, 9, 30))
    )
    assert parsed.rows == 2_546_017
    table = PairTable(parsed.blob)
    plain: dict[str, set[tuple[str, str]]] = defaultdict(set)
    with gzip.open(source, "rt", newline="") as file:
        for row in csv.DictReader(file):
            plain[row["column1"]].add((row["column2"], row["modifier_indicator"]))
    codes = sorted(plain)
    draw = random.Random(7)
    hits = 0
    for _ in range(2_000):
        asked = draw.sample(codes, draw.randint(1, 14))
        expected = {(one, two, indicator) for one in asked for two, indicator in plain[one] if two in asked}
        found = {(row.column_one, row.column_two, str(row.indicator)) for row in table.pairs_among(asked)}
        assert found == expected
        hits += len(found)
    assert hits > 1_000
