"""Every public 837, 277CA, 999, 835 and FHIR sample, and the project's JSON samples, through a running server with the public NCCI, MUE and code
tables. A FHIR example claim that leaves out what it refers to is refused as it is, and judged once more with made-up resources in their places.

The outcome of every file is checked in (samples_summary.json). `WRITE_SUMMARY=1 pytest` of this file writes it again.
"""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
import pyx12.errors
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
from tests.support.fhir_writer import EIN, NPI, NUCC, concept
from tests.support.public_data import DIRECTORY, needs_public_data, public
from tests.support.server import PACKS, ROOT, Server, new_key, running

pytestmark = needs_public_data
X12_FOLDERS = ("837P", "837I", "837D", "277CA", "999", "835")
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
    _load(
        database,
        "opps_payment_status",
        "2026Q2",
        public("hcpcs/opps_addendumB_status_2026-04.csv"),
        EffectivePeriod(date(2026, 4, 1), date(2026, 12, 31)),
    )
    _load(database, "cpt_codes", "2024Q3", public("codesets/mpfs_indicators_2024Q3.csv"), FROM_2024Q3)
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
    for path in [path for folder in X12_FOLDERS for path in sorted(public(f"x12/{folder}").iterdir())]:
        name = f"{path.parent.name}/{path.name}"
        answer = client.post("/v1/x12/837/validate", content=path.read_bytes(), headers={"Content-Type": "application/edi-x12"})
        assert answer.status_code in (200, 422), path.name
        if answer.status_code == 422:
            found[name] = {"file refused": ", ".join(error["code"] for error in answer.json()["errors"])}
            continue
        counted: dict[str, int] = {}
        for result in answer.json()["evaluations"]:
            told = _told(result)
            counted[told] = counted.get(told, 0) + 1
        found[name] = dict(sorted(counted.items()))
    for path in sorted((ROOT / "openapi/examples").glob("claim-*.json")):
        answer = client.post("/v1/claims/validate", content=path.read_bytes(), headers={"Content-Type": "application/json"})
        assert answer.status_code == 200, path.name
        found[f"json/{path.name}"] = {_told({"evaluation": answer.json()}): 1}
    for path in sorted(DIRECTORY.glob("fhir/*/*.json")):
        document = json.loads(path.read_bytes())
        name = f"fhir/{path.parent.name}/{path.name}"
        found[name] = _fhir(client, document)
        if document.get("resourceType") == "Claim" and ("fhir.reference" in str(found[name]) or "fhir.payer" in str(found[name])):
            found[f"{name} with what it refers to"] = _fhir(client, completed(document))
    return found


def _fhir(client: httpx.Client, document: dict[str, Any]) -> dict[str, Any]:
    answer = client.post("/fhir/Claim/$validate-policy", json=document, headers={"Content-Type": "application/fhir+json"})
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code != 200:
        codes = {coding["code"] for issue in answer.json()["issue"] for coding in issue["details"].get("coding", [])}
        return {"refused": ", ".join(sorted(codes))}
    return {_told({"evaluation": client.get(answer.headers["content-location"]).json()}): 1}


MADE_UP: dict[str, dict[str, Any]] = {
    "Patient": {"name": [{"family": "SAMPLE", "given": ["JANE"]}], "birthDate": "1980-05-17", "gender": "female"},
    "Practitioner": {"name": [{"family": "DOE", "given": ["JANE"]}], "identifier": [{"system": NPI, "value": "1467560003"}]},
    "Organization": {
        "name": "Made up", "address": [{"line": ["1 MAIN ST"], "city": "AUSTIN", "state": "TX", "postalCode": "787010001"}],
        "identifier": [{"system": "urn:payer", "value": "EXAMPLE01"}, {"system": NPI, "value": "1234567893"}, {"system": EIN, "value": "123456789"}],
        "type": [concept("207Q00000X", NUCC)],
    },
    "Location": {"name": "Made up", "identifier": [{"system": NPI, "value": "1234567893"}]},
    "Coverage": {"subscriberId": "W123456789", "relationship": concept("self"), "beneficiary": {"reference": "Patient/1"}},
    "ClaimResponse": {"status": "active", "created": "2026-01-01"},
}  # fmt: skip


def completed(claim: dict[str, Any]) -> dict[str, Any]:
    """The claim in a Bundle with a made-up resource for every reference."""
    references = set(re.findall(r'"reference": "([A-Za-z]+)/([^"]+)"', json.dumps(claim)))
    made = [MADE_UP[kind] | {"resourceType": kind, "id": number} for kind, number in sorted(references) if kind in MADE_UP]
    policies = [one | {"payor": [{"identifier": {"value": "EXAMPLE01"}}]} if one["resourceType"] == "Coverage" else one for one in made]
    entries = [{"fullUrl": f"https://ehr.example.org/{one['resourceType']}/{one['id']}", "resource": one} for one in policies]
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": claim}, *entries]}


