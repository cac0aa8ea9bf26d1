"""Rows of the field's acceptance list that no shipped rule can show: a Medicaid payer, and the same-day rules of other settings."""

from pathlib import Path

import pytest

from rules_service.packs.cases import judge_alone
from rules_service.packs.read import read_pack
from rules_service.packs.samples import sample_editions
from rules_service.reference.lookups import EditionCatalog
from rules_service.rules.rule import RuleVersionContent
from tests.engine.test_evaluate import PAYER, publication
from tests.support.builders import claim

ROOT = Path(__file__).resolve().parents[2] / "payer_rules"
CATALOG = EditionCatalog([*sample_editions(ROOT / "reference_samples"), *read_pack(ROOT / "medicare_part_b").editions()])


def rule(kind: str, level: str, parameters: dict) -> RuleVersionContent:
    return RuleVersionContent(
        rule_id="T-1", name="t", title="t", kind=kind, level=level, category="test", stage="stable", policy_date="service_date", parameters=parameters,  # type: ignore[arg-type]
    )  # fmt: skip


def fired(content: RuleVersionContent, lines: list[dict], **changes: object) -> list[tuple[str, tuple[int, ...]]]:
    judgement = judge_alone(publication("p", PAYER, content), claim(lines=lines, **changes), CATALOG)
    return [(finding.code, finding.line_numbers) for finding in judgement.findings]


def test_mue_09_medicaid_judges_each_line() -> None:
    lines = [{"procedure_code": "P2003", "unit_count": "2"}, {"procedure_code": "P2003", "unit_count": "3"}]
    parameters = {"table_professional": "ncci_mue_practitioner"}
    assert fired(rule("unit_limit", "line", {**parameters, "adjudication": "line"}), lines) == []
    assert fired(rule("unit_limit", "line", parameters), lines) == [("mue.mai3", (1, 2))]


def test_units_of_another_practitioner_are_not_added() -> None:
    other = {"procedure_code": "P2002", "unit_count": "2", "providers": {"rendering": {"npi": "1467560003"}}}
    lines = [{"procedure_code": "P2002", "unit_count": "2"}, other]
    parameters = {"table_professional": "ncci_mue_practitioner"}
    assert fired(rule("unit_limit", "line", parameters), lines) == []
    assert fired(rule("unit_limit", "line", {**parameters, "provider_scope": "billing_npi"}), lines) == [("mue.mai2", (1, 2))]


def test_anaesthesia_minutes_are_not_units() -> None:
    assert (
        fired(
            rule("unit_limit", "line", {"table_professional": "ncci_mue_practitioner"}),
            [{"procedure_code": "P2001", "unit_basis": "MJ", "unit_count": "90"}],
        )
        == []
    )


@pytest.mark.parametrize(("through", "expected"), [("2026-09-30", [("ncci.ptp", (2,))]), ("2026-10-01", [("ncci.ptp", (2,))])])
def test_spans_are_compared_day_by_day(through: str, expected: list) -> None:
    lines = [
        {"procedure_code": "P1004", "service_from": "2026-09-28", "service_through": through},
        {"procedure_code": "P1005", "service_from": "2026-09-30", "service_through": "2026-10-02"},
    ]
    assert fired(rule("code_pair", "line_pair", {"table_professional": "ncci_ptp_practitioner"}), lines) == expected


def test_spans_that_share_only_days_after_the_deletion_do_not_fire() -> None:
    lines = [
        {"procedure_code": "P1004", "service_from": "2026-10-01", "service_through": "2026-10-02"},
        {"procedure_code": "P1005", "service_from": "2026-09-30", "service_through": "2026-10-02"},
    ]
    assert fired(rule("code_pair", "line_pair", {"table_professional": "ncci_ptp_practitioner"}), lines) == []


def test_a_modifier_on_one_of_two_column_one_lines_does_not_excuse_the_other() -> None:
    lines = [{"procedure_code": "P1001", "modifiers": ["LT"]}, {"procedure_code": "P1001"}, {"procedure_code": "P1002"}]
    assert fired(rule("code_pair", "line_pair", {"table_professional": "ncci_ptp_practitioner"}), lines) == [("ncci.ptp", (3,))]


def test_the_billing_npi_decides_when_a_payer_says_so() -> None:
    lines = [
        {"procedure_code": "P1001"},
        {"procedure_code": "P1002", "providers": {"rendering": {"npi": "1467560003", "taxonomy_code": "208D00000X"}}},
    ]
    for scope, expected in (("rendering_npi", []), ("billing_npi_and_specialty", []), ("billing_npi", [("ncci.ptp", (2,))])):
        assert (
            fired(rule("code_pair", "line_pair", {"table_professional": "ncci_ptp_practitioner", "provider_scope": scope}), lines)
            == expected
        )
