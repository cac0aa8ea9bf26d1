"""RFC 9457 problem documents. They say what, where and how to mend it, and never repeat a value of the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from rules_service.formats.fhir.answers import refused
from rules_service.primitives.errors import (
    EngineFault,
    IdempotencyMismatch,
    InputError,
    InvalidClaim,
    Issue,
    MalformedBody,
    NotFound,
    Refused,
    RulesServiceError,
    StateConflict,
    StorageUnavailable,
)
from rules_service.storage.writer import KeyTaken

TITLES: dict[str, tuple[int, str]] = {
    "malformed-body": (400, "The body cannot be read"),
    "bad-request": (400, "The request cannot be used"),
    "unauthenticated": (401, "A credential is needed"),
    "insufficient-scope": (403, "The credential does not allow this"),
    "not-found": (404, "There is no such thing here"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "not-acceptable": (406, "No form of the answer that is offered is accepted"),
    "state-conflict": (409, "The state refuses this"),
    "approvals-missing": (409, "Approvals are missing"),
    "input-erased": (410, "The claim was erased"),
    "legal-hold": (409, "A legal hold keeps this"),
    "base-stale": (409, "Another publication came first"),
    "impact-missing": (409, "There is no impact analysis of this content"),
    "checks-failed": (409, "The content has no passed checks"),
    "change-request-open": (409, "Another change request stands"),
    "published-version-changed": (409, "A published version was edited"),
    "self-approval-forbidden": (403, "Nobody reviews their own work"),
    "effective-range-conflict": (422, "Windows of one rule overlap"),
    "content-invalid": (422, "The content cannot be published"),
    "precondition-failed": (412, "It is not the one you read"),
    "precondition-required": (428, "Say which one you read"),
    "idempotency-in-progress": (409, "Another request holds this idempotency key"),
    "payload-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The media type is not supported here"),
    "validation-error": (422, "The input cannot be used"),
    "idempotency-key-reused": (422, "The idempotency key was used with another body"),
    "internal": (500, "An unexpected fault"),
    "engine-fault": (500, "The engine could not judge the claim whole"),
    "not-ready": (503, "The service cannot take the request now"),
}
RETRY_AFTER_SECONDS = "1"
FHIR_MEDIA = "application/fhir+json"


class ProblemError(Exception):
    """A problem to answer with."""

    def __init__(self, slug: str, detail: str = "", issues: Sequence[Issue] = (), headers: dict[str, str] | None = None) -> None:
        super().__init__(slug)
        self.slug, self.detail, self.issues, self.headers = slug, detail, issues, headers or {}


def problem_document(slug: str, detail: str = "", issues: Sequence[Issue] = (), request_id: str | None = None) -> dict[str, Any]:
    """The members of a problem document."""
    status, title = TITLES[slug]
    document: dict[str, Any] = {"type": f"/problems/{slug}", "title": title, "status": status, "code": slug.replace("-", "_")}
    if detail:
        document["detail"] = detail
    if request_id is not None:
        document["request_id"] = request_id
    if issues:
        document["errors"] = [issue.plain() for issue in issues]
    return document


def problem_response(request: Request, error: ProblemError) -> Response:
    """The problem as a response; to a caller that speaks FHIR, as an OperationOutcome."""
    if f"{request.scope['path']}/".startswith("/fhir/"):
        status, title = TITLES[error.slug]
        return Response(msgspec.json.encode(refused(status, error.detail or title, error.issues)), status, error.headers, FHIR_MEDIA)
    document = problem_document(error.slug, error.detail, error.issues, request.scope.get("request_id"))
    return Response(msgspec.json.encode(document), TITLES[error.slug][0], error.headers, "application/problem+json")


def problem_of(error: RulesServiceError) -> ProblemError:
    """What a caller is told of an error of ours."""
    if isinstance(error, MalformedBody):
        return ProblemError("malformed-body", error.title, error.issues)
    if isinstance(error, (InvalidClaim, InputError)):
        return ProblemError("validation-error", error.title, error.issues)
    if isinstance(error, NotFound):
        return ProblemError("not-found")
    if isinstance(error, IdempotencyMismatch):
        return ProblemError("idempotency-key-reused")
    if isinstance(error, KeyTaken):
        return ProblemError("idempotency-in-progress", headers={"Retry-After": RETRY_AFTER_SECONDS})
    if isinstance(error, Refused):
        return ProblemError(error.code, error.detail, error.issues)
    if isinstance(error, StateConflict):
        return ProblemError("state-conflict")
    if isinstance(error, StorageUnavailable):
        return ProblemError(
            "not-ready",
            "The database cannot take the request now. Nothing was stored; send it again.",
            headers={"Retry-After": RETRY_AFTER_SECONDS},
        )
    if isinstance(error, EngineFault):
        return ProblemError("engine-fault", "The claim was not judged and nothing was stored.")
    return ProblemError("internal")


_BY_STATUS = {
    400: "bad-request",
    401: "unauthenticated",
    403: "insufficient-scope",
    404: "not-found",
    405: "method-not-allowed",
    413: "payload-too-large",
    415: "unsupported-media-type",
}


def answer_to(request: Request, error: Exception) -> Response | None:
    """The answer to an error raised while a request was handled; None for one nobody foresaw."""
    if isinstance(error, ProblemError):
        return problem_response(request, error)
    if isinstance(error, RulesServiceError):
        return problem_response(request, problem_of(error))
    if isinstance(error, ClientDisconnect):
        return Response(status_code=400)  # nobody reads it
    return None


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    async def on_error(request: Request, error: Exception) -> Response:
        return answer_to(request, error) or problem_response(request, ProblemError("internal"))

    async def on_validation(request: Request, error: Exception) -> Response:
        faults = error.errors() if isinstance(error, RequestValidationError) else []
        issues = [
            Issue(
                str(fault["type"]),
                "/".join(str(step) for step in fault["loc"] if not str(step).isdigit()),
                "The value does not have the form expected here.",
                "See /openapi.json.",
            )
            for fault in faults
        ]
        return problem_response(request, ProblemError("validation-error", issues=issues))

    async def on_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
        return problem_response(request, ProblemError(_BY_STATUS.get(status, "internal"), headers=headers))

    for kind in (ClientDisconnect, ProblemError, RulesServiceError, Exception):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
