"""The analysis of rules: what cannot fire, repeats, is shadowed or contradicts, gaps in dates, unknown codes; and nothing of sound packs."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules_service.facts.values import FactSpec
from rules_service.packs.analysis import Remark, analyse
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import sample_editions
from rules_service.packs.workspace import laid_out
from rules_service.reference.lookups import EditionCatalog
from rules_service.rules.condition import All, AnyOf, Condition, Leaf, Not
from rules_service.rules.matching import truth
from rules_service.rules.regions import common, is_implied, shown, verdicts
from tests.support.server import PACKS

PPO = "example_commercial_ppo"
EDITIONS = EditionCatalog(sample_editions(PACKS / "reference_samples"))
FILES = {path: data.decode() for path, data in read_pack(PACKS / PPO).files().items()}

RULE = """id: {id}
name: {name}
title: A rule under analysis
kind: condition
category: required elements
level: line
stage: stable
versions:
- version: 1
  effective_from: {first}
{through}  reason: For the analysis.
  citations:
  - {{source: illustration}}
  when: {when}
  finding:
    code: x.place
    severity: {severity}
    category: coding
    predicts: {{outcome: denial, group_code: CO, carc: {carc}}}
    at: line.place_of_service_code
    message: Line {{line_number}} is at the wrong place.
    fixes:
    - {{label: Look at the place of service, class: data_entry}}
scope: {{policy_date: service_date}}
{more}"""
CASES = """rule: {id}
base: claims/office-visit.yaml
cases:
- name: it fires
  expect:
  - {{code: x.place, version: 1}}
  service_date: 2026-11-02
  claim: {{place_of_service_code: {place}}}
