"""How routes describe themselves in the contract: scope, body, parameters, answers and problems of an operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rules_service.api.examples import outcome_example
from rules_service.api.problems import TITLES

_REF = "#/components/schemas/{name}"


def scoped(scope: str, **more: Any) -> dict[str, Any]:
    """The operation's scope, and anything else it says."""
    return {"security": [{"oauth2": [scope]}, {"apiKey": []}], "x-scope": scope, **more}


BY_CLAIM = "claim by claim: a claim at a place that had another is refused alone, and what is new is judged"


def idempotency(what: str = "") -> dict[str, Any]:
    """The Idempotency-Key header, and what it counts for when that is not the whole request."""
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 255},
        "description": "The same key and body give the same answer again" + (f", {what}." if what else "."),
    }


def json_body(
    schema: str, scope: str, query: list[tuple[str, list[str], str]], ndjson: str | None = None, idempotent: bool = False
) -> dict[str, Any]:
    """An operation whose body the core decodes."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
    if ndjson is not None:
        content["application/x-ndjson"] = {"schema": {"type": "string", "description": f"One {ndjson} a line"}}
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": False,
            "schema": {"type": "string", "enum": values, "default": values[0]},
            "description": text,
        }
        for name, values, text in query
    ]
    if idempotent:
        parameters.append(idempotency(BY_CLAIM if ndjson else ""))
    return scoped(scope, requestBody={"required": True, "content": content}, parameters=parameters)


def body_of(kind: type[msgspec.Struct], scope: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An operation whose body is one of the structures of requests.py."""
    content = {"application/json": {"schema": {"$ref": _REF.format(name=kind.__name__)}}}
    return scoped(scope, requestBody={"required": True, "content": content}, parameters=parameters or [])


def query(name: str, description: str, values: Sequence[str] = (), required: bool = False) -> dict[str, Any]:
    """A query parameter."""
    schema: dict[str, Any] = {"type": "string", "enum": list(values)} if values else {"type": "string"}
    return {"name": name, "in": "query", "required": required, "schema": schema, "description": description}


def raw_body(media: str, scope: str, description: str, parameters: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An operation whose body is not JSON."""
    body = {"required": True, "description": description, "content": {media: {"schema": {"type": "string", "format": "binary"}}}}
    return scoped(scope, requestBody=body, parameters=parameters or [])


FORM = [
    query("_format", "The media type of the answer, for who cannot send Accept: `json` or a media type of JSON"),
    query("_pretty", "Taken and not followed"),
]
"""Parameters of every FHIR request."""


def fhir_body(scope: str, accept: str) -> dict[str, Any]:
    """An operation whose body is a FHIR resource."""
    resource = {"schema": {"$ref": _REF.format(name="FhirResource")}}
    content = {"application/fhir+json": resource, "application/json": resource}
    return scoped(scope, requestBody={"required": True, "content": content}, parameters=[accepts(accept), idempotency(), *FORM])


def if_match(description: str) -> dict[str, Any]:
    """The If-Match header, without which nothing is changed."""
    return {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}, "description": description}


def accepts(description: str) -> dict[str, Any]:
    """The Accept header, where the caller chooses the form of the answer."""
    return {"name": "Accept", "in": "header", "required": False, "schema": {"type": "string"}, "description": description}


def fhir_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A resource, and for each problem an OperationOutcome."""
    schema = {"schema": {"$ref": _REF.format(name="FhirResource")}}
    titles = dict(reversed(TITLES.values()))
    told: dict[int | str, dict[str, Any]] = {200: {"description": "A FHIR R4 resource", "content": {"application/fhir+json": dict(schema)}}}
    for status in statuses:
        content = {"application/fhir+json": {**schema, "example": outcome_example(status)}}
        told[status] = {"description": titles[status], "content": content}
    return told


def claims_file(scope: str, description: str) -> dict[str, Any]:
    """An operation whose body is a file of claims."""
    text = {"schema": {"type": "string"}}
    content = {"application/x-ndjson": text, "application/edi-x12": text}
    return scoped(scope, requestBody={"required": True, "description": description, "content": content}, parameters=[idempotency()])


def json_answer(
    schema: str, description: str, status: int = 200, or_schema: str | None = None, or_media: str | None = None
) -> dict[int | str, dict[str, Any]]:
    """A JSON answer by the name of its schema, or of the other one; or text of another media type for who asks for it, or sent such."""
    either = [{"$ref": _REF.format(name=name)} for name in (schema, or_schema) if name is not None]
    content: dict[str, Any] = {"application/json": {"schema": either[0] if len(either) == 1 else {"anyOf": either}}}
    if or_media is not None:
        content[or_media] = {"schema": {"type": "string"}}
    return {status: {"description": description, "content": content}}


def text_answer(media: str, description: str) -> dict[int | str, dict[str, Any]]:
    """An answer that is not JSON."""
    return {200: {"description": description, "content": {media: {"schema": {"type": "string"}}}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem answers."""
    titles = dict(reversed(TITLES.values()))
    return {status: {"description": titles[status], "$ref": f"#/components/responses/Problem{status}"} for status in statuses}
