"""What a contract promises, a line a promise: operations, parameters, media types, answers, fields with their types, enum values.

`python -m tests.support.contract_lines VERSION` keeps the lines of a release in openapi/released/; from then on none may disappear.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RELEASED = ROOT / "openapi/released"
Document = dict[str, Any]


def contract_lines(document: Document) -> set[str]:
    """Every promise of a document: what it names (`has`), what an answer always holds (`always`), what a caller must send (`demands`)."""
    schemas = document["components"]["schemas"]
    sent, answered = _reached(schemas, _request_bodies(document)), _reached(schemas, _answers(document))
    found: set[str] = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found |= set(_operation(method, path, operation))
    for name, told in document["webhooks"].items():
        found |= {f"has webhook {name}", *_schema(f"webhook {name}", _webhook(told), ("always",))}
    for name, schema in schemas.items():
        words = [word for word, names in (("demands", sent), ("always", answered)) if name in names]
        found |= set(_schema(name, schema, words))
    return found


def _request_bodies(document: Document) -> list[Any]:
    return [operation.get("requestBody", {}) for methods in document["paths"].values() for operation in methods.values()]


def _answers(document: Document) -> list[Any]:
    told = [operation["responses"] for methods in document["paths"].values() for operation in methods.values()]
    return [*told, document["components"].get("responses", {}), [_webhook(one) for one in document["webhooks"].values()]]


def _webhook(told: Document) -> Document:
    schema: Document = told["post"]["requestBody"]["content"]["application/json"]["schema"]
    return schema


def _reached(schemas: Document, parts: list[Any]) -> set[str]:
    """Names of the schemas that are referred to, directly or by another one."""
    found: set[str] = set()
    waiting = list(parts)
    while waiting:
        for name in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(waiting.pop())):
            if name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def _operation(method: str, path: str, operation: Document) -> Iterator[str]:
    name = operation["operationId"]
    yield f"has operation {name}: {method.upper()} {path} with scope {operation['x-scope']}"
    for parameter in operation.get("parameters", []):
        yield from _schema(f"{name} {parameter['in']} {parameter['name']}", parameter["schema"])
        if parameter["required"]:
            yield f"demands {name} {parameter['in']} {parameter['name']}"
    for media, told in operation.get("requestBody", {}).get("content", {}).items():
        yield from _schema(f"{name} takes {media}", told["schema"], ("demands",))
    for status, answer in operation["responses"].items():
        yield f"has {name} answers {status}"
        for media, told in answer.get("content", {}).items():
            yield from _schema(f"{name} answers {status} {media}", told.get("schema", {}), ("always",))


def _schema(where: str, schema: Document, words: Sequence[str] = ()) -> Iterator[str]:
    """The type of a value, its enum values, and the same of its members."""
    yield f"has {where}: {_type(schema)}"
    for value in [*schema.get("enum", []), *([schema["const"]] if "const" in schema else [])]:
        yield f"has {where} may be {json.dumps(value)}"
    for name, member in schema.get("properties", {}).items():
        yield from _schema(f"{where}.{name}", member, words)
    for name in schema.get("required", []):
        yield from (f"{word} {where}.{name}" for word in words)
    inner = [schema[name] for name in ("items", "additionalProperties") if isinstance(schema.get(name), dict)]
    for part in (*schema.get("anyOf", []), *schema.get("oneOf", []), *inner):
        if part.keys() & {"properties", "enum", "const", "anyOf", "oneOf", "items"}:
            yield from _schema(f"{where}[]", part, words)


def _type(schema: Document) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    parts = [_type(part) for part in (*schema.get("anyOf", []), *schema.get("oneOf", []))]
    if parts:
        return " or ".join(sorted(parts))
    told = schema.get("type", "any")
    kind = " or ".join(sorted(told)) if isinstance(told, list) else str(told)
    return f"{kind} of {_type(schema['items'])}" if isinstance(schema.get("items"), dict) else kind


def broken(released: set[str], document: Document) -> list[str]:
    """Promises of a release that a document no longer keeps, and what it demands of a caller of the release that the release did not."""
    now = contract_lines(document)
    gone = [f"gone: {line}" for line in sorted(released - now) if not line.startswith("demands ")]
    known = {_owner(line) for line in released if line.startswith("has ")}
    demanded = [line for line in sorted(now - released) if line.startswith("demands ") and _owner(line) in known]
    return gone + [f"new: {line}" for line in demanded]


def _owner(line: str) -> str:
    """Whose member or parameter a line speaks of."""
    subject = line.partition(" ")[2].partition(": ")[0]
    return subject.rpartition(".")[0] if "." in subject else subject.partition(" ")[0]


if __name__ == "__main__":
    lines = contract_lines(json.loads((ROOT / "openapi/openapi.json").read_text()))
    (RELEASED / f"{sys.argv[1]}.txt").write_text("\n".join(sorted(lines)) + "\n")
