"""The calls of the client, without a connection: method, path, body, how the answer is read, and whether it may be sent again."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.claim.service_check import ServiceCheck
from rules_service.client.answers import Batch, ClaimResult, EvaluationPage, Job, Problem, ServiceError, X12Answer, problem_of_outcome, read
from rules_service.findings.evaluation import Evaluation
from rules_service.findings.service_answer import ServiceCheckAnswer

T = TypeVar("T")
JSON, NDJSON, X12, FHIR = "application/json", "application/x-ndjson", "application/edi-x12", "application/fhir+json"
AGAIN = frozenset({429, 502, 503, 504})
FIRST_WAIT, LONGEST_WAIT = 0.2, 10.0
ClaimLike = Claim | Mapping[str, Any]
"""A claim as its structure, or as JSON data."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call. `is_repeatable`: sent twice it does no more than once."""

    method: str
    path: str
    read: Callable[[bytes], T]
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True


def encoded(claim: ClaimLike) -> bytes:
    """A claim as a JSON body."""
    return encode_json(claim) if isinstance(claim, Claim) else msgspec.json.encode(claim)


def once(key: str | None) -> dict[str, str]:
    """The idempotency key of a call, its own when none is given, so that it may be sent again."""
    return {"Idempotency-Key": key or str(uuid.uuid4())}


def validate(claim: ClaimLike, dry_run: bool, key: str | None) -> Call[Evaluation]:
    """One claim."""
    keyed = {} if dry_run else once(key)
    query = {"mode": "dry_run"} if dry_run else {}
    return Call("POST", "/v1/claims/validate", lambda body: read(Evaluation, body), encoded(claim), {"Content-Type": JSON} | keyed, query)


def validate_batch(claims: list[ClaimLike], key: str | None) -> Call[tuple[ClaimResult, ...]]:
    """Up to 100 claims."""
    body = b'{"claims":[' + b",".join(map(encoded, claims)) + b"]}"
    return Call("POST", "/v1/claims/validate-batch", lambda answer: read(Batch, answer).results, body, {"Content-Type": JSON} | once(key))


def validate_x12(interchange: bytes, key: str | None) -> Call[tuple[ClaimResult, ...]]:
    """An 837 file."""
    headers = {"Content-Type": X12} | once(key)
    return Call("POST", "/v1/x12/837/validate", lambda answer: read(X12Answer, answer).evaluations, interchange, headers)


def acknowledge_x12(interchange: bytes, key: str | None) -> Call[bytes]:
    """An 837 file, answered by a simulated 277CA."""
    return Call("POST", "/v1/x12/837/validate", bytes, interchange, {"Content-Type": X12, "Accept": X12} | once(key))


def validate_fhir(resource: Mapping[str, Any], key: str | None) -> Call[dict[str, Any]]:
    """A FHIR Claim or Bundle, answered by an OperationOutcome."""
    body = msgspec.json.encode(resource)
    return Call("POST", "/fhir/Claim/$validate-policy", msgspec.json.decode, body, {"Content-Type": FHIR} | once(key))


def check_services(check: ServiceCheck | Mapping[str, Any]) -> Call[ServiceCheckAnswer]:
    """Planned services."""
    body = encode_json(check) if isinstance(check, ServiceCheck) else msgspec.json.encode(check)
    return Call("POST", "/v1/services/check", lambda answer: read(ServiceCheckAnswer, answer), body, {"Content-Type": JSON})


def _in_path(identifier: str) -> str:
    """An id as one part of a path, whatever it holds."""
    return quote(identifier, safe="")


def evaluation(evaluation_id: str) -> Call[Evaluation]:
    """A stored evaluation."""
    return Call("GET", f"/v1/evaluations/{_in_path(evaluation_id)}", lambda body: read(Evaluation, body))


def explanation(evaluation_id: str) -> Call[dict[str, Any]]:
    """Each condition of each rule of a stored evaluation."""
    return Call("GET", f"/v1/evaluations/{_in_path(evaluation_id)}/explanation", msgspec.json.decode)


def evaluations(filters: Mapping[str, str], before: str | None) -> Call[EvaluationPage]:
    """A page of stored evaluations."""
    return Call(
        "GET", "/v1/evaluations", lambda body: read(EvaluationPage, body), query=dict(filters) | ({"before": before} if before else {})
    )


def create_job(body: bytes, media: str, key: str | None) -> Call[Job]:
    """A file of claims, judged by a job."""
    return Call("POST", "/v1/jobs", lambda answer: read(Job, answer), body, {"Content-Type": media} | once(key))


def job(job_id: str) -> Call[Job]:
    """A job as it stands."""
    return Call("GET", f"/v1/jobs/{_in_path(job_id)}", lambda body: read(Job, body))


def cancel_job(job_id: str) -> Call[Job]:
    """The end of a job before time."""
    return Call("POST", f"/v1/jobs/{_in_path(job_id)}/cancellation", lambda body: read(Job, body), is_repeatable=False)


def results_path(job_id: str) -> str:
    """Where the results of a job stream from."""
    return f"/v1/jobs/{_in_path(job_id)}/results"


def capabilities() -> Call[dict[str, Any]]:
    """What the service judges for the caller."""
    return Call("GET", "/v1/capabilities", msgspec.json.decode)


def answer_of(call: Call[T], response: httpx.Response) -> T:
    """What a response says; ServiceError when it is a refusal."""
    if response.is_success:
        try:
            return call.read(response.content)
        except (msgspec.DecodeError, msgspec.ValidationError):
            problem = Problem(
                "The answer is not the service's", response.status_code, detail="Is this its address? Something between may answer."
            )
            raise ServiceError(problem, response.headers.get("request-id")) from None
    raise ServiceError(_problem(response), response.headers.get("request-id"))


def _problem(response: httpx.Response) -> Problem:
    """Why the service refused, as a problem document or, of a FHIR call, an OperationOutcome says it."""
    try:
        if response.headers.get("content-type", "").startswith(FHIR):
            return problem_of_outcome(response.content, response.status_code)
        return read(Problem, response.content)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return Problem("The service refused", response.status_code)


def wait_before_again(call: Call[Any], attempt: int, retries: int, response: httpx.Response | None) -> float | None:
    """Seconds until the call is sent again; None when it is not. `response` is None when there was none.

    A call that is not repeatable is sent again only when the service said that it did nothing (429, 503). 409 with Retry-After: the same
    request is being answered.
    """
    if attempt >= retries:
        return None
    in_progress = response is not None and response.status_code == 409 and "retry-after" in response.headers
    if response is not None and response.status_code not in AGAIN and not in_progress:
        return None
    if not call.is_repeatable and (response is None or response.status_code in (502, 504)):
        return None
    told = response.headers.get("retry-after", "") if response is not None else ""
    if told.isdigit() and int(told) > LONGEST_WAIT:
        return None  # sooner is not wanted, and nobody waits for so long here
    wait = float(told) if told.isdigit() else FIRST_WAIT * 2**attempt * (0.5 + random.random())  # noqa: S311  it spreads retries, nothing more
    return min(wait, LONGEST_WAIT)
