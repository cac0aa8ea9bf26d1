"""Public 837P samples and the project's JSON samples through a running server with the public NCCI, MUE and code tables.

The outcome of every file is checked in (samples_summary.json). `WRITE_SUMMARY=1 pytest` of this file writes it again.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pyx12.x12file import X12Reader

from rules_service.claim.claim import Claim
from rules_service.formats.x12.claims_837 import read_837
from rules_service.packs.read import find_packs, read_pack
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import X12Error
from rules_service.primitives.scopes import SCOPES
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.services.load_packs import publish_packs
from rules_service.services.load_reference import ICD10_TABLES, Upload, icd10_upload, load_parsed
from rules_service.storage.database import Database
from tests.support.public_data import DIRECTORY, needs_public_data, public
from tests.support.server import PACKS, ROOT, Server, new_key, running

pytestmark = needs_public_data
SUMMARY = Path(__file__).with_name("samples_summary.json")
REVIEW = Path(__file__).with_name("samples_review.yaml")
FROM_2024Q3 = EffectivePeriod(date(2024, 7, 1), date(2026, 12, 31))


def load_public_tables(database: Database, folder: Path) -> None:
    """The public tables, with the coverage that makes them answer for the samples' dates."""
    for table, name in (
        ("ncci_ptp_practitioner", "ptp_practitioner_v302_2024-07-01"),
        ("ncci_ptp_outpatient_hospital", "ptp_outpatient_hospital_v302_2024-07-01"),
    ):
        target = folder / f"{table}.txt"
        layout = DIRECTORY.parent / "tools" / "cms_ptp_layout.py"
        subprocess.run([sys.executable, str(layout), str(public(f"ncci/{name}.csv.gz")), str(target)], check=True, capture_output=True)
        _load(database, table, "2024Q3", target, EffectivePeriod(date(1996, 1, 1), date(2026, 12, 31)))
    _load(database, "ncci_mue_practitioner", "2024Q3", public("ncci/mue_prac_2024Q3.csv"), FROM_2024Q3)
    _load(database, "ncci_mue_outpatient_hospital", "2024Q3", public("ncci/mue_out_2024Q3.csv"), FROM_2024Q3)
    _load(database, "hcpcs_level_ii", "2026JAN", public("hcpcs/hcpcs_level2_2026JAN.csv"), EffectivePeriod(date(1990, 1, 1)))
    _load(database, "place_of_service", "2024", public("codesets/pos_codes_2024.csv"), EffectivePeriod(date(1990, 1, 1)))
    for table, name in (
        ("modifiers", "codesets/modifiers_2024-06.csv"),
        ("nucc_taxonomy", "codesets/nucc_taxonomy_240.csv"),
        ("revenue_codes", "codesets/tuva_revenue_codes.csv"),
        ("physician_fee_schedule", "codesets/mpfs_indicators_2024Q3.csv"),
        ("diagnosis_age_sex", "icd10/mce_code_edits_v41.1_FY2024.csv"),
        ("ncci_add_on_codes", "ncci/aoc_2024Q3.csv"),
    ):
        _load(database, table, "2024", public(name), EffectivePeriod(date(1990, 1, 1)))
    lists = [public(f"icd10/{name}") for name in ("mce_code_edits_v41.1_FY2024.csv", "POAexemptCodes2020.txt")]
    _load(database, "diagnosis_lists", "2024", lists, EffectivePeriod(date(1990, 1, 1)))
    crosswalk = PACKS / "reference_samples/denial_crosswalk.csv"
    _load(database, "denial_crosswalk", "shipped", crosswalk, EffectivePeriod(date(1990, 1, 1)))
    since_2015 = EffectivePeriod(date(2015, 10, 1), date(2026, 12, 31))
    for table in ICD10_TABLES:
        load_parsed(database, "default", icd10_upload(table, "2026-04", since_2015), "tests", accept_census=True)


def _load(database: Database, table: str, label: str, path: Path | list[Path], coverage: EffectivePeriod) -> None:
    files = [SourceFile(one.name, one.read_bytes()) for one in (path if isinstance(path, list) else [path])]
    upload = Upload(table, label, coverage, parse_table(table, files, coverage), files)
    load_parsed(database, "default", upload, "tests", accept_census=True)


