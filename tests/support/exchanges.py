"""Requests of the contract sent to a real server, and what came back, kept as the contract's examples."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.support.server import ROOT

DOCUMENT = json.loads((ROOT / "openapi/openapi.json").read_text())
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
EXAMPLES = ROOT / "rules_service/api/contract_examples"
MOST = 3
"""Items of a list that an example shows."""
BINARY = ("application/zip",)
FORM = "application/x-www-form-urlencoded"


@dataclass
class Exchange:
    """One request and its answer. Bodies are JSON data, or text of another media type."""

    operation_id: str
    name: str
    media: str | None
    body: Any
    status: int
    answer_media: str | None
    answer: Any


@dataclass
class Exchanges:
    """Sends requests by operation id and keeps each with its answer."""

    kept: list[Exchange] = field(default_factory=list)

    def send(
        self,
        client: httpx.Client,
        operation_id: str,
        example: str = "example",
        /,
        *,
        body: Any = None,
        media: str = "application/json",
        query: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        **path: str,
    ) -> httpx.Response:
        """Send a request whose answer must be one of the operation's successes, and keep both."""
        method, template, operation = OPERATIONS[operation_id]
        target = re.sub(r"\{(\w+)\}", lambda found: str(path[found[1]]), template)
        sent = {} if body is None else {"content": json.dumps(body) if is_json(media) else urlencode(body) if media == FORM else body}
        told = ({} if body is None else {"Content-Type": media}) | (headers or {})
        response = client.request(method, target, params=query, headers=told, **sent)
        assert str(response.status_code) in operation["responses"], (operation_id, response.status_code, response.text)
        assert response.is_success, (operation_id, response.status_code, response.text)
        answer_media = response.headers.get("content-type", "").partition(";")[0] or None
        answer: Any = None
        if answer_media is not None and answer_media not in BINARY:
            answer = response.json() if is_json(answer_media) else response.text
        kept_media = None if body is None else media
        kept_body = json.loads(json.dumps(body)) if is_json(media) else body
        self.kept.append(Exchange(operation_id, example, kept_media, kept_body, response.status_code, answer_media, answer))
        return response


def is_json(media: str) -> bool:
    """Whether bodies of a media type are JSON."""
    return media == "application/json" or media.endswith("+json")


def shortened(value: Any) -> Any:
    """The same with its lists cut, and without references into itself, which readers of the contract would follow from its root."""
    if isinstance(value, dict):
        if str(value.get("$ref", "")).startswith("#/$defs/"):
            return {}
        return {name: shortened(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shortened(member) for member in value[:MOST]]
    return value


def examples(kept: list[Exchange]) -> dict[Path, str]:
    """A file an operation: examples by media type of its requests, and by status and media type of its answers."""
    found: dict[str, dict[str, Any]] = {}
    for one in kept:
        told = found.setdefault(one.operation_id, {"requests": {}, "responses": {}})
        if one.media is not None:
            told["requests"].setdefault(one.media, {}).setdefault(one.name, one.body)
        if one.answer is not None and one.answer_media is not None:
            answer = shortened(one.answer) if is_json(one.answer_media) else _first_lines(one.answer)
            told["responses"].setdefault(str(one.status), {}).setdefault(one.answer_media, {}).setdefault(one.name, answer)
    return {EXAMPLES / f"{name}.json": json.dumps(told, indent=1, ensure_ascii=False) + "\n" for name, told in sorted(found.items())}


def _first_lines(text: str) -> str:
    """Text of an example: an interchange whole, of lines of JSON and metrics the first ones."""
    lines = text.splitlines(keepends=True)
    return text if text.startswith("ISA") else "".join(lines[:MOST])


def differences(example: Any, actual: Any, where: str = "") -> list[str]:
    """Where an answer is made otherwise than its example. Lists are compared by what any item has; an empty one tells nothing."""
    if isinstance(example, dict) and isinstance(actual, dict):
        if _is_map(example) or _is_map(actual):
            return []
        names = sorted(example.keys() ^ actual.keys())
        told = [f"{where}/{name} is only in {'the example' if name in example else 'the answer'}" for name in names]
        for name in example.keys() & actual.keys():
            told += differences(example[name], actual[name], f"{where}/{name}")
        return told
    if isinstance(example, list) and isinstance(actual, list):
        return differences(example[0], actual[0], f"{where}/0") if example and actual and _kind(example[0]) == _kind(actual[0]) else []
    return [] if _kind(example) == _kind(actual) or None in (example, actual) else [f"{where} is another kind of value"]


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _is_map(value: dict[str, Any]) -> bool:
    """Whether the members are named by data (ids, files, codes) and not by the contract."""
    return any(not re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_]*|[a-z-]+", name) for name in value)
