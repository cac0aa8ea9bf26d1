"""What is measured with: a claim of n lines, a policy of n rules, the public tables where they are, else the samples."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rules_service.claim.codec import encode_json
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.formats.native.json_claims import claim_of
from rules_service.packs.cases import only
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import memory_edition, read_samples
from rules_service.packs.tables import compile_table
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.scopes import SCOPES
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.rules.rule import FindingTemplate, Manifest, RuleSetScope, RuleVersionContent, Window
from rules_service.storage import catalog
from rules_service.storage.clients import create_client
from rules_service.storage.database import Database

ROOT = Path(__file__).resolve().parents[1]
PUBLIC = Path(os.environ.get("PUBLIC_DATA_DIR", ROOT.parent / "shared" / "data"))
FOREVER = EffectivePeriod(date(1996, 1, 1))
CODES = [
    "11042",
    "97597",
    "99213",
    "20610",
    "J3301",
    "71046",
    "80053",
    "36415",
    "93000",
    "94640",
    "12001",
    "10060",
    "69210",
    "96372",
    "81002",
    "85025",
]


def claim_body(lines: int = 5, codes: Sequence[str] = CODES) -> bytes:
    """A Medicare claim of about 0.9 KB a line, with names, addresses and providers as an EHR sends them."""
    address = {"line1": "100 SAMPLE STREET", "line2": "SUITE 200", "city": "AUSTIN", "state": "TX", "zip": "787010001"}
    provider = {
        "entity_type": "1",
        "npi": "1467560003",
        "taxonomy_code": "207Q00000X",
        "last_or_organization_name": "SAMPLE",
        "first_name": "DOCTOR",
        "address": address,
    }
    document: dict[str, Any] = {
        "claim_type": "professional", "patient_control_number": "PCN-1001", "claim_frequency_code": "1", "received_at": "2026-11-23T10:00:00-05:00",
        "payer": {"payer_id": "MEDB", "name": "MEDICARE PART B", "line_of_business": "medicare", "claim_filing_indicator_code": "MB", "state": "TX"},
        "subscriber": {"member_id": "1EG4TE5MK73", "relationship_code": "18", "first_name": "JANE", "middle_name": "Q", "last_name": "SAMPLE", "birth_date": "1950-05-17", "sex": "F", "address": address},
        "providers": {"billing": {**provider, "entity_type": "2", "npi": "1234567893", "tax_id": "123456789"}, "rendering": provider, "referring": provider, "service_facility": provider},
        "place_of_service_code": "11", "total_charge_amount": f"{100 * lines}.00", "assignment_code": "A", "benefits_assigned": "Y", "release_code": "Y",
        "diagnoses": [{"sequence": n, "code": code, "type": "principal" if n == 1 else "secondary"} for n, code in enumerate(("J06.9", "I10", "E11.9", "M54.50"), 1)],
        "service_lines": [
            {
                "line_number": n, "line_control_number": f"LCN-{n:05d}", "procedure_code": codes[(n - 1) % len(codes)], "modifiers": ["59"] if n % 7 == 2 else [], "charge_amount": "100.00",
                "unit_basis": "UN", "unit_count": "1", "service_from": "2026-11-20", "service_through": "2026-11-20", "place_of_service_code": "11", "diagnosis_pointers": [1, 2],
                "providers": {"rendering": provider}, "description": "SERVICE AS RENDERED", "emergency": "N",
            }
            for n in range(1, lines + 1)
        ],
        "context": {"history": []},
    }  # fmt: skip
    return json.dumps(document).encode()


def many_claims(made: list[tuple[str, bytes, int]], count: int, lines: int = 5) -> list[bytes]:
    """Claims as a practice sends them: services of forty days, most lines of sixty codes and the rest of six hundred, diagnoses of many."""
    draw = random.Random(5)
    blobs = {name: blob for name, blob, _ in made}
    codes = [code for code in _keys(blobs["physician_fee_schedule"]) if len(code) == 5]
    seldom = draw.sample(codes, min(600, len(codes)))
    often = seldom[:60]
    diagnoses = [code for code in _keys(blobs["icd10cm"]) if len(code) > 3]
    diagnoses = draw.sample(diagnoses, min(600, len(diagnoses)))
    found = []
    for _ in range(count):
        day = (date(2026, 11, 20) - timedelta(days=draw.randrange(40))).isoformat()
        document = json.loads(claim_body(lines, draw.choices(often, k=3) + draw.choices(seldom, k=lines)))
        for diagnosis in document["diagnoses"]:
            diagnosis["code"] = draw.choice(diagnoses)
        for line in document["service_lines"]:
            line["service_from"] = line["service_through"] = day
            line["modifiers"] = draw.choice([[], [], [], ["59"], ["25"], ["LT"]])
        found.append(json.dumps(document).encode())
    return found


def _keys(blob: bytes) -> list[str]:
    return sorted({entry.key for entry in CodeTable(blob)})


def condition_rules(count: int, concern: bool, prefix: str = "BEN") -> Publication:
    """Condition rules of the payer; those that concern the claim are always candidates, the others pin another procedure code."""
    contents = []
    for n in range(count):
        code = {"fact": "line.procedure_code", "in": [f"X{n:04d}", f"Y{n:04d}"]}
        when: dict[str, Any] = {
            "all": [{"fact": "line.place_of_service_code", "is": f"{n % 80 + 12}"}, {"fact": "line.charge_amount", "more_than": f"{n}.00"}]
        }
        if not concern:
            when = {"all": [code, *when["all"]]}
        contents.append(
            RuleVersionContent(
                rule_id=f"{prefix}-{n:04d}", name=f"r{n}", title="Benchmark rule", kind="condition", level="line", category="bench", stage="stable", policy_date="service_date",
                when=when, finding=FindingTemplate(code="bench.rule", severity="info", message="Line {line_number}."),
            )
        )  # fmt: skip
    windows = tuple(Window(rule_id=one.rule_id, version=1, sha256=one.sha256(), effective_from=date(2020, 1, 1)) for one in contents)
    manifest = Manifest(
        rule_set_id=f"bench_{prefix.lower()}",
        title="Benchmark",
        scope=RuleSetScope(layer="payer", payer_ids=("MEDB",), lines_of_business=("medicare",)),
        windows=windows,
    )
    return Publication(manifest.rule_set_id, 1, manifest.sha256(), manifest, {one.sha256(): one for one in contents})


def shipped() -> list[Publication]:
    """National baseline and Medicare Part B."""
    return [
        read_pack(folder).publication(1)
        for folder in find_packs(ROOT / "payer_rules")
        if folder.name in ("national_baseline", "medicare_part_b")
    ]


SPINE = frozenset({"code_pair", "unit_limit", "authorization_requirement", "filing_limit", "code_validity", "identifier"})
"""The kinds a claim is judged by first of all: pairs, units, authorizations, deadlines, codes, identifiers."""


def concerning(publications: Sequence[Publication], body: bytes, count: int) -> list[Publication]:
    """So many of their rules that concern the claim: those of the kinds of SPINE, then conditions, each in the order of their ids."""
    view = ClaimView(claim_of(body), "MEDB")
    judged_by = Policy(publications, view.claim.claim_type, SliceCache()).slice_of_all(view.dates)
    assert judged_by is not None, "no policy changes between the dates of the claim"
    identities = judged_by.everything.identities
    kinds = {one.rule_id: one.kind for publication in publications for one in publication.contents.values()}
    usable = [rule_id for rule_id, _ in identities if kinds[rule_id] in SPINE or kinds[rule_id] == "condition"]
    kept = set(sorted(usable, key=lambda rule_id: (kinds[rule_id] not in SPINE, rule_id))[:count])
    return [only(publication, *kept) for publication in publications]


def echo_padding(publications: Sequence[Publication], made: list[tuple[str, bytes, int]], bodies: Sequence[bytes]) -> int:
    """Bytes that make an echo of a claim as long as its evaluation by these rules, on the average."""
    policy, catalog, bytes_more = Policy(publications, "professional", SliceCache()), EditionCatalog(memory_editions(made)), 0
    for claim in map(claim_of, bodies):
        judgement = judge(policy, ClaimView(claim, "MEDB"), Lookups(catalog), frozenset()).judgement
        bytes_more += len(encode_json(judgement)) + 900 - len(encode_json(claim))
    return max(0, bytes_more // len(bodies))


def authorizations(rows: int) -> tuple[Publication, list[Edition]]:
    """The illustrative plan, whose authorization list has so many rows, none of them for the codes of `claim_body`."""
    pack = read_pack(ROOT / "payer_rules" / "example_commercial_ppo")
    header = "code,effective_from,effective_through,requirement,family\n"
    text = header + "".join(f"{chr(65 + n // 10_000)}{n % 10_000:04d},2020-01-01,,required,family\n" for n in range(30_000, 30_000 + rows))
    name = "example_commercial_ppo/authorization_list"
    blob = compile_table("authorization_list", text, "bench.csv")
    others = [one for one in pack.editions() if one.name != name]
    return pack.publication(1), [*others, memory_edition(name, f"{rows}", blob, FOREVER)]


def pair_rows(folder: Path) -> bytes | None:
    """The public practitioner table in CMS's layout; None when it is not here."""
    source = PUBLIC / "ncci" / "ptp_practitioner_v302_2024-07-01.csv.gz"
    if not source.exists():
        return None
    target = folder / "ccipra.txt"
    if not target.exists():
        subprocess.run(
            [sys.executable, str(PUBLIC.parent / "tools" / "cms_ptp_layout.py"), str(source), str(target)], check=True, capture_output=True
        )
    return target.read_bytes()


