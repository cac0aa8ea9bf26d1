"""A released operation, field or enum value never disappears, and callers of a release are never asked for more."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.contract_lines import RELEASED, broken, contract_lines
from tests.support.exchanges import DOCUMENT
from tests.support.spectral import lint

RELEASES = sorted(RELEASED.glob("*.txt"))


@pytest.mark.parametrize("release", RELEASES, ids=[path.stem for path in RELEASES])
def test_the_contract_keeps_what_a_release_promised(release: Path) -> None:
    assert broken(set(release.read_text().splitlines()), DOCUMENT) == []


def test_there_is_a_release_to_hold_the_contract_to() -> None:
    assert RELEASES


def without(*path: str) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return change


def schema(name: str, change: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda document: change(document["components"]["schemas"][name])


BREAKING: dict[str, tuple[Callable[[Any], None], str]] = {
    "an operation": (without("paths", "/v1/payers", "get"), "gone: has operation listPayers"),
    "a path": (without("paths", "/v1/services/check"), "gone: has operation checkServices"),
    "a media type": (without("paths", "/v1/jobs", "post", "requestBody", "content", "application/edi-x12"), "gone: has createJob takes"),
    "an answer": (without("paths", "/v1/jobs", "post", "responses", "413"), "gone: has createJob answers 413"),
    "a field": (schema("Finding", without("properties", "amount_at_risk")), "gone: has Finding.amount_at_risk"),
    "a field's type": (schema("Finding", lambda one: one["properties"]["code"].update(type="integer")), "gone: has Finding.code: string"),
    "an enum value": (schema("Evaluation", lambda one: one["properties"]["outcome"]["enum"].remove("clean")), "gone: has Evaluation.outcome may be"),
    "what was always there": (schema("Finding", lambda one: one["required"].remove("code")), "gone: always Finding.code"),
    "a new demand": (schema("Claim", lambda one: one["required"].append("notes")), "new: demands Claim.notes"),
    "a new demanded parameter": (
        lambda document: document["paths"]["/v1/payers"]["get"].update(parameters=[{"in": "query", "name": "x", "required": True, "schema": {}}]),
        "new: demands listPayers query x",
    ),
    "a scope": (lambda document: document["paths"]["/v1/payers"]["get"].update({"x-scope": "audit:read"}), "gone: has operation listPayers"),
    "an event": (without("webhooks", "job.finished"), "gone: has webhook job.finished"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), list(BREAKING.values()), ids=list(BREAKING))
def test_what_would_break_a_caller_is_seen(change: Callable[[Any], None], told: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    change(document)
    found = broken(contract_lines(DOCUMENT), document)
    assert any(line.startswith(told) for line in found), found


def test_what_is_added_breaks_nobody() -> None:
    document = copy.deepcopy(DOCUMENT)
    finding = document["components"]["schemas"]["Finding"]
    finding["properties"]["surprise"] = {"type": "string"}
    finding["required"].append("surprise")
    document["paths"]["/v1/new"] = {"post": {"operationId": "new", "x-scope": "none", "responses": {}, "requestBody": {"content": {}}}}
    assert broken(contract_lines(DOCUMENT), document) == []


def test_spectral_finds_what_its_rules_forbid(tmp_path: Path) -> None:
    path = tmp_path / "openapi.json"
    path.write_text('{"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {"/x/": {"get": {"responses": {}}}}}')
    found = "\n".join(lint(path))
    assert "operation-operationId" in found
    assert "path-keys-no-trailing-slash" in found
