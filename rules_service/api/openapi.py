"""The OpenAPI document: routes from FastAPI, schemas of claims and evaluations generated from the core structures."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from rules_service import __version__
from rules_service.api.problems import TITLES
from rules_service.api.requests import BODIES
from rules_service.claim.claim import Claim
from rules_service.claim.codec import schema_value
from rules_service.claim.service_check import ServiceCheck
from rules_service.engine.clean_change import CleanChange
from rules_service.findings.evaluation import Evaluation
from rules_service.findings.service_answer import ServiceCheckAnswer
from rules_service.primitives.scopes import SCOPES
from rules_service.rules.rule import Manifest, RuleVersionContent
from rules_service.workflow.news import EVENTS, News

_REF = "#/components/schemas/{name}"
PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "RFC 9457. Never repeats a value of the request.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("pointer", "code", "message", "mend")},
                "required": ["pointer", "code", "message", "mend"],
            },
        },
    },
}


def core_schemas() -> dict[str, Any]:
    """JSON Schemas of the claim, the evaluation, rule version and manifest, and of the answers built from them."""
    _, components = msgspec.json.schema_components(
        [Claim, Evaluation, ServiceCheck, ServiceCheckAnswer, CleanChange, RuleVersionContent, Manifest, *BODIES, *EVENTS.values()],
        schema_hook=schema_value,
        ref_template=_REF,
    )
    result: dict[str, Any] = {
        "type": "object",
        "required": ["index", "status"],
        "properties": {
            "index": {"type": "integer"},
            "status": {"type": "integer"},
            "evaluation": {"$ref": _REF.format(name="Evaluation")},
            "problem": {"$ref": _REF.format(name="Problem")},
        },
    }
    position = {
        "type": "object",
        "required": ["segment", "byte"],
        "properties": {"segment": {"type": "integer"}, "byte": {"type": "integer"}},
    }
    condition = {
        "type": "object",
        "properties": {
            "condition": {"type": "string"},
            "result": {"enum": ["true", "false", "unknown"]},
            "seen": {"type": "string"},
            "reason": {"type": "string"},
            "parts": {"type": "array", "items": {"type": "object"}},
        },
    }
    rules = {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"rule_id": {"type": "string"}, "branches": {"type": "array", "items": condition}},
        },
    }
    full = {
        "type": "object",
        "description": "With explain=full: each condition of each rule, the fixes that were tried, and the fewest changes after which the claim is clean.",
        "required": ["rules", "tried_fixes", "smallest_clean_change"],
        "properties": {
            "rules": rules,
            "tried_fixes": {"type": "array", "items": {"$ref": _REF.format(name="TriedFix")}},
            "smallest_clean_change": {"anyOf": [{"$ref": _REF.format(name="CleanChange")}, {"type": "null"}]},
        },
    }
    evaluation = dict(components)["Evaluation"]
    explained = {
        **evaluation,
        "title": "ExplainedEvaluation",
        "required": [*evaluation["required"], "explanation"],
        "properties": {**evaluation["properties"], "explanation": full},
    }
    return {
        **dict(components),
        "ExplainedEvaluation": explained,
        "Problem": PROBLEM,
        "ClaimResult": result,
        "ClaimBatch": {
            "type": "object",
            "additionalProperties": False,
            "required": ["claims"],
            "properties": {"claims": {"type": "array", "maxItems": 100, "items": {"$ref": _REF.format(name="Claim")}}},
        },
        "BatchResult": {
            "type": "object",
            "required": ["results"],
            "properties": {"results": {"type": "array", "items": {"$ref": _REF.format(name="ClaimResult")}}},
        },
        "X12ClaimResult": {
            **result,
            "description": "With the number of the claim's CLM segment, and by finding the segment it points to and the byte that starts at.",
            "required": [*result["required"], "segment", "places"],
            "properties": {
                **result["properties"],
                "segment": {"type": "integer"},
                "places": {"type": "object", "additionalProperties": position},
            },
        },
        "X12Result": {
            "type": "object",
            "required": ["evaluations"],
            "properties": {"evaluations": {"type": "array", "items": {"$ref": _REF.format(name="X12ClaimResult")}}},
        },
        "CdsServices": {
            "type": "object",
            "required": ["services"],
            "properties": {"services": {"type": "array", "items": {"type": "object"}}},
        },
        "CdsCards": {
            "type": "object",
            "description": "CDS Hooks 2.0: cards, and by order Da Vinci CRD's coverage-information.",
            "required": ["cards"],
            "properties": {"cards": {"type": "array", "items": {"type": "object"}}, "extension": {"type": "object"}},
        },
        "CdsCall": {
            "type": "object",
            "description": "CDS Hooks 2.0: hook, hookInstance, context, prefetch.",
            "required": ["hook", "hookInstance", "context"],
            "properties": {
                "hook": {"type": "string"},
                "hookInstance": {"type": "string"},
                "context": {"type": "object"},
                "prefetch": {"type": "object"},
            },
        },
        "FhirResource": {
            "type": "object",
            "description": "A FHIR R4 resource (hl7.org/fhir/R4).",
            "required": ["resourceType"],
            "properties": {"resourceType": {"type": "string"}},
        },
        "Explanation": {
            "type": "object",
            "required": ["evaluation_id", "catalog_epoch", "rules"],
            "properties": {
                "evaluation_id": {"type": "string"},
                "catalog_epoch": {"type": "integer"},
                "rules": rules,
            },
        },
    }


def scoped(scope: str, **more: Any) -> dict[str, Any]:
    """The operation's scope, and anything else it says."""
    return {"security": [{"apiKey": [scope]}], "x-scope": scope, **more}


