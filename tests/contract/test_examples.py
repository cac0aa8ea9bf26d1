"""The examples of the contract are what a server gives: each request is sent again, and each answer is made as its example and its schema say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from tests.support.examples import faceless, toured
from tests.support.exchanges import BINARY, DOCUMENT, EXAMPLES, OPERATIONS, Exchange, Exchanges, differences, examples, is_json, shortened

REFERENCES = {"components": DOCUMENT["components"]}


def validate(value: Any, schema: dict[str, Any]) -> None:
    """Hold a value to a schema of the contract."""
    jsonschema.Draft202012Validator({**schema, **REFERENCES}).validate(value)


@pytest.fixture(scope="module")
def exchanges(new_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Exchanges:
    with toured(new_url("sqlite"), tmp_path_factory.mktemp("tour")) as (_, found):
        return found


def recorded(one: Exchange) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{one.operation_id}.json").read_text())
    return found


def test_the_tour_calls_every_operation(exchanges: Exchanges) -> None:
    assert {one.operation_id for one in exchanges.kept} == set(OPERATIONS)
    assert {path.name for path in EXAMPLES.iterdir()} == {path.name for path in examples(exchanges.kept)}, "run `make examples`"


def test_every_request_of_the_examples_is_answered_and_made_as_its_example(exchanges: Exchanges) -> None:
    faults = []
    for one in exchanges.kept:
        told = recorded(one)
        if one.media is not None:
            faults += differences(told["requests"][one.media][one.name], one.body, f"{one.operation_id} request")
        if one.answer is not None:
            example = told["responses"][str(one.status)][one.answer_media][one.name]
            faults += differences(example, shortened(one.answer), f"{one.operation_id} {one.status}")
    assert faults == [], "run `make examples`, and read what changed"


def test_every_request_and_every_answer_fits_its_schema(exchanges: Exchanges) -> None:
    checked = 0
    for one in exchanges.kept:
        operation = OPERATIONS[one.operation_id][2]
        if one.media is not None:
            validate(one.body, operation["requestBody"]["content"][one.media]["schema"])
        if one.answer is not None:
            validate(one.answer, operation["responses"][str(one.status)]["content"][one.answer_media]["schema"])
            checked += is_json(one.answer_media or "")
    assert checked > 80


def media_types() -> list[tuple[str, dict[str, Any]]]:
    """Every media type of every request, answer, problem and webhook."""
    found = []
    for name, (_, _, operation) in OPERATIONS.items():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in (*bodies, *(answer for answer in operation["responses"].values() if "$ref" not in answer)):
            found += [(f"{name} {media}", told) for media, told in body.get("content", {}).items()]
    for name, answer in DOCUMENT["components"]["responses"].items():
        found += [(f"{name} {media}", told) for media, told in answer["content"].items()]
    for name, told in DOCUMENT["webhooks"].items():
        found += [(f"{name} {media}", one) for media, one in told["post"]["requestBody"]["content"].items()]
    return found


@pytest.mark.parametrize(("name", "told"), media_types(), ids=[name for name, _ in media_types()])
def test_every_media_type_has_an_example_that_fits_its_schema(name: str, told: dict[str, Any]) -> None:
    if name.rpartition(" ")[2] in BINARY:
        return
    values = [told["example"]] if "example" in told else [one["value"] for one in told.get("examples", {}).values()]
    assert values, f"{name} has no example"
    for value in values:
        validate(value, told["schema"])


def test_no_example_holds_a_credential_or_names_a_machine() -> None:
    for path in EXAMPLES.iterdir():
        text = path.read_text()
        assert faceless(text) == text, path.name


def test_a_changed_answer_is_seen() -> None:
    example = {"data": [{"a": 1, "b": None}], "n": "x"}
    assert differences(example, {"data": [{"a": 2, "b": "y"}, {"a": 3, "b": None}], "n": "z"}) == []
    assert differences(example, {"data": [{"a": 2}], "n": "z"}) == ["/data/0/b is only in the example"]
    assert differences(example, {"data": [], "n": 1, "m": 1}) == ["/m is only in the answer", "/n is another kind of value"]