def test_every_sample_has_the_outcome_that_is_checked_in(public_server: Server) -> None:
    with public_server.client() as client:
        found = summarise(client)
    assert len(found) >= 140
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


DIAGNOSIS_TYPES = {"BK": "principal", "BF": "secondary", "BJ": "admitting", "PR": "reason_for_visit", "BN": "external_cause"}


def _theirs(text: str) -> list[dict[str, Any]]:
    """Claims as pyx12 splits them: id, total, place, diagnoses, and of each line every element that is compared."""
    found: list[dict[str, Any]] = []
    for segment in X12Reader(io.StringIO(text)):
        name = segment.get_seg_id()

        def value(at: str, segment: Any = segment) -> str:
            return segment.get_value(at) or ""

        if name == "CLM":
            found.append(
                {"id": value("CLM01"), "total": float(value("CLM02") or 0), "place": value("CLM05-1"), "lines": [], "diagnoses": []}
            )
        elif name in ("SV1", "SV2"):
            code, charge, units, basis = ("SV101", "SV102", "SV104", "SV103") if name == "SV1" else ("SV202", "SV203", "SV205", "SV204")
            found[-1]["lines"].append(
                {
                    "code": value(f"{code}-2").upper(),
                    "modifiers": [one.upper() for at in range(3, 7) if (one := value(f"{code}-{at}"))],
                    "charge": float(value(charge)),
                    "units": float(value(units) or 0),
                    "basis": value(basis),
                    "pointers": [one for at in range(1, 5) if (one := value(f"SV107-{at}"))] if name == "SV1" else [],
                    "place": value("SV105") if name == "SV1" else "",
                    "revenue": value("SV201") if name == "SV2" else "",
                    "days": [],
                }
            )
        elif name == "HI" and found:
            for at in range(1, 13):
                kind = DIAGNOSIS_TYPES.get(value(f"HI{at:02d}-1")[-2:])
                if kind and value(f"HI{at:02d}-2"):
                    found[-1]["diagnoses"].append((kind, value(f"HI{at:02d}-2").replace(".", "").upper()))
        elif name == "DTP" and value("DTP01") == "472" and found and found[-1]["lines"]:
            days = value("DTP03").split("-")
            found[-1]["lines"][-1]["days"] = [days[0][:8], days[-1][:8]]
    return found


def _mine(claim: Claim) -> dict[str, Any]:
    """The same of a claim as we read it."""
    institutional = claim.claim_type == "institutional"
    return {
        "id": claim.patient_control_number,
        "total": claim.total_charge_amount.cents / 100,
        "place": (claim.institutional.type_of_bill or "").lstrip("0")[:2] if claim.institutional else claim.place_of_service_code,
        "diagnoses": [(one.type, one.code.replace(".", "")) for one in claim.diagnoses],
        "lines": [
            {
                "code": line.procedure_code or "",
                "modifiers": list(line.modifiers),
                "charge": line.charge_amount.cents / 100,
                "units": line.unit_count.thousandths / 1000 if line.unit_count else 0,
                "basis": line.unit_basis or "",
                "pointers": list(map(str, line.diagnosis_pointers)),
                "place": (line.place_of_service_code or "") if not institutional else "",
                "revenue": line.revenue_code or "",
                "days": [day.strftime("%Y%m%d") for day in (line.service_from, line.service_through) if day],
            }
            for line in claim.service_lines
        ],
    }


@pytest.mark.parametrize(("folder", "least"), [("837P", 1_000), ("837I", 4)])
def test_facts_read_from_837_equal_those_of_an_independent_parser(folder: str, least: int) -> None:
    """pyx12 splits segments by its own reader: ids, amounts, places, every diagnosis with its type, and of each line the code, every modifier
    and pointer, charge, units, place or revenue code, first and last day."""
    compared = unread = 0
    for path in sorted(public(f"x12/{folder}").iterdir()):
        try:
            mine = [item.outcome for item in read_837(path.read_bytes())]
        except X12Error:  # refused whole, as the summary says
            continue
        try:
            theirs = _theirs(path.read_text())
        except pyx12.errors.X12Error:  # their parser takes no ISA whose fields are not padded
            assert not any(isinstance(one, Claim) for one in mine), path.name
            continue
        for one, other in zip(theirs, mine, strict=True):
            if not isinstance(other, Claim):  # this one alone, as the summary says
                unread += 1
                continue
            assert _mine(other) == one, path.name
            compared += 1
    assert compared >= least
    assert unread < compared
