"""A partial edition is an extract: whole for the codes it holds, silent about every other, and its silence is not an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules_service.engine.decide import Decider, engine_decider, oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import Judgement
from rules_service.packs.cases import HOLD
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import memory_edition, read_samples
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.lookups import Edition, EditionCatalog, Lookups
from rules_service.reference.publishers import parse_table
from rules_service.reference.readers import as_partial, reader_of
from tests.acceptance.test_rows import snapshot
from tests.support.builders import claim

ROOT = Path(__file__).resolve().parents[2] / "payer_rules"
MEDICARE = {
    "payer": {"payer_id": "MEDB", "line_of_business": "medicare", "claim_filing_indicator_code": "MB"},
    "subscriber": {
        "member_id": "1EG4TE5MK73", "relationship_code": "18", "first_name": "JANE", "last_name": "SAMPLE", "birth_date": "1950-05-17", "sex": "F",
    },
}  # fmt: skip


def editions(whole: frozenset[str] = frozenset()) -> list[Edition]:
    """The sample editions as a database gets them, those named as if they were whole."""
    found = [edition for folder in find_packs(ROOT) for edition in read_pack(folder).editions()]
    for one, files in read_samples(ROOT / "reference_samples"):
        coverage = EffectivePeriod(one.coverage_from, one.coverage_through)
        parsed = parse_table(one.name, files, coverage, one.is_partial and one.name not in whole)
        found.append(memory_edition(one.name, one.edition, parsed.blob, coverage))
    return found


def told(lines: list[dict[str, object]], whole: frozenset[str] = frozenset(), decide: Decider = engine_decider) -> Judgement:
    view = ClaimView(claim(lines=lines, **MEDICARE), "MEDB")
    policy, _ = snapshot().policy_for(view.claim)
    return judge(policy, view, Lookups(EditionCatalog(editions(whole))), HOLD, decide).judgement


def silent(judgement: Judgement) -> dict[str, tuple[int, ...]]:
    """Lines by rule about whose codes an extract says nothing."""
    return {one.rule_id: one.line_numbers for one in judgement.not_evaluated if one.reason == "code_not_in_partial_edition"}


REAL = [{"procedure_code": "99213"}, {"procedure_code": "20610"}]


@pytest.mark.parametrize("decide", [engine_decider, oracle_decider])
def test_codes_an_extract_does_not_hold_are_not_judged_instead_of_passed(decide: Decider) -> None:
    judgement = told(REAL, decide=decide)
    unjudged = silent(judgement)
    assert {rule: unjudged[rule] for rule in ("MCR-NCCI-001", "MCR-MUE-001", "MCR-AOC-001", "MCR-FEE-001")} == dict.fromkeys(
        ("MCR-NCCI-001", "MCR-MUE-001", "MCR-AOC-001", "MCR-FEE-001"), (1, 2)
    )
    assert judgement.outcome != "clean"
    assert not [one for one in judgement.not_evaluated if one.reason == "unit_limit_not_published"]


def test_codes_an_extract_holds_are_judged_as_by_a_whole_edition() -> None:
    lines = [{"procedure_code": "P1001"}, {"procedure_code": "P1002"}]
    assert "MCR-NCCI-001" not in silent(told(lines))
    assert [finding.code for finding in told(lines).findings if finding.rule_id == "MCR-NCCI-001"] == ["ncci.ptp"]


def test_a_code_that_no_extract_holds_is_not_called_invalid() -> None:
    lines = [{"procedure_code": "G0180", "modifiers": ["ZZ"]}]
    assert {"proc.invalid_dos", "mod.invalid_dos"} <= {one.code for one in told(lines, frozenset({"hcpcs_level_ii", "modifiers"})).findings}
    judgement = told(lines)
    assert not {"proc.invalid_dos", "mod.invalid_dos"} & {one.code for one in judgement.findings}
    assert {"NAT-PROC-001", "NAT-MOD-001"} <= silent(judgement).keys()


def test_an_edition_of_a_table_that_is_whole_answers_no_for_a_code_it_does_not_hold() -> None:
    assert "MCR-NCCI-001" not in silent(told(REAL, frozenset({"ncci_ptp_practitioner"})))


def test_one_rule_tells_all_its_lines_at_once() -> None:
    judgement = told([{"procedure_code": code} for code in ("99213", "20610", "93000", "71046")])
    keys = [(one.rule_id, one.reason, one.supply) for one in judgement.not_evaluated]
    assert len(keys) == len(set(keys))
    assert silent(judgement)["MCR-MUE-001"] == (1, 2, 3, 4)


@given(st.sampled_from(["P1001", "P1002", "P9999", "99213", "", "É"]))
def test_the_mark_changes_what_absence_means_and_nothing_else(code: str) -> None:
    for one, files in read_samples(ROOT / "reference_samples"):
        coverage = EffectivePeriod(one.coverage_from, one.coverage_through)
        blob = parse_table(one.name, files, coverage).blob
        whole, extract = reader_of(blob), reader_of(as_partial(blob))
        assert (len(whole), whole.is_partial, extract.is_partial) == (len(extract), False, True)
        assert not whole.says_nothing_of(code)
        if hasattr(whole, "rows_of") and hasattr(extract, "rows_of"):
            assert whole.rows_of(code) == extract.rows_of(code)
            assert extract.says_nothing_of(code) == (not whole.rows_of(code))
    with pytest.raises(ValueError, match="whole"):
        as_partial(b"nothing of ours")
