"""What this service offers in FHIR, as a CapabilityStatement."""

from __future__ import annotations

from typing import Any

from rules_service import __version__

BUILT = "2026-11-26"


def capability_statement() -> dict[str, Any]:
    """The CapabilityStatement of `GET /fhir/metadata` (FHIR R4, kind `instance`)."""
    operation = {
        "name": "validate-policy",
        "definition": "urn:payer-rules:operation:validate-policy",
        "documentation": "A Claim, or a Bundle with one and what it refers to, against the payer's published rules. Answers an OperationOutcome, or a ClaimResponse where Accept asks for its profile.",
    }
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": BUILT,
        "kind": "instance",
        "software": {"name": "Payer rules service", "version": __version__},
        "implementation": {"description": "Judges claims against payers' published rules before they are sent."},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json"],
        "rest": [
            {
                "mode": "server",
                "security": {"description": "API key or OAuth 2 access token as Authorization: Bearer; scope claims:validate."},
                "resource": [{"type": "Claim", "operation": [operation]}],
            }
        ],
    }
