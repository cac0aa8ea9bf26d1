"""What is answered in FHIR: an evaluation as OperationOutcome or ClaimResponse, and faults of a request as OperationOutcome.

Severities: what is denied or rejected is an error, what pends or is doubtful a warning, the rest information. A finding that follows from
another is information. CARCs are X12's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rules_service.findings.coverage_told import told_of_coverage
from rules_service.findings.finding import leaves_open
from rules_service.formats.fhir import resources as r
from rules_service.primitives.errors import Issue

FINDING_CODES = "urn:payer-rules:finding-code"
REASONS = "urn:payer-rules:not-evaluated-reason"
CARC = "https://x12.org/codes/claim-adjustment-reason-codes"
EVALUATION_ID = "urn:payer-rules:evaluation-id"
SIMULATED = "Simulated: what the payer's published rules predict, not the payer's answer."
ERRORS = frozenset({"reject", "deny_hard", "deny_soft"})
WARNINGS = frozenset({"pend", "warn"})
ISSUE_TYPES = {
    "fhir.required": "required", "fhir.reference": "not-found", "fhir.payer": "required", "fhir.preauthorization": "not-supported", "fhir.claim_type": "not-supported",
    "fhir.status": "not-supported", "fhir.claim_field": "not-supported", "fhir.value": "value", "fhir.modifier": "extension", "fhir.coverage": "business-rule", "fhir.resource_type": "not-supported", "missing_field": "required",
    "malformed_json": "structure", "duplicate_key": "structure", "not_utf8": "structure", "wrong_type": "structure",
}  # fmt: skip
PROBLEM_TYPES = {
    400: "structure", 401: "login", 403: "forbidden", 404: "not-found", 405: "not-supported", 406: "not-supported", 409: "conflict", 413: "too-long", 415: "not-supported", 422: "invalid", 503: "transient",
}  # fmt: skip
Document = Mapping[str, Any]
_DIAGNOSIS = re.compile(r"Claim\.diagnosis\[(\d+)\]")


def refused(status: int, title: str, issues: Sequence[Issue]) -> dict[str, Any]:
    """The faults of a request; one for the request itself when it has no others. Nothing of the claim is repeated."""
    told = [_fault(issue) for issue in issues] or [
        {"severity": "error", "code": PROBLEM_TYPES.get(status, "exception"), "details": {"text": title}}
    ]
    return {"resourceType": "OperationOutcome", "issue": told}


def _fault(issue: Issue) -> dict[str, Any]:
    where = {"expression": [issue.where]} if issue.where.startswith(("Claim", "Bundle")) else {}
    diagnostics = " ".join(part for part in ("" if where else f"At {issue.where or 'the body'}.", issue.mend) if part)
    return {
        "severity": "error",
        "code": ISSUE_TYPES.get(issue.code, "invalid"),
        "details": {"coding": [{"system": FINDING_CODES, "code": issue.code}], "text": issue.message},
        "diagnostics": diagnostics,
        **where,
    }


def severity_of(finding: Document) -> str:
    """error, warning or information."""
    if finding["suppressed_by"] is not None or finding["waiver"] is not None:
        return "information"
    return "error" if finding["severity"] in ERRORS else "warning" if finding["severity"] in WARNINGS else "information"


def _type_of(finding: Document) -> str:
    code = str(finding["code"])
    if finding["category"] == "duplicate":
        return "duplicate"
    if ".invalid" in code:
        return "code-invalid"
    return "required" if code.endswith("missing") else "business-rule"


def codings_of(finding: Document) -> list[dict[str, str]]:
    """The finding's code, and the CARC the payer would answer with."""
    told = [{"system": FINDING_CODES, "code": finding["code"], "display": finding["title"]}]
    predicted = finding["predicted_denial"]
    return told + ([{"system": CARC, "code": predicted["carc"]}] if predicted and predicted["carc"] else [])


def operation_outcome(evaluation: Document, diagnoses: Sequence[int] = (), claim: str = "Claim") -> dict[str, Any]:
    """`claim` is where the Claim stands in what was sent, `diagnoses` where each diagnosis stands in the Claim. The findings, then the rules that could not be judged (one information when there is neither), then the kinds no rule is of."""
    issues = [_issue(finding, diagnoses, claim) for finding in evaluation["findings"]]
    issues += [
        {
            "severity": "warning" if leaves_open(one) else "information",
            "code": "incomplete",
            "details": {
                "coding": [
                    *([{"system": FINDING_CODES, "code": one["code"]}] if one["code"] else []),
                    {"system": REASONS, "code": one["reason"]},
                ],
                "text": _unjudged(one),
            },
            **({"diagnostics": f"Supply {one['supply']}."} if one["supply"] else {}),
        }
        for one in evaluation["not_evaluated"]
    ]
    if not issues:
        issues = [{"severity": "information", "code": "informational", "details": {"text": "No rule of the payer finds anything."}}]
    issues += [
        {"severity": "information", "code": "not-supported", "details": {"text": text}} for text in told_of_coverage(evaluation["coverage"])
    ]
    return {"resourceType": "OperationOutcome", **_identified(evaluation), "issue": issues}