"""


def rule(number: int, when: str, **changes: str) -> dict[str, str]:
    """The files of a condition rule."""
    values = {
        "id": f"EX1-AN-{number:03d}",
        "name": f"rule-{number}",
        "first": "2020-01-01",
        "through": "",
        "severity": "warn",
        "carc": "5",
        "more": "",
        "place": "12",
    } | changes
    return {
        f"rules/rule-{number}/rule.yaml": RULE.format(when=when, **values),
        f"rules/rule-{number}/rule.md": FILES["rules/filed-after-ninety-days/rule.md"],
        f"rules/rule-{number}/cases.yaml": CASES.format(**values),
    }


def analysed(*rules: Mapping[str, str], **changed: str) -> list[Remark]:
    """Remarks on the example pack with further rules, but for those on its invented codes."""
    files = {**FILES, **changed}
    for one in rules:
        files |= one
    with laid_out(PPO, files, {}) as folder:
        found = analyse(read_pack(folder), [], EDITIONS)
    return [remark for remark in found if remark.message.split(":")[0] != f"{PPO}/authorization_list"]


def told(remarks: list[Remark]) -> list[tuple[str, str]]:
    return [(one.code, one.rule_id) for one in remarks]


PLACE = "line.effective_place_of_service_code"


def test_shipped_packs_have_no_remark_but_codes_the_sample_tables_do_not_list() -> None:
    packs = [read_pack(folder) for folder in find_packs(PACKS)]
    for pack in packs:
        remarks = analyse(pack, [one for one in packs if one is not pack], EDITIONS)
        assert {one.code for one in remarks} <= {"AN007"}, remarks


@pytest.mark.parametrize(
    "when",
    [
        f"{{all: [{{fact: {PLACE}, is: 11}}, {{fact: {PLACE}, is: 12}}]}}",
        f"{{all: [{{fact: {PLACE}, is: 11}}, {{fact: {PLACE}, present: false}}]}}",
        "{all: [{fact: line.unit_count, more_than: 5}, {fact: line.unit_count, less_than: 5}]}",
        f"{{all: [{{fact: {PLACE}, in: [11, 12]}}, {{not: {{fact: {PLACE}, starts_with: [1]}}}}]}}",
        "{all: [{fact: claim.diagnosis_codes, contains_all: [J06.9, J20.9]}, {fact: claim.diagnosis_codes, contains_none: [J06.9]}]}",
    ],
)
def test_a_condition_that_can_never_be_true_is_told(when: str) -> None:
    assert ("AN001", "EX1-AN-001") in told(analysed(rule(1, when)))


@pytest.mark.parametrize(
    "when",
    [
        "{all: [{fact: line.unit_count, at_least: 5}, {fact: line.unit_count, at_most: 5}]}",
        f"{{all: [{{fact: {PLACE}, starts_with: [1]}}, {{fact: {PLACE}, is_not: 11}}]}}",
        "{all: [{fact: claim.diagnosis_codes, contains_any: [J06.9]}, {not: {fact: claim.diagnosis_codes, contains_all: [J06.9, J20.9]}}]}",
    ],
)
def test_a_condition_that_can_be_true_is_not_told(when: str) -> None:
    assert "AN001" not in {code for code, _ in told(analysed(rule(1, when)))}


def test_a_condition_that_is_true_of_everything_is_told() -> None:
    when = f"{{any: [{{fact: {PLACE}, present: true}}, {{fact: {PLACE}, present: false}}]}}"
    assert told(analysed(rule(1, when))) == [("AN002", "EX1-AN-001")]


def test_a_rule_that_finds_nothing_another_does_not_find_is_redundant_and_the_example_shows_both() -> None:
    narrow, wide = rule(1, f"{{fact: {PLACE}, is: 12}}"), rule(2, f"{{fact: {PLACE}, in: [12, 13]}}")
    remarks = analysed(narrow, wide)
    assert told(remarks) == [("AN003", "EX1-AN-001")]
    assert remarks[0].example is not None
    assert json.loads(remarks[0].example)["place_of_service_code"] == "12"


def test_of_two_equal_rules_one_is_told() -> None:
    assert told(analysed(rule(1, f"{{fact: {PLACE}, is: 12}}"), rule(2, f"{{fact: {PLACE}, is: 12}}"))) == [("AN003", "EX1-AN-002")]


@pytest.mark.parametrize(
    "changes",
    [
        {"severity": "info", "through": "", "first": "2030-01-01"},  # it contradicts, it does not repeat
        {"first": "2019-01-01"},  # on days the other does not apply
        {"through": "  effective_through: 2019-12-31\n", "first": "2019-01-01"},  # never together
    ],
)
def test_a_rule_of_other_days_or_another_word_is_not_redundant(changes: dict[str, str]) -> None:
    remarks = analysed(rule(1, f"{{fact: {PLACE}, is: 12}}", **changes), rule(2, f"{{fact: {PLACE}, in: [12, 13]}}"))
    assert "AN003" not in {code for code, _ in told(remarks)}


def test_rules_that_find_one_code_in_one_place_with_other_severities_contradict() -> None:
    remarks = analysed(rule(1, f"{{fact: {PLACE}, is: 12}}", severity="deny_hard"), rule(2, f"{{fact: {PLACE}, in: [12, 13]}}"))
    assert told(remarks) == [("AN005", "EX1-AN-001")]
    assert remarks[0].facts == {PLACE: "12"}
    assert remarks[0].example is not None
    assert analysed(rule(1, f"{{fact: {PLACE}, is: 12}}", severity="deny_hard"), rule(2, f"{{fact: {PLACE}, is: 13}}")) == []


def test_a_gap_between_versions_is_told_to_the_day() -> None:
    path = "rules/filed-after-ninety-days/rule.yaml"
    text = FILES[path].replace("effective_through: 2026-06-30", "effective_through: 2026-06-28")
    remarks = analysed(**{path: text})
    assert [(one.code, one.message) for one in remarks] == [("AN006", "EX1-TF-001: no version applies from 2026-06-29 through 2026-06-30.")]


def test_a_rule_that_is_always_displaced_by_a_more_specific_one_is_shadowed() -> None:
    plan = {
        **{path: text for path, text in FILES.items() if path.startswith("claims/")},
        "pack.yaml": FILES["pack.yaml"]
        .split("sources:")[0]
        .replace(f"id: {PPO}", "id: example_plan")
        .replace("layer: payer", "layer: product")
        + "sources:\n- {id: illustration, title: Illustration by this project; no payer published this policy}\n",
        **rule(9, f"{{fact: {PLACE}, is: 12}}", more="disables: [EX1-TF-001]\n", first="2010-01-01"),
    }
    with laid_out("example_plan", plan, {PPO: FILES}) as folder:
        other = read_pack(folder)
        found = analyse(read_pack(folder.parent / PPO), [other], EDITIONS)
        assert ("AN004", "EX1-TF-001") in told(found)
        late = {**plan, "rules/rule-9/rule.yaml": plan["rules/rule-9/rule.yaml"].replace("2010-01-01", "2024-01-01")}
    with laid_out("example_plan", late, {PPO: FILES}) as folder:
        found = analyse(read_pack(folder.parent / PPO), [read_pack(folder)], EDITIONS)
        assert "AN004" not in {code for code, _ in told(found)}, "before 2024 it still applies"


@pytest.mark.parametrize(
    ("when", "known"),
    [(f"{{fact: {PLACE}, is: 11}}", True), (f"{{fact: {PLACE}, is: 98}}", False), ("{fact: claim.diagnosis_codes, contains_any: [J06.9]}", True),
     ("{fact: claim.diagnosis_codes, contains_any: [J06.99]}", False), ("{fact: line.procedure_code, is: 99213}", True), ("{fact: line.procedure_code, is: Z9999}", False)],
)  # fmt: skip
def test_a_code_that_is_not_known_on_the_first_day_is_told(when: str, known: bool) -> None:
    remarks = [one for one in analysed(rule(1, when, first="2026-10-01")) if one.code == "AN007"]
    assert (remarks == []) is known, remarks


# Regions against brute force

SPECS = {
    "n": FactSpec("n", "count", "line", ""),
    "t": FactSpec("t", "text", "line", ""),
    "c": FactSpec("c", "codes", "line", ""),
    "f": FactSpec("f", "flag", "line", ""),
}
LEAVES = st.one_of(
    st.builds(Leaf, st.just("n"), st.sampled_from(["is", "is_not", "at_least", "at_most", "more_than", "less_than"]), st.integers(0, 4)),
    st.builds(Leaf, st.just("t"), st.sampled_from(["is", "is_not"]), st.sampled_from(["a", "ab", "b"])),
    st.builds(Leaf, st.just("t"), st.sampled_from(["in", "not_in", "starts_with"]), st.sampled_from([("a",), ("a", "b"), ("ab",)])),
    st.builds(
        Leaf, st.just("c"), st.sampled_from(["contains_any", "contains_none", "contains_all"]), st.sampled_from([("x",), ("x", "y")])
    ),
    st.builds(Leaf, st.just("f"), st.just("is"), st.booleans()),
    st.builds(Leaf, st.sampled_from("ntcf"), st.just("present"), st.booleans()),
)
CONDITIONS = st.recursive(
    LEAVES, lambda inner: st.one_of(st.builds(Not, inner), st.lists(inner, min_size=1, max_size=3).map(lambda parts: All(tuple(parts))), st.lists(inner, min_size=1, max_size=3).map(lambda parts: AnyOf(tuple(parts)))), max_leaves=6
)  # fmt: skip
VALUES = {
    "n": [None, *range(-1, 7)],
    "t": [None, "a", "b", "ab", "abc", "ac", "z", "ba"],
    "c": [(), ("x",), ("y",), ("z",), ("x", "y"), ("x", "z"), ("x", "y", "z")],
    "f": [None, True, False],
}
EVERYTHING = [{"n": n, "t": t, "c": c, "f": f} for n in VALUES["n"] for t in VALUES["t"] for c in VALUES["c"] for f in VALUES["f"]]


@settings(max_examples=150, deadline=None)
@given(CONDITIONS)
def test_what_a_condition_can_come_to_is_what_every_value_shows(condition: Condition) -> None:
    assert verdicts(condition, SPECS.get) == {truth(condition, facts.get) for facts in EVERYTHING}


@settings(max_examples=150, deadline=None)
@given(CONDITIONS, CONDITIONS)
def test_implication_and_common_facts_are_what_every_value_shows(one: Condition, other: Condition) -> None:
    true = [facts for facts in EVERYTHING if truth(one, facts.get)]
    assert is_implied(one, [other], SPECS.get) == (bool(true) and all(truth(other, facts.get) for facts in true))
    found = common(one, other, SPECS.get)
    assert (found is not None) == any(truth(other, facts.get) for facts in true)
    if found is not None:
        assert truth(one, found.get) is truth(other, found.get) is True
        assert set(shown(found, SPECS.get)) == set(found)


def test_a_condition_over_many_facts_is_left_undecided() -> None:
    specs = {f"n{number}": FactSpec(f"n{number}", "count", "line", "") for number in range(12)}
    wide = All(tuple(Leaf(name, "is", 1) for name in specs))
    assert verdicts(wide, specs.get) is None
    assert not is_implied(wide, [wide], specs.get)
    assert common(wide, wide, specs.get) is None