@pytest.fixture(scope="module")
def public_server(new_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    url = new_url("sqlite")
    database = Database(url)
    database.migrate()
    load_public_tables(database, tmp_path_factory.mktemp("tables"))
    publish_packs(database, "default", [read_pack(folder) for folder in find_packs(PACKS)], "tests")
    key = new_key(database, "default", sorted(SCOPES))
    database.close()
    with running(url, key, tmp_path_factory.mktemp("data")) as started:
        yield started


def _told(result: dict[str, Any]) -> str:
    if "problem" in result:
        return "refused: " + ", ".join(sorted({error["code"] for error in result["problem"]["errors"]}))
    evaluation = result["evaluation"]
    codes = sorted({finding["code"] for finding in evaluation["findings"]})
    unjudged = sorted({one["reason"] for one in evaluation["not_evaluated"]})
    return f"{evaluation['outcome']}: {', '.join(codes) or 'no finding'}" + (f"; not judged: {', '.join(unjudged)}" if unjudged else "")


def summarise(client: httpx.Client) -> dict[str, Any]:
    """Outcome and finding codes of every sample; a kind of outcome is counted where a file has many claims."""
    found: dict[str, Any] = {}
    for path in sorted(public("x12/837P").iterdir()):
        answer = client.post("/v1/x12/837/validate", content=path.read_bytes(), headers={"Content-Type": "application/edi-x12"})
        assert answer.status_code in (200, 422), path.name
        if answer.status_code == 422:
            found[f"837P/{path.name}"] = {"file refused": ", ".join(error["code"] for error in answer.json()["errors"])}
            continue
        counted: dict[str, int] = {}
        for result in answer.json()["evaluations"]:
            told = _told(result)
            counted[told] = counted.get(told, 0) + 1
        found[f"837P/{path.name}"] = dict(sorted(counted.items()))
    for path in sorted((ROOT / "openapi/examples").glob("claim-*.json")):
        answer = client.post("/v1/claims/validate", content=path.read_bytes(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, path.name
        found[f"json/{path.name}"] = {_told({"evaluation": answer.json()}): 1}
    return found


def test_every_sample_has_the_outcome_that_is_checked_in(public_server: Server) -> None:
    with public_server.client() as client:
        found = summarise(client)
    assert len(found) >= 59
    if os.environ.get("WRITE_SUMMARY"):
        SUMMARY.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(SUMMARY.read_text())


def test_every_finding_on_a_sample_was_looked_at_and_is_explained_in_one_line() -> None:
    checked, review = json.loads(SUMMARY.read_text()), yaml.safe_load(REVIEW.read_text())
    found = {
        name: {code for told in outcomes for code in told.partition(": ")[2].partition(";")[0].split(", ") if told.startswith("findings")}
        for name, outcomes in checked.items()
    }
    assert {name: set(lines) for name, lines in review.items()} == {name: codes for name, codes in found.items() if codes}
    assert all(line.endswith(".") and len(line) < 140 for lines in review.values() for line in lines.values())


def test_4010_files_are_refused_as_such_and_icd_9_codes_are_never_called_clean(public_server: Server) -> None:
    checked = json.loads(SUMMARY.read_text())
    old = [path.name for path in public("x12/837P").iterdir() if b"004010X098" in path.read_bytes()]
    assert old
    assert all(checked[f"837P/{name}"] == {"file refused": "x12.version_4010"} for name in old)
    for path in public("x12/837P").iterdir():
        text = path.read_bytes()
        if b"HI*BK:" in text:
            assert not any(told.startswith("clean") for told in checked[f"837P/{path.name}"]), path.name


def test_facts_read_from_837p_equal_those_of_an_independent_parser() -> None:
    """pyx12 splits segments by its own reader; claim ids, amounts, codes, pointers and dates are compared."""
    compared = 0
    for path in sorted(public("x12/837P").iterdir()):
        try:
            mine = [item.outcome for item in read_837(path.read_bytes())]
        except X12Error:  # refused whole, as the summary says
            continue
        if not all(isinstance(one, Claim) for one in mine):
            continue
        theirs: list[dict[str, Any]] = []
        for segment in X12Reader(io.StringIO(path.read_text())):
            name = segment.get_seg_id()
            if name == "CLM":
                theirs.append({"id": segment.get_value("CLM01"), "total": float(segment.get_value("CLM02") or 0), "lines": []})
            elif name == "SV1":
                theirs[-1]["lines"].append(
                    (
                        segment.get_value("SV101-2"),
                        segment.get_value("SV101-3") or "",
                        float(segment.get_value("SV102")),
                        segment.get_value("SV107-1") or "",
                    )
                )
        assert [one["id"] for one in theirs] == [one.patient_control_number for one in mine if isinstance(one, Claim)], path.name
        for one, other in zip(theirs, mine, strict=True):
            assert isinstance(other, Claim)
            assert one["total"] == other.total_charge_amount.cents / 100
            read = [
                (
                    line.procedure_code,
                    line.modifiers[0] if line.modifiers else "",
                    line.charge_amount.cents / 100,
                    str(line.diagnosis_pointers[0]) if line.diagnosis_pointers else "",
                )
                for line in other.service_lines
            ]
            assert read == [(code.upper(), modifier.upper(), charge, pointer) for code, modifier, charge, pointer in one["lines"]], (
                path.name
            )
            compared += 1
    assert compared > 1_000
