"""ICD-10-CM validity against an independent reimplementation of the Medicare Code Editor (package `msdrg`), over random codes and dates."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta

import msdrg

from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.packs.read import read_pack
from rules_service.packs.samples import memory_edition
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.code_table import CodeTable
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from tests.support.builders import claim
from tests.support.public_data import needs_public_data, public
from tests.support.server import PACKS

pytestmark = needs_public_data
COVERAGE = EffectivePeriod(date(2024, 10, 1), date(2026, 9, 30))
CODES = 4_000
INVALID = frozenset({"dx.invalid_dos", "dx.unspecified_length", "dx.not_icd10cm"})


def drawn_codes(known: list[str], draw: random.Random) -> list[str]:
    """Codes of the file, their beginnings, and codes with a character too many."""
    found = []
    while len(found) < CODES:
        code = draw.choice(known)
        change = draw.randrange(4)
        code = code[:-1] if change == 1 else code[:3] if change == 2 else code + draw.choice("0123456789AX") if change == 3 else code
        if 3 <= len(code) <= 7:
            found.append(code)
    return found


def test_a_diagnosis_is_valid_on_a_day_when_the_code_editor_says_so() -> None:
    path = public("icd10/icd10cm_billable_FY2025_FY2026.csv")
    blob = parse_table("icd10cm", [SourceFile(path.name, path.read_bytes())], COVERAGE).blob
    editions = EditionCatalog([memory_edition("icd10cm", "public", blob, COVERAGE)])
    policy = Policy([read_pack(PACKS / "national_baseline").publication()], "professional", SliceCache())
    draw, told, differing = random.Random(3), Counter[bool](), []
    with msdrg.MceEditor() as editor:
        for code in drawn_codes(sorted({entry.key for entry in CodeTable(blob)}), draw):
            day = COVERAGE.first + timedelta(days=draw.randrange(730))
            theirs = editor.edit({
                "discharge_date": int(day.strftime("%Y%m%d")), "icd_version": 10, "age": 40, "sex": 1, "discharge_status": 1,
                "pdx": {"code": "I10"}, "sdx": [{"code": code}], "procedures": [],
            })  # fmt: skip
            is_valid = "INVALID_CODE" not in {edit["name"] for edit in theirs["edits"]}
            written = f"{code[:3]}.{code[3:]}" if len(code) > 3 and draw.random() < 0.5 else code
            one = claim(
                diagnoses=[{"sequence": 1, "code": "I10", "type": "principal"}, {"sequence": 2, "code": written, "type": "secondary"}],
                lines=[{"service_from": day.isoformat(), "service_through": day.isoformat(), "diagnosis_pointers": [1, 2]}],
                received_at="2026-11-23T10:00:00-05:00",
            )
            judgement = judge(policy, ClaimView(one, ""), Lookups(editions), frozenset()).judgement
            mine = not any(finding.code in INVALID for finding in judgement.findings)
            told[mine] += 1
            if mine != is_valid:
                differing.append((code, day.isoformat(), mine, is_valid))
    assert not differing, (len(differing), differing[:10])
    assert min(told.values()) > CODES // 5