def tables(folder: Path) -> list[tuple[str, bytes, int]]:
    """(name, bytes, rows) of the tables to measure with: public where they are, else the samples."""
    found = {
        one.name: (files, EffectivePeriod(one.coverage_from, one.coverage_through))
        for one, files in read_samples(ROOT / "payer_rules/reference_samples")
    }
    pairs = pair_rows(folder)
    if pairs is not None:
        found["ncci_ptp_practitioner"] = ([SourceFile("ccipra.txt", pairs)], FOREVER)
        for name, path in (
            ("ncci_mue_practitioner", "ncci/mue_prac_2024Q3.csv"),
            ("hcpcs_level_ii", "hcpcs/hcpcs_level2_2026JAN.csv"),
            ("place_of_service", "codesets/pos_codes_2024.csv"),
            ("modifiers", "codesets/modifiers_2024-06.csv"),
            ("nucc_taxonomy", "codesets/nucc_taxonomy_240.csv"),
            ("cpt_codes", "codesets/mpfs_indicators_2024Q3.csv"),
            ("physician_fee_schedule", "codesets/mpfs_indicators_2024Q3.csv"),
            ("ncci_add_on_codes", "ncci/aoc_2024Q3.csv"),
            ("diagnosis_age_sex", "icd10/mce_code_edits_v41.1_FY2024.csv"),
        ):
            found[name] = ([SourceFile(Path(path).name, (PUBLIC / path).read_bytes())], FOREVER)
        found["icd10cm"] = (
            [SourceFile("icd.csv", (PUBLIC / "icd10/icd10cm_billable_FY2025_FY2026.csv").read_bytes().replace(b",2026,", b",2027,"))],
            FOREVER,
        )
    parsed = {name: parse_table(name, files, coverage) for name, (files, coverage) in found.items()}
    return [(name, one.blob, one.rows) for name, one in parsed.items()]


