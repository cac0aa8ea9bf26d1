"""A pack with a fault: coded, located, mendable; nothing of it is loaded."""

import shutil
from pathlib import Path

import pytest

from rules_service.packs import yaml_text
from rules_service.packs.cases import run_cases
from rules_service.packs.check import CODES, check_packs
from rules_service.packs.read import read_pack
from rules_service.packs.samples import sample_editions
from rules_service.packs.write import format_pack, new_rule, write_lock
from rules_service.primitives.errors import PackFault
from rules_service.services.load_packs import load_packs
from rules_service.storage import catalog
from rules_service.storage.database import Database

ROOT = Path(__file__).resolve().parents[2] / "payer_rules"
RULE = "rules/charges-out-of-balance/rule.yaml"


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "national_baseline", tmp_path / "national_baseline"))


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def codes(pack: Path) -> set[str]:
    try:
        issues = check_packs([read_pack(pack)])
    except PackFault as fault:
        issues = list(fault.issues)
    assert all(issue.code in CODES and ":" in issue.where and issue.message and issue.mend for issue in issues)
    return {issue.code for issue in issues}


@pytest.mark.parametrize(
    ("file", "old", "new", "code"),
    [
        (RULE, "title:", "title: &a", "PK001"),
        (RULE, "title:", "title: !!python/object", "PK001"),
        (RULE, "kind: condition", "kind: condition\nkind: condition", "PK001"),
        (RULE, "kind: condition", "kind:", "PK001"),
        (RULE, "kind: condition", "kind: [", "PK001"),
        (RULE, "kind: condition", "kind: " + "[" * 100_000, "PK001"),
        (RULE, "kind: condition", "kind: \x01", "PK001"),
        (RULE, "kind: condition", "kind: condition\nsurprise: x", "PK002"),
        (RULE, "effective_from: 2012-01-01", "effective_from: 2012-13-01", "PK002"),
        (RULE, "name: charges-out-of-balance", "name: something-else", "PK003"),
        (RULE, "id: NAT-BAL-001", "id: NAT-ID-001", "PK004"),
        (RULE, "effective_from: 2012-01-01", "effective_from: 2012-01-01\n  effective_through: 2011-01-01", "PK005"),
        (RULE, "is_not: 0.00", "is_not: zero", "PK006"),
        (RULE, "fact: claim.charge_difference", "fact: claim.nothing", "PK006"),
        (RULE, "{fact: claim.charge_difference, is_not: 0.00}", "{all: []}", "PK006"),
        ("rules/npi-check-digit/rule.yaml", "subject: npi", "subject: dna", "PK007"),
        ("rules/npi-check-digit/rule.yaml", "subject: npi", "subject: npi, surprise: x", "PK007"),
        ("rules/place-of-service-not-valid/rule.yaml", "table: place_of_service", "table: nowhere", "PK007"),
        (RULE, "source: x12-837", "source: hearsay", "PK008"),
        ("rules/charges-out-of-balance/rule.md", "## Known gaps", "## Gaps", "PK009"),
        ("rules/charges-out-of-balance/cases.yaml", "rule: NAT-BAL-001", "rule: NAT-ID-001", "PK010"),
        ("rules/charges-out-of-balance/cases.yaml", "2012-01-01", "2012-01-02", "PK010"),
        ("rules/charges-out-of-balance/cases.yaml", "cases:\n-", "cases:\n- beside: [NAT-NOT-001]\n ", "PK010"),
        (RULE, "id: NAT-BAL-001", "id:   NAT-BAL-001", "PK011"),
        (RULE, "is_not: 0.00", "more_than: 0.00", "PK012"),
        (RULE, "{claim.charge_difference}", "{claim.subscriber.last_name}", "PK013"),
        (RULE, "{claim.charge_difference}", "{claim.nothing}", "PK013"),
        (RULE, "kind: condition", "overrides: [NAT-ID-001]\nkind: condition", "PK014"),
        (RULE, "at: claim.total_charge_amount", "at: claim.nowhere", "PK015"),
        (RULE, "level: claim", "level: line_pair", "PK018"),
        (RULE, "kind: condition", "kind: magic", "PK018"),
        (
            "rules/npi-check-digit/rule.yaml",
            "parameters: {subject: npi}",
            "parameters: {subject: npi}\n  findings:\n    fmt.nothing: {severity: warn}",
            "PK019",
        ),
        ("pack.yaml", "verified_on: 2026-11-23", "locator: x", "PK002"),
        ("pack.yaml", "- id: nubc", "- id: nucc", "PK026"),
        ("pack.yaml", "file: tables/drug_codes.csv}", "file: tables/drug_codes.csv, partial: true, excerpt: true}", "PK017"),
    ],
)
def test_a_fault_is_coded_and_located(pack: Path, file: str, old: str, new: str, code: str) -> None:
    edited(pack / file, old, new)
    assert code in codes(pack)


def test_published_policy_needs_a_verified_source(pack: Path) -> None:
    edited(pack / "pack.yaml", ", verified_on: 2026-11-23", "") if ", verified_on: 2026-11-23" in (
        pack / "pack.yaml"
    ).read_text() else edited(pack / "pack.yaml", "\n  verified_on: 2026-11-23", "")
    assert "PK020" in codes(pack)