def _idempotency() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "schema": {"type": "string", "maxLength": 255},
        "description": "The same key and claim give the same answer again.",
    }


def json_body(
    schema: str, scope: str, query: list[tuple[str, list[str], str]], ndjson: str | None = None, idempotent: bool = False
) -> dict[str, Any]:
    """An operation whose body the core decodes."""
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
    if ndjson is not None:
        content["application/x-ndjson"] = {"schema": {"$ref": _REF.format(name=ndjson)}}
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
        parameters.append(_idempotency())
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


def fhir_body(scope: str, accept: str) -> dict[str, Any]:
    """An operation whose body is a FHIR resource."""
    resource = {"schema": {"$ref": _REF.format(name="FhirResource")}}
    content = {"application/fhir+json": resource, "application/json": resource}
    return scoped(scope, requestBody={"required": True, "content": content}, parameters=[accepts(accept)])


def if_match(description: str) -> dict[str, Any]:
    """The If-Match header, without which nothing is changed."""
    return {"name": "If-Match", "in": "header", "required": True, "schema": {"type": "string"}, "description": description}


def accepts(description: str) -> dict[str, Any]:
    """The Accept header, where the caller chooses the form of the answer."""
    return {"name": "Accept", "in": "header", "required": False, "schema": {"type": "string"}, "description": description}


def fhir_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """A resource, and for each problem an OperationOutcome."""
    titles = {**dict(reversed(TITLES.values())), 200: "A FHIR R4 resource"}
    content = {"application/fhir+json": {"schema": {"$ref": _REF.format(name="FhirResource")}}}
    return {status: {"description": titles[status], "content": content} for status in (200, *statuses)}


def claims_file(scope: str, description: str) -> dict[str, Any]:
    """An operation whose body is a file of claims."""
    text = {"schema": {"type": "string"}}
    content = {"application/x-ndjson": text, "application/edi-x12": text}
    return scoped(scope, requestBody={"required": True, "description": description, "content": content}, parameters=[])


def json_answer(schema: str, description: str, status: int = 200, or_schema: str | None = None) -> dict[int | str, dict[str, Any]]:
    """A JSON answer by the name of its schema, or of the other one."""
    either = [{"$ref": _REF.format(name=name)} for name in (schema, or_schema) if name is not None]
    told = either[0] if len(either) == 1 else {"anyOf": either}
    return {status: {"description": description, "content": {"application/json": {"schema": told}}}}


def x12_answer(schema: str, description: str) -> dict[int | str, dict[str, Any]]:
    """JSON, or an interchange for who asks for one."""
    answer = json_answer(schema, description)
    answer[200]["content"]["application/edi-x12"] = {"schema": {"type": "string"}}
    return answer


def ndjson_answer(description: str) -> dict[int | str, dict[str, Any]]:
    """An answer of lines of JSON."""
    return {200: {"description": description, "content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Problem answers."""
    titles = dict(reversed(TITLES.values()))
    return {
        status: {"description": titles[status], "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}}}
        for status in statuses
    }


def webhooks() -> dict[str, Any]:
    """What endpoints are sent, event by event (Standard Webhooks)."""
    header = {"in": "header", "required": True, "schema": {"type": "string"}}
    parameters = [{"name": name, **header} for name in ("webhook-id", "webhook-timestamp", "webhook-signature")]
    return {
        name: {
            "post": {
                "operationId": "told" + "".join(part.capitalize() for part in re.split(r"[._]", name)),
                "summary": inspect.cleandoc(kind.__doc__ or ""),
                "tags": ["webhooks"],
                "parameters": parameters,
                "requestBody": {"required": True, "content": {"application/json": {"schema": _message(name, kind)}}},
                "responses": {"2XX": {"description": "It arrived; anything else is tried again"}},
            }
        }
        for name, kind in EVENTS.items()
    }


def _message(name: str, kind: type[News]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"$ref": _REF.format(name=kind.__name__)},
        },
    }


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The whole document, the same bytes for the same code."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Payer rules service", version=__version__, openapi_version="3.1.0", routes=app.routes,
            description="Judges a claim against the payer's published rules before it is sent: what would be denied, why, and how to prevent it.",
            tags=[{"name": name} for name in ("claims", "x12", "fhir", "cds hooks", "evaluations", "waivers", "stored claims", "catalog", "drafts", "change control", "history", "jobs", "webhooks", "audit", "reference", "oauth", "operations")],
        )  # fmt: skip
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas.update(core_schemas())
        components["securitySchemes"] = {
            "apiKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "API key, or access token of /v1/oauth/token. Scopes: "
                + "; ".join(f"`{name}` {text}" for name, text in SCOPES.items()),
            }
        }
        document["webhooks"] = webhooks()
        for path in document["paths"].values():
            for operation in path.values():
                found = operation.get("responses", {}).get("422")
                if found is not None and "application/json" in found.get("content", {}):
                    operation["responses"]["422"] = problems(422)[422]
        app.openapi_schema = document
    return app.openapi_schema