def _issue(finding: Document, diagnoses: Sequence[int], claim: str) -> dict[str, Any]:
    place = _in_sent(finding["location"]["fhir"], diagnoses, claim)
    ways = "; ".join(fix["label"] for fix in finding["fixes"])
    rule = f"{finding['rule_id']} version {finding['rule_version']}."
    return {
        "severity": severity_of(finding),
        "code": _type_of(finding),
        "details": {"coding": codings_of(finding), "text": finding["message"]},
        "diagnostics": f"{rule} {ways}." if ways else rule,
        **({"expression": [place]} if place else {}),
    }


def _in_sent(place: str | None, diagnoses: Sequence[int], claim: str) -> str | None:
    """A place of the canonical claim in what was sent."""
    found = _DIAGNOSIS.match(place or "")
    if place is not None and found is not None and int(found[1]) < len(diagnoses):
        place = f"Claim.diagnosis[{diagnoses[int(found[1])]}]{place[found.end() :]}"
    return claim + place.removeprefix("Claim") if place is not None and place.startswith("Claim") else place


def _unjudged(not_evaluated: Document) -> str:
    return f"{not_evaluated['rule_id'] or not_evaluated['code']} could not be judged{_lines(not_evaluated['line_numbers'])}."


def _lines(numbers: Sequence[int]) -> str:
    return f" for line{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}" if numbers else ""


def _identified(evaluation: Document) -> dict[str, Any]:
    number = evaluation["evaluation_id"]
    return {"extension": [{"url": EVALUATION_ID, "valueString": number}]} if number else {}


def claim_response(
    evaluation: Document, type_: r.CodeableConcept, use: str, patient: r.Reference, insurer: r.Reference | None
) -> dict[str, Any]:
    """The prediction as the payer's answer would look. `outcome`: error when something would be denied or rejected, partial when the claim
    could not be judged whole, complete otherwise."""
    findings = evaluation["findings"]
    fatal = [one for one in findings if severity_of(one) == "error"]
    outcome = "error" if fatal else "partial" if evaluation["outcome"] in ("incomplete", "not_covered") else "complete"
    told: dict[str, Any] = {
        "resourceType": "ClaimResponse", **_identified(evaluation), "status": "active", "type": _concept(type_), "use": use, "patient": _reference(patient),
        "created": evaluation["evaluated_at"][:10], "insurer": _reference(insurer) if insurer is not None else {"display": "the payer of the claim"},
        "outcome": outcome, "disposition": SIMULATED,
    }  # fmt: skip
    texts = [one["message"] for one in findings]
    texts += [f"{_unjudged(one)} ({one['reason']})" for one in evaluation["not_evaluated"] if leaves_open(one)]
    texts += told_of_coverage(evaluation["coverage"])
    notes = [{"number": number, "type": "display", "text": text} for number, text in enumerate(texts, 1)]
    by_line: dict[int, list[tuple[int, Document]]] = {}
    for number, one in enumerate(findings, 1):
        for line in one["line_numbers"] if one in fatal else ():
            by_line.setdefault(line, []).append((number, one))
    items = [
        {"itemSequence": line, "noteNumber": [number for number, _ in found], "adjudication": [_denied(one) for _, one in found]}
        for line, found in sorted(by_line.items())
    ]
    errors = [
        {"code": {"coding": codings_of(one), "text": one["message"]}}
        | ({"itemSequence": one["line_numbers"][0]} if one["line_numbers"] else {})
        for one in fatal
    ]
    return told | {name: value for name, value in (("item", items), ("processNote", notes), ("error", errors)) if value}


def _denied(finding: Document) -> dict[str, Any]:
    """No benefit, for the reason predicted."""
    predicted = finding["predicted_denial"]
    reason = {"reason": {"coding": [{"system": CARC, "code": predicted["carc"]}]}} if predicted and predicted["carc"] else {}
    category = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/adjudication", "code": "benefit"}]}
    return {"category": category, **reason, "amount": {"value": 0, "currency": "USD"}}


def _concept(concept: r.CodeableConcept) -> dict[str, Any]:
    codings = [{name: value for name, value in (("system", one.system), ("code", one.code)) if value} for one in concept.coding]
    return {"coding": [one for one in codings if one]}


def _reference(reference: r.Reference) -> dict[str, Any]:
    """The reference as on the claim; one to a contained resource, which is not here, by its words."""
    if reference.reference and "#" not in reference.reference:
        return {"reference": reference.reference}
    identifier = reference.identifier
    if identifier is not None and identifier.value:
        known = {"value": identifier.value} | ({"system": identifier.system} if identifier.system else {})
        return {"identifier": known}
    return {"display": reference.display or "as on the claim"}