def test_a_version_without_citation_and_a_missing_file_are_named(pack: Path) -> None:
    data, _ = yaml_text.load((pack / RULE).read_text(), "rule.yaml")
    del data["versions"][0]["citations"]
    (pack / RULE).write_text(yaml_text.dump(data))
    (pack / "rules/charges-out-of-balance/rule.md").unlink()
    (pack / "rules/charges-out-of-balance/cases.yaml").unlink()
    assert {"PK016", "PK009", "PK010"} <= codes(pack)


@pytest.mark.parametrize(
    "row",
    ["P1,2025-01-01,,required,,,,,,,,", "P7001,,,required", "P7001,2025-01-01,2024-01-01,required", "P7001,2025-01-01,,perhaps", "p7001,2025-01-01,,required", "P7001,2025-13-01,,required"],
)  # fmt: skip
def test_a_bad_row_of_a_pack_table_is_named_by_file_and_line(tmp_path: Path, row: str) -> None:
    pack = Path(shutil.copytree(ROOT / "example_commercial_ppo", tmp_path / "example_commercial_ppo"))
    with (pack / "tables/authorization_list.csv").open("a") as file:
        file.write(row + "\n")
    if row.startswith("P1,"):
        assert codes(pack) == set()
        return
    with pytest.raises(PackFault) as error:
        read_pack(pack)
    assert error.value.issues[0].code == "PK017"
    assert "authorization_list.csv:9" in error.value.issues[0].where


def test_a_pack_with_a_fault_publishes_nothing(database: Database, pack: Path) -> None:
    edited(pack / RULE, "is_not: 0.00", "is_not: zero")
    with pytest.raises(PackFault):
        load_packs(database, "t", [pack, ROOT / "example_commercial_ppo"], ROOT / "reference_samples", "tests")
    with database.reading() as connection:
        assert catalog.publications(connection, "t", 10_000) == []


def test_a_rule_whose_case_fails_is_refused_by_the_gate(database: Database, pack: Path) -> None:
    edited(pack / "rules/charges-out-of-balance/cases.yaml", "total_charge_amount: 99.99", "total_charge_amount: 100.00")
    with pytest.raises(PackFault, match="did not fire"):
        load_packs(database, "t", [pack], ROOT / "reference_samples", "tests")


def test_the_gate_tells_the_faults_of_every_pack_and_none_is_published(database: Database, pack: Path) -> None:
    edited(pack / "rules/charges-out-of-balance/cases.yaml", "total_charge_amount: 99.99", "total_charge_amount: 100.00")
    other = Path(shutil.copytree(ROOT / "example_commercial_hmo", pack.parent / "example_commercial_hmo"))
    edited(
        other / "rules/filed-after-one-month/cases.yaml", "received_at: 2026-03-02T10:00:00-06:00", "received_at: 2026-03-03T10:00:00-06:00"
    )
    sound = ROOT / "example_commercial_ppo"
    with pytest.raises(PackFault) as refused:
        load_packs(database, "t", [pack, sound, other], ROOT / "reference_samples", "tests")
    told = dict.fromkeys(issue.where.split("/")[0] for issue in refused.value.issues)
    assert list(told) == ["national_baseline", "example_commercial_hmo"]
    with database.reading() as connection:
        assert catalog.publications(connection, "t", 10_000) == []


def test_a_new_rule_fires_in_its_own_case_at_once(tmp_path: Path, pack: Path) -> None:
    target = Path(shutil.copytree(ROOT / "example_commercial_ppo", tmp_path / "example_commercial_ppo"))
    from datetime import date

    new_rule(target, "home-visit-without-place", "EX1-NEW-001", date(2026, 1, 1), ROOT / "_template")
    read = read_pack(target)
    assert [issue for issue in check_packs([read]) if issue.code != "PK014"] == []
    mine = [result for result in run_cases(read, sample_editions(ROOT / "reference_samples")) if result.rule_id == "EX1-NEW-001"]
    assert len(mine) == 2
    assert all(result.faults == () for result in mine)
    with pytest.raises(PackFault, match="exists"):
        new_rule(target, "home-visit-without-place", "EX1-NEW-002", date(2026, 1, 1), ROOT / "_template")


def test_formatting_is_stable_and_locking_locks(pack: Path) -> None:
    edited(pack / RULE, "id: NAT-BAL-001", "id:    NAT-BAL-001")
    assert [path.name for path in format_pack(pack)] == ["rule.yaml"]
    assert format_pack(pack) == []
    edited(pack / RULE, "is_not: 0.00", "more_than: 0.00")
    assert codes(pack) == {"PK012"}
    write_lock(read_pack(pack))
    assert codes(pack) == set()


@pytest.mark.parametrize("text", ["a: 0450", "a: 2026-01-01", "a: yes", 'a: "x: y"', 'a: " b "', "a: '#x'", "a: null", "a: [1, 2]"])
def test_every_scalar_stays_the_text_that_was_written(text: str) -> None:
    data, _ = yaml_text.load(text, "x.yaml")
    assert yaml_text.load(yaml_text.dump(data), "x.yaml")[0] == data
    assert data["a"] in ("0450", "2026-01-01", "yes", "x: y", " b ", "#x", "null", ["1", "2"])
