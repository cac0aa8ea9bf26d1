"""POST /v1/claims/validate and /v1/claims/validate-batch: the hot path. Bodies are decoded by msgspec, answers are stored bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from rules_service.api.bodies import REPLAYED, idempotency_key, media_type, only_query, read_body
from rules_service.api.describe import json_answer, json_body, problems
from rules_service.api.problems import ProblemError, problem_document, problem_of
from rules_service.api.state import allowed, state_of
from rules_service.claim.claim import Claim
from rules_service.formats.native.json_claims import claim_of, claims_in_batch, lines_of, read_claims
from rules_service.primitives.errors import RulesServiceError, StorageUnavailable
from rules_service.services.validate_claim import Answered, ClaimValidator
from rules_service.storage.clients import Principal

router = APIRouter(tags=["claims"])
CHUNK = 64


@router.post(
    "/v1/claims/validate",
    operation_id="validateClaim",
    summary="Judge one claim against the payer's published rules",
    response_class=Response,
    responses=json_answer("Evaluation", "The evaluation, stored before it is sent", or_schema="ExplainedEvaluation")
    | problems(400, 401, 403, 413, 415, 422, 409, 503),
    openapi_extra=json_body(
        "Claim",
        "claims:validate",
        [
            ("mode", ["live", "dry_run"], "dry_run stores nothing and gives no id"),
            (
                "explain",
                ["none", "full"],
                "full adds each condition, the fixes that were tried, and the smallest change that makes the claim clean",
            ),
        ],
        idempotent=True,
    ),
)
async def validate_claim(request: Request) -> Response:
    """One claim in, one evaluation out. 200 also when there are findings."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    only_query(request, "mode", "explain")
    mode, explain = "live", "none"
    if request.scope["query_string"]:
        mode, explain = request.query_params.get("mode", mode), request.query_params.get("explain", explain)
    if mode not in ("live", "dry_run"):
        raise ProblemError("bad-request", "mode is live or dry_run.")
    if explain not in ("none", "full"):
        raise ProblemError("bad-request", "explain is none or full.")
    key = idempotency_key(request)
    body = await read_body(request, ("application/json",), state.settings.max_validate_bytes)
    claim = claim_of(body)
    if mode == "dry_run":
        claim = state.validator.received(claim)
        answered = await state.validator.dry_run(claim, principal)
    else:
        answered = await state.validator.validate(claim, principal, key)
    request.scope["catalog_epoch"] = answered.epoch
    headers = {}
    if answered.evaluation_id is not None:
        headers["Content-Location"] = f"/v1/evaluations/{answered.evaluation_id}"
    if answered.replayed:
        headers |= REPLAYED
    body = answered.body
    if explain == "full":
        body = await asyncio.to_thread(state.validator.explain_fully, principal.tenant_id, claim, answered)
    return Response(body, 200, headers, "application/json")


@router.post(
    "/v1/claims/validate-batch",
    operation_id="validateClaimBatch",
    summary="Judge many claims; one result per claim, in order",
    response_class=Response,
    responses=json_answer("BatchResult", "One result a claim; a bad claim fails alone", or_media="application/x-ndjson")
    | problems(400, 401, 403, 413, 415, 422, 503),
    openapi_extra=json_body("ClaimBatch", "claims:validate", [], ndjson="Claim", idempotent=True),
)
async def validate_batch(request: Request) -> Response:
    """`{"claims": [...]}` up to 100, or NDJSON up to the size limit, answered as a stream of lines."""
    principal = allowed(request, "claims:validate")
    state = state_of(request)
    only_query(request)
    key = idempotency_key(request)
    if media_type(request) == "application/x-ndjson":
        body = await read_body(request, ("application/x-ndjson",), state.settings.max_batch_bytes)
        request.scope["catalog_epoch"] = state.validator.snapshot(principal.tenant_id).epoch
        return StreamingResponse(_stream(lines_of(body), principal, state.validator, key), 200, media_type="application/x-ndjson")
    body = await read_body(request, ("application/json", "application/x-ndjson"), state.settings.max_batch_bytes)
    answers = await judge_read(read_claims(claims_in_batch(body)), principal, state.validator, 0, key)
    request.scope["catalog_epoch"] = state.validator.snapshot(principal.tenant_id).epoch
    return Response(b'{"results":[' + b",".join(results_of(answers)) + b"]}", 200, replayed(answers), "application/json")


async def _stream(texts: list[bytes], principal: Principal, validator: ClaimValidator, key: str | None) -> AsyncIterator[bytes]:
    for start in range(0, len(texts), CHUNK):
        await asyncio.sleep(0)  # a chunk without any claim awaits nothing; others must be answered in between
        answers = await judge_read(read_claims(texts[start : start + CHUNK]), principal, validator, start, key)
        yield b"\n".join(results_of(answers, start)) + b"\n"


async def judge_read(
    read: list[Claim | RulesServiceError], principal: Principal, validator: ClaimValidator, first: int, key: str | None
) -> list[Answered | RulesServiceError]:
    """One answer a claim that was read, or that could not be; `first` is the place of the first one in what was sent.

    They are stored in one transaction. Under an idempotency key each claim is stored once, by its place: a request that is sent again
    finds what was stored and does the rest.
    """
    claims = {number: item for number, item in enumerate(read, first) if isinstance(item, Claim)}
    answers: dict[int, Answered | RulesServiceError] = {}
    if key is None:
        try:
            answers = dict(zip(claims, await validator.validate_many(list(claims.values()), principal), strict=True))
        except StorageUnavailable as error:
            answers = dict.fromkeys(claims, error)  # nothing of the chunk was stored, and trying one by one would only wait longer
        except RulesServiceError:
            # One claim of the chunk cannot be judged: each alone, so that it fails alone.
            for number, claim in claims.items():
                answers[number] = await _alone(claim, principal, validator, None)
    else:
        place = hashlib.sha256(key.encode()).hexdigest() + "/{}"
        each = (_alone(claim, principal, validator, place.format(number)) for number, claim in claims.items())
        answers = dict(zip(claims, await asyncio.gather(*each), strict=True))
    return [item if isinstance(item, RulesServiceError) else answers[number] for number, item in enumerate(read, first)]


def replayed(answers: Sequence[Answered | RulesServiceError]) -> dict[str, str]:
    """The header that says so when every claim that could be judged has the answer it had before."""
    given = [one.replayed for one in answers if isinstance(one, Answered)]
    return REPLAYED if given and all(given) else {}


def results_of(answers: Sequence[Answered | RulesServiceError], first: int = 0) -> list[bytes]:
    """Each answer as a result with its place in what was sent."""
    return [_result(number, answer) for number, answer in enumerate(answers, first)]


async def _alone(claim: Claim, principal: Principal, validator: ClaimValidator, key: str | None) -> Answered | RulesServiceError:
    try:
        return await validator.validate(claim, principal, key)
    except RulesServiceError as error:
        return error


def _result(index: int, answer: Answered | RulesServiceError) -> bytes:
    if isinstance(answer, Answered):
        return b'{"index":%d,"status":200,"evaluation":%s}' % (index, answer.body)
    problem = problem_of(answer)
    document: dict[str, Any] = problem_document(problem.slug, problem.detail, problem.issues)
    return msgspec.json.encode({"index": index, "status": document["status"], "problem": document})
