"""JW and JZ by CMS's own list of single-dose drugs: each code of it, and codes beside it."""

from __future__ import annotations

from datetime import date

import pytest

from rules_service.engine.evaluate import judge
from rules_service.engine.policy import Policy, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.packs.cases import only
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
COVERAGE = EffectivePeriod(date(2023, 7, 1), None)


@pytest.fixture(scope="module")
def blob() -> bytes:
    path = public("payer_policy/jw_jz_single_dose_seed.csv")
    return bytes(parse_table("single_dose_drugs", [SourceFile(path.name, path.read_bytes())], COVERAGE).blob)


def told(blob: bytes, lines: list[dict[str, object]]) -> tuple[list[tuple[str, tuple[int, ...]]], set[str]]:
    """(findings with their lines, reasons of what could not be judged)"""
    policy = Policy([only(read_pack(PACKS / "medicare_part_b").publication(), "MCR-MOD-005")], "professional", SliceCache())
    one = claim(payer={"payer_id": "MEDB"}, lines=lines)
    catalog = EditionCatalog([memory_edition("single_dose_drugs", "public", blob, COVERAGE)])
    answer = judge(policy, ClaimView(one, "MEDB"), Lookups(catalog), frozenset()).judgement
    return [(found.code, found.line_numbers) for found in answer.findings], {skipped.reason for skipped in answer.not_evaluated}


def test_every_code_of_the_list_wants_one_of_the_two(blob: bytes) -> None:
    codes = sorted({entry.key for entry in CodeTable(blob)})
    assert len(codes) == 438
    for at in range(0, len(codes), 40):
        some = codes[at : at + 40]
        assert told(blob, [{"procedure_code": code} for code in some]) == (
            [("mod.missing", (number,)) for number in range(1, len(some) + 1)],
            set(),
        )
        for modifier in ("JW", "JZ"):
            assert told(blob, [{"procedure_code": code, "modifiers": [modifier]} for code in some]) == ([], set())


def test_a_code_beside_the_list_and_a_day_before_the_rule_want_none(blob: bytes) -> None:
    before = {"service_from": "2023-06-30", "service_through": "2023-06-30"}
    assert told(blob, [{"procedure_code": "J3490"}, {"procedure_code": "99213"}, {"procedure_code": "J9271"} | before])[0] == []
    assert told(blob, [{"procedure_code": "J9271", "service_from": "2023-07-01", "service_through": "2023-07-01"}])[0] == [
        ("mod.missing", (1,))
    ]
