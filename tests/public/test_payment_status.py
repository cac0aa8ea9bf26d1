"""Addendum B as CMS publishes it: every code of it on an outpatient bill, told by its status or paid."""

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
COVERAGE = EffectivePeriod(date(2026, 4, 1), None)
FINDING = {
    "B": "status.not_recognized", "C": "status.inpatient_only", "E1": "status.not_covered", "E2": "status.not_priced", "M": "status.not_valid", "Y": "wrong.payer",
}  # fmt: skip
LINES = 300


@pytest.fixture(scope="module")
def blob() -> bytes:
    path = public("hcpcs/opps_addendumB_status_2026-04.csv")
    return bytes(parse_table("opps_payment_status", [SourceFile(path.name, path.read_bytes())], COVERAGE).blob)


def told(policy: Policy, catalog: EditionCatalog, codes: list[str]) -> dict[int, str]:
    """The finding of each line, by its number."""
    one = claim(
        claim_type="institutional", payer={"payer_id": "MEDA"}, place_of_service_code=None,
        institutional={"type_of_bill": "0131", "statement_from": "2026-11-20", "statement_through": "2026-11-20"},
        lines=[{"procedure_code": code, "revenue_code": "0510", "diagnosis_pointers": [], "place_of_service_code": None} for code in codes],
    )  # fmt: skip
    found = judge(policy, ClaimView(one, "MEDA"), Lookups(catalog), frozenset()).judgement
    assert found.not_evaluated == ()
    return {number: finding.code for finding in found.findings for number in finding.line_numbers}


def test_every_code_of_the_addendum_is_told_by_its_status_and_no_other(blob: bytes) -> None:
    policy = Policy([only(read_pack(PACKS / "medicare_part_b").publication(), "MCR-OPPS-001")], "institutional", SliceCache())
    catalog = EditionCatalog([memory_edition("opps_payment_status", "public", blob, COVERAGE)])
    listed = [(entry.key, str(entry.values[0])) for entry in CodeTable(blob)]
    assert len(listed) == 19_059
    for at in range(0, len(listed), LINES):
        some = listed[at : at + LINES]
        wanted = {number: FINDING[status] for number, (_, status) in enumerate(some, 1) if status in FINDING}
        assert told(policy, catalog, [code for code, _ in some]) == wanted
