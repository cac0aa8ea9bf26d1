"""The field's acceptance list against the whole policy of each payer, as `rows.yaml` states it."""

from __future__ import annotations

import functools
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules_service.claim.claim import Claim
from rules_service.engine.decide import Decider, engine_decider, oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.engine.policy import SliceCache
from rules_service.findings.evaluation import Judgement
from rules_service.findings.waivers import WaiverBook
from rules_service.packs.cases import HOLD, case_claim
from rules_service.packs.model import CaseFile
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.reference.lookups import EditionCatalog, Lookups
from rules_service.services.snapshot import PayerDirectory, Snapshot
from rules_service.storage.catalog import PayerRecord

ROOT = Path(__file__).resolve().parents[2] / "payer_rules"
ROWS: list[dict[str, Any]] = yaml.load((Path(__file__).parent / "rows.yaml").read_text(), Loader=yaml.BaseLoader)
ELSEWHERE = {
    # Interfaces and change control: over HTTP, in tests of their own.
    "TEL-01", "API-01", "API-03", "API-04", "API-05", "API-06", "API-07", "API-08", *(f"GOV-{n:02d}" for n in range(1, 12)), *(f"FB-{n:02d}" for n in range(1, 5)),
}  # fmt: skip
TABLE = {
    "PTP": 18, "MUE": 10, "BIL": 5, "AOC": 6, "GLB": 8, "DX": 9, "SEX": 2, "AGE": 1, "POS": 1, "NEC": 5, "FRQ": 2, "TF": 13, "PA": 11, "ID": 7, "BAL": 1, "DUP": 5,
    "COR": 5, "COB": 3, "INS": 2, "TEL": 3, "GOV": 11, "API": 8, "FB": 4,
}  # fmt: skip


@functools.cache
def snapshot() -> Snapshot:
    """Every shipped pack and sample table, published."""
    packs = [read_pack(folder) for folder in find_packs(ROOT)]
    editions = EditionCatalog([*sample_editions(ROOT / "reference_samples"), *(edition for pack in packs for edition in pack.editions())])
    payers = [
        PayerRecord(one.payer_id, one.name, one.line_of_business, one.parent, (*one.aliases, *one.clearinghouse_ids.values()))
        for pack in packs
        for one in pack.file.payers
    ]
    return Snapshot(1, [pack.publication(1) for pack in packs], editions, [], PayerDirectory(payers), SliceCache(), WaiverBook(0, []))


def row_claim(row: dict[str, Any]) -> Claim:
    """The claim of a row."""
    case = CaseFile(
        name=row["id"],
        expect=(),
        service_date=date.fromisoformat(row["date"]) if "date" in row else None,
        received_at=row.get("received"),
        claim=row.get("claim", {}),
        lines=tuple(row.get("lines", ())),
    )
    return case_claim(ROOT / row["pack"], f"claims/{row['base']}.yaml", case)


def judged(claim: Claim, decide: Decider = engine_decider) -> Judgement:
    """What the whole policy of its payer says of a claim."""
    return judge(*snapshot().policy_for(claim), Lookups(snapshot().editions), HOLD, decide).judgement


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['id']} {row.get('note', '')}".strip() for row in ROWS])
def test_a_row_of_the_acceptance_list(row: dict[str, Any]) -> None:
    claim = row_claim(row)
    told = judged(claim)
    assert told == judged(claim, oracle_decider)
    codes = [finding.code for finding in told.findings]
    for wanted in row.get("fires", ()):
        code, _, lines = wanted.partition("@")
        found = [one for one in told.findings if one.code == code and (not lines or one.line_numbers == tuple(map(int, lines.split(","))))]
        assert found, (wanted, codes)
    first = next((one for one in told.findings if one.code == row["fires"][0].partition("@")[0]), None) if row.get("fires") else None
    for beginning in row.get("silent", ()):
        exact = beginning.removesuffix("$")
        assert not [code for code in codes if (code == exact if beginning.endswith("$") else code.startswith(exact))], (beginning, codes)
    assert set(row.get("bypassed", ())) <= {one.by for one in told.bypassed}
    assert set(row.get("unjudged", ())) <= {one.reason for one in told.not_evaluated}
    assert row.get("outcome", told.outcome) == told.outcome
    for dependent, lead in row.get("suppressed", {}).items():
        ids = {one.finding_id: one.code for one in told.findings}
        assert [ids.get(one.suppressed_by or "") for one in told.findings if one.code == dependent] == [lead]
    if first is not None:
        predicted = first.predicted_denial
        assert row.get("carc", predicted and predicted.carc) == (predicted and predicted.carc)
        assert row.get("group", predicted and predicted.group_code) == (predicted and predicted.group_code)
        assert row.get("severity", first.severity) == first.severity
        text = " ".join([first.message, *(fix.label for fix in first.fixes)])
        assert row.get("says", "") in text, text
        if "auto_safe" in row:
            assert any(fix.class_ == "auto_safe" for fix in first.fixes) == (row["auto_safe"] == "true")


def test_every_row_of_the_list_is_here_or_belongs_to_an_interface() -> None:
    wanted = {f"{family}-{number:02d}" for family, count in TABLE.items() for number in range(1, count + 1)}
    assert wanted == {row["id"] for row in ROWS} | ELSEWHERE
