"""The shipped packs: no fault, every case passes with engine and oracle, export gives the same bytes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rules_service.engine.decide import oracle_decider
from rules_service.engine.policy import complete_branches
from rules_service.packs.cases import run_cases
from rules_service.packs.check import check_packs
from rules_service.packs.gate import run_gate
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.rules.kinds import KINDS
from rules_service.services.load_packs import export_pack, load_packs, load_samples
from rules_service.storage import catalog
from rules_service.storage.database import Database

ROOT = Path(__file__).resolve().parents[2] / "payer_rules"
PACKS = [read_pack(folder) for folder in find_packs(ROOT)]
RESULTS = [result for pack in PACKS for result in run_cases(pack, sample_editions(ROOT / "reference_samples"))]
ORACLE = {
    (result.rule_id, result.name): result.faults
    for pack in PACKS
    for result in run_cases(pack, sample_editions(ROOT / "reference_samples"), oracle_decider)
}


def test_the_shipped_packs_are_those_the_project_promises() -> None:
    evidence = {pack.file.id: pack.file.evidence for pack in PACKS}
    assert evidence == {
        "national_baseline": "published_policy",
        "medicare_part_a": "published_policy",
        "medicare_part_b": "published_policy",
        "medicaid_sample": "illustrative",
        "aetna_commercial": "published_policy",
        "cigna_commercial": "published_policy",
        "uhc_commercial": "published_policy",
        "example_commercial_ppo": "illustrative",
        "example_commercial_hmo": "illustrative",
    }
    kinds = {rule.file.kind for pack in PACKS for rule in pack.rules}
    assert kinds == set(KINDS), "every kind is used by a shipped rule"


def test_the_shipped_packs_have_no_fault() -> None:
    assert check_packs(PACKS) == []


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: f"{result.rule_id}: {result.name}")
def test_case(result) -> None:  # type: ignore[no-untyped-def]
    assert result.faults == ()
    assert ORACLE[result.rule_id, result.name] == ()


def test_every_finding_code_of_the_shipped_rules_is_in_a_case() -> None:
    told = {
        branch.code
        for pack in PACKS
        for _, _, content in pack.contents()
        for branch in complete_branches(content)
        if branch.severity is not None
    }
    expected = {
        one.code for pack in PACKS for rule in pack.rules if rule.cases is not None for case in rule.cases.cases for one in case.expect
    }
    assert len(told) > 150
    assert told - expected == set()


def test_ways_out_are_words_and_hold_no_place_to_fill() -> None:
    """Messages are filled, labels of fixes are not."""
    branches = [branch for pack in PACKS for _, _, content in pack.contents() for branch in complete_branches(content)]
    assert [label for branch in branches for label in (fix.label for fix in branch.fixes) if "{" in label] == []


def test_every_shipped_version_is_locked() -> None:
    for pack in PACKS:
        locked = {(one.rule, one.version) for one in pack.lock.versions}
        assert locked == {(rule.file.id, version.version) for rule, version, _ in pack.contents()}


@pytest.mark.parametrize("folder", find_packs(ROOT), ids=lambda folder: folder.name)
def test_the_publish_gate_passes_in_its_own_process(folder: Path) -> None:
    run_gate(folder, ROOT / "reference_samples")


def test_a_loaded_pack_is_exported_byte_for_byte(database: Database, tmp_path: Path) -> None:
    load_samples(database, "t", ROOT / "reference_samples", "tests")
    loaded = load_packs(database, "t", find_packs(ROOT), ROOT / "reference_samples", "tests")
    assert set(loaded.published) == {pack.file.id for pack in PACKS}
    for pack in PACKS:
        export_pack(database, "t", pack.file.id, tmp_path / pack.file.id)
        written = {
            path.relative_to(tmp_path / pack.file.id).as_posix(): path.read_bytes()
            for path in (tmp_path / pack.file.id).rglob("*")
            if path.is_file()
        }
        assert written == pack.files()
    again = load_packs(database, "t", find_packs(ROOT), ROOT / "reference_samples", "tests")
    assert again.epoch is None
    with database.reading() as connection:
        assert catalog.current_epoch(connection, "t") == loaded.epoch


def test_the_same_packs_give_the_same_hashes_on_both_databases(new_url: Callable[[str], str]) -> None:
    seen = []
    for dialect in ("sqlite", "postgresql"):
        database = Database(new_url(dialect))
        database.migrate()
        load_samples(database, "t", ROOT / "reference_samples", "tests")
        load_packs(database, "t", find_packs(ROOT), ROOT / "reference_samples", "tests")
        with database.reading() as connection:
            seen.append(
                [(one.rule_set_id, one.number, one.sha256, one.source_sha256) for one in catalog.publications(connection, "t", 10_000)]
            )
        database.close()
    assert seen[0] == seen[1]
