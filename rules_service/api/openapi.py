"""The OpenAPI document: routes from FastAPI, schemas of claims and evaluations generated from the core structures."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any, get_args

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from rules_service import __version__
from rules_service.api.describe import problems
from rules_service.api.examples import PROBLEM as PROBLEM_MEDIA
from rules_service.api.examples import add_examples, news_example, problem_examples
from rules_service.api.problems import TITLES
from rules_service.api.requests import BODIES
from rules_service.claim.claim import Claim
from rules_service.claim.codec import schema_value
from rules_service.claim.service_check import ServiceCheck
from rules_service.engine.clean_change import MAX_CHANGES, MAX_JUDGEMENTS, CleanChange, SearchOutcome
from rules_service.findings.evaluation import Evaluation
from rules_service.findings.service_answer import ServiceCheckAnswer
from rules_service.formats.fhir.cards import MAX_SUMMARY
from rules_service.primitives.scopes import SCOPES
from rules_service.workflow.news import EVENTS, News

_REF = "#/components/schemas/{name}"
WITHOUT_DATABASE = frozenset({"livez", "version", "fhirMetadata", "discoverCdsServices", "oauthMetadata"})
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
    """JSON Schemas of the claim, the evaluation, the check of services and bodies, and of the answers built from them."""
    _, components = msgspec.json.schema_components(
        [Claim, Evaluation, ServiceCheck, ServiceCheckAnswer, CleanChange, *BODIES, *EVENTS.values()],
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
        "required": ["rules", "tried_fixes", "smallest_clean_change", "clean_change_search"],
        "properties": {
            "rules": rules,
            "tried_fixes": {"type": "array", "items": {"$ref": _REF.format(name="TriedFix")}},
            "smallest_clean_change": {"anyOf": [{"$ref": _REF.format(name="CleanChange")}, {"type": "null"}]},
            "clean_change_search": {
                "type": "string",
                "enum": list(get_args(SearchOutcome)),
                "description": f"found; none: no remedies we know, at most {MAX_CHANGES} together, make it clean; gave_up: not found in {MAX_JUDGEMENTS} judgements.",
            },
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
            "properties": {"cards": {"type": "array", "items": {"$ref": _REF.format(name="CdsCard")}}, "extension": {"type": "object"}},
        },
        "CdsCard": {
            "type": "object",
            "description": "CDS Hooks 2.0. Every suggestion creates FHIR Tasks (R4); none changes an order.",
            "required": ["uuid", "summary", "indicator", "source"],
            "properties": {
                "uuid": {"type": "string", "format": "uuid"},
                "summary": {"type": "string", "maxLength": MAX_SUMMARY - 1},
                "detail": {"type": "string"},
                "indicator": {"enum": ["info", "warning", "critical"]},
                "source": {"type": "object", "required": ["label"], "properties": {"label": {"type": "string"}, "url": {"type": "string"}}},
                "selectionBehavior": {"const": "any"},
                "suggestions": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["label", "uuid", "actions"],
                        "properties": {
                            "label": {"type": "string"},
                            "uuid": {"type": "string", "format": "uuid"},
                            "actions": {"type": "array", "items": {"type": "object", "required": ["type", "description", "resource"]}},
                        },
                    },
                },
                "links": {"type": "array", "items": {"type": "object"}},
                "overrideReasons": {"type": "array", "items": {"type": "object"}},
            },
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
                "requestBody": {"required": True, "content": {"application/json": _message(name, kind)}},
                "responses": {"2XX": {"description": "It arrived; anything else is tried again"}},
            }
        }
        for name, kind in EVENTS.items()
    }


def _message(name: str, kind: type[News]) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"$ref": _REF.format(name=kind.__name__)},
        },
    }
    return {"schema": schema, "example": news_example(name, kind.__struct_fields__)}


def security_schemes() -> dict[str, Any]:
    """An access token of the client's scopes, or an API key, which has those it was made with."""
    flow = {"tokenUrl": "/v1/oauth/token", "scopes": dict(SCOPES)}
    return {
        "oauth2": {
            "type": "oauth2",
            "description": "Client credentials with private_key_jwt (RFC 7523).",
            "flows": {"clientCredentials": flow},
        },
        "apiKey": {"type": "http", "scheme": "bearer", "description": "An API key; it has the scopes its client was given."},
    }


def problem_responses(paths: str) -> dict[str, Any]:
    """A problem answer for each status that an operation names."""
    titles = {status: title for status, title in reversed(TITLES.values()) if f"/Problem{status}" in paths}
    return {
        f"Problem{status}": {
            "description": title,
            "content": {PROBLEM_MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}, "examples": problem_examples(status)}},
        }
        for status, title in sorted(titles.items())
    }


def _complete(operation: dict[str, Any]) -> None:
    """What every operation can answer, and its examples. A 422 that the framework adds for parameters of text cannot come."""
    answers = operation["responses"]
    if "application/json" in answers.get("422", {}).get("content", {}):
        del answers["422"]
    for status in (500, *((503,) if operation["operationId"] not in WITHOUT_DATABASE else ())):
        answers.setdefault(str(status), problems(status)[status])
    for status, answer in answers.items():
        if "$ref" in answer:
            answers[status] = {"$ref": answer["$ref"]}
    add_examples(operation)


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The whole document, the same bytes for the same code."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Payer rules service", version=__version__, openapi_version="3.1.0", routes=app.routes,
            contact={"name": "Payer rules service"},
            description="Judges a claim against the payer's published rules before it is sent: what would be denied, why, and how to prevent it.",
            tags=[{"name": name} for name in ("claims", "x12", "fhir", "cds hooks", "evaluations", "waivers", "stored claims", "catalog", "drafts", "change control", "history", "jobs", "webhooks", "audit", "reference", "oauth", "operations")],
        )  # fmt: skip
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas.update(core_schemas())
        components["securitySchemes"] = security_schemes()
        document["servers"] = [{"url": "/", "description": "The service that answers this document"}]
        document["webhooks"] = webhooks()
        for path in document["paths"].values():
            for operation in path.values():
                _complete(operation)
        components["responses"] = problem_responses(json.dumps(document["paths"]))
        app.openapi_schema = document
    return app.openapi_schema
