"""Examples of the contract. Those of requests and answers are what a real server was sent and gave (`make examples`), a file an operation;
those of problems come from the code that answers them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from rules_service.api.problems import TITLES, problem_document
from rules_service.formats.fhir.answers import refused
from rules_service.primitives.errors import Issue

FOLDER = "contract_examples"
PROBLEM = "application/problem+json"
FAULT = Issue(
    "invalid_value", "/service_lines/0/unit_count", "The value is not a positive decimal number.", "Send it as text, such as 1 or 1.5."
)
WITH_FAULTS = frozenset({"malformed-body", "validation-error", "content-invalid"})
REQUEST_ID = "4907432868e07534378de645121eb9a2"
OAUTH = {
    400: {"error": "invalid_request", "error_description": "The body is not a form."},
    401: {"error": "invalid_client", "error_description": "The assertion is not signed with a registered key."},
}


@cache
def recorded() -> dict[str, dict[str, Any]]:
    """By operation id: examples by media type of its requests, and by status and media type of its answers."""
    folder = files("rules_service.api") / FOLDER
    return {
        file.name.removesuffix(".json"): msgspec.json.decode(file.read_bytes()) for file in folder.iterdir() if file.name.endswith(".json")
    }


def add_examples(operation: dict[str, Any]) -> None:
    """Put what was recorded of an operation where its media types are described."""
    found = recorded().get(operation["operationId"], {})
    for media, told in found.get("requests", {}).items():
        _put(operation["requestBody"]["content"], media, told)
    for status, by_media in found.get("responses", {}).items():
        for media, told in by_media.items():
            _put(operation["responses"][status]["content"], media, told)


def _put(content: dict[str, Any], media: str, told: dict[str, Any]) -> None:
    content[media]["examples"] = {name: {"value": value} for name, value in told.items()}


def problem_examples(status: int) -> dict[str, Any]:
    """The problem documents of a status, by their kinds."""
    slugs = [slug for slug, (one, _) in TITLES.items() if one == status]
    return {slug: {"value": problem_document(slug, "", [FAULT] if slug in WITH_FAULTS else (), REQUEST_ID)} for slug in slugs}


def outcome_example(status: int) -> dict[str, Any]:
    """The OperationOutcome of a problem."""
    title = next(title for one, title in TITLES.values() if one == status)
    return refused(status, title, [])


def news_example(event: str, fields: tuple[str, ...]) -> dict[str, Any]:
    """A webhook message, with what its event carries."""
    return {"type": event, "timestamp": "2026-11-26T06:45:46.690780+00:00", "data": {name: _NEWS[name] for name in fields}}


_NEWS: dict[str, Any] = {
    "rule_set_id": "medicare_part_b", "number": 7, "catalog_epoch": 42, "name": "ncci_ptp_practitioner", "edition": "2026Q4",
    "emergency_id": "em_01a2169a6443749197807eafb51c5a89", "rule_id": "MCR-NCCI-001", "severity": "warn", "how": "ratified",
    "job_id": "jb_01a2169a6a7d78f78c3c99bcd6d2f150", "kind": "validate_claims", "state": "succeeded", "evaluations": 12,
    "found_by": "audit_log_verification", "audit_seq": 118, "seal": None, "evaluation_id": None,
    "endpoint_id": "we_01a2169a6443749197807eafb51c5a90",
}  # fmt: skip