def memory_editions(made: list[tuple[str, bytes, int]]) -> list[Edition]:
    """Those tables as editions in memory, with the packs' own."""
    editions = [memory_edition(name, "bench", blob, FOREVER) for name, blob, _ in made]
    for folder in find_packs(ROOT / "payer_rules"):
        editions += read_pack(folder).editions()
    return editions


def prepare(url: str, made: list[tuple[str, bytes, int]], publications: Sequence[Publication]) -> str:
    """A database with the tables and these rule sets, those of shipped packs with the tables of the packs; a client's key."""
    database = Database(url)
    database.migrate()
    now = datetime.now(UTC)
    packs = {pack.publication(1).rule_set_id: pack for pack in map(read_pack, find_packs(ROOT / "payer_rules"))}
    content = catalog.EpochContent()
    content.publications = [(one, packs[one.rule_set_id].tables, packs[one.rule_set_id].files()) for one in publications]
    content.editions = [(name, "bench", FOREVER, blob, count, []) for name, blob, count in made]
    content.payers = [catalog.PayerRecord("MEDB", "Medicare Part B", "medicare", None, {})]
    with database.writing() as connection:
        catalog.ensure_tenant(connection, "default", "default", now)
        catalog.publish(connection, "default", content, "bench", "bench", now)
        key = create_client(connection, "default", "bench", sorted(SCOPES), now)[1]
    database.close()
    return key
