"""Conditions: what is refused when a rule is saved, and Kleene truth."""

import pytest

from rules_service.engine.compile import Program
from rules_service.facts.values import FactSpec, FactValue, parse_literal
from rules_service.primitives.errors import RuleRefused
from rules_service.primitives.unknown import REASONS, Unknown
from rules_service.rules.condition import MAX_NODES, read_condition
from rules_service.rules.matching import explain, truth

SPECS = {
    "n": FactSpec("n", "count", "claim", ""),
    "t": FactSpec("t", "text", "claim", ""),
    "f": FactSpec("f", "flag", "claim", ""),
    "c": FactSpec("c", "codes", "claim", ""),
    "p": FactSpec("p", "text", "claim", "", phi=True),
}
NOT_KNOWN = Unknown("context_not_supplied", "context.history")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ({}, "condition-form"),
        ({"all": []}, "condition-empty"),
        ({"any": []}, "condition-empty"),
        ({"all": {}}, "condition-empty"),
        ({"fact": "n"}, "condition-form"),
        ({"fact": "nothing", "is": "1"}, "unknown-fact"),
        ({"fact": "n", "is": "1.5"}, "literal"),
        ({"fact": "n", "is": "9" * 40}, "literal"),
        ({"fact": "n", "starts_with": ["1"]}, "operator"),
        ({"fact": "t", "at_least": "A"}, "operator"),
        ({"fact": "f", "is_not": "true"}, "operator"),
        ({"fact": "f", "is": "yes"}, "literal"),
        ({"fact": "t", "is": 'a"b'}, "literal"),
        ({"fact": "t", "is": "a\\b"}, "literal"),
        ({"fact": "t", "is": "é"}, "literal"),
        ({"fact": "t", "is": "x" * 500}, "literal"),
        ({"fact": "t", "is": "~"}, "literal"),
        ({"fact": "t", "in": []}, "literal"),
        ({"fact": "t", "matches": ".*"}, "operator"),
        ({"not": {"not": {"not": {"not": {"not": {"not": {"not": {"not": {"fact": "f", "is": "true"}}}}}}}}}, "condition-too-deep"),
        ({"any": [{"fact": "n", "is": str(i)} for i in range(MAX_NODES + 1)]}, "condition-too-large"),
    ],
)
def test_a_condition_that_cannot_be_used_is_refused_with_its_place(raw: dict, code: str) -> None:
    with pytest.raises(RuleRefused) as error:
        read_condition(raw, SPECS.get, "/when")
    assert error.value.issues[0].code == code
    assert error.value.issues[0].where.startswith("/when")


def test_a_condition_with_too_many_ways_is_refused_before_the_engine_sees_it() -> None:
    wide = {"all": [{"any": [{"fact": "n", "is": str(10 * i + j)} for j in range(4)]} for i in range(8)]}
    with pytest.raises(RuleRefused) as error:
        Program(read_condition(wide, SPECS.get))
    assert error.value.issues[0].code == "condition-too-branched"


@pytest.mark.parametrize(
    ("raw", "facts", "expected"),
    [
        ({"fact": "n", "is_not": "1"}, {"n": None}, False),
        ({"not": {"fact": "n", "is": "1"}}, {"n": None}, True),
        ({"fact": "n", "present": "false"}, {"n": None}, True),
        ({"fact": "n", "present": "false"}, {"n": NOT_KNOWN}, None),
        ({"all": [{"fact": "n", "is": "1"}, {"fact": "f", "is": "true"}]}, {"n": NOT_KNOWN, "f": False}, False),
        ({"all": [{"fact": "n", "is": "1"}, {"fact": "f", "is": "true"}]}, {"n": NOT_KNOWN, "f": True}, None),
        ({"any": [{"fact": "n", "is": "1"}, {"fact": "f", "is": "true"}]}, {"n": NOT_KNOWN, "f": True}, True),
        ({"not": {"fact": "n", "is": "1"}}, {"n": NOT_KNOWN}, None),
        ({"fact": "c", "contains_any": ["59"]}, {"c": ()}, False),
        ({"fact": "c", "contains_none": ["59"]}, {"c": ()}, True),
        ({"fact": "c", "contains_all": ["1", "2"]}, {"c": ("2", "1", "3")}, True),
        ({"fact": "t", "starts_with": ["13", "85"]}, {"t": "0131"}, False),
        ({"fact": "t", "starts_with": ["013"]}, {"t": "0131"}, True),
        ({"fact": "t", "not_in": ["a"]}, {"t": None}, False),
    ],
)
def test_kleene_truth(raw: dict, facts: dict[str, FactValue], expected: bool | None) -> None:
    assert truth(read_condition(raw, SPECS.get), lambda name: facts.get(name)) is expected


def test_an_explanation_never_shows_phi() -> None:
    told = explain(read_condition({"fact": "p", "is": "x"}, SPECS.get), lambda name: "SAMPLE", SPECS.get).plain()
    assert told["seen"] == "present, not shown"
    assert "SAMPLE" not in str(told)


def test_reasons_are_a_closed_list() -> None:
    with pytest.raises(ValueError, match="not a documented reason"):
        Unknown("because")
    assert all(text.endswith(".") for text in REASONS.values())


def test_a_revenue_code_keeps_its_zero() -> None:
    assert parse_literal("text", "0450") == "0450"
