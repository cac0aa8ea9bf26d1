"""Long works: how far they are, what they came to, and their end before time."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import REPLAYED, idempotency_key, keyed, media_type, only_query, read_body
from rules_service.api.describe import claims_file, problems, query, scoped, text_answer
from rules_service.api.state import actor_of, needs, permitted, state_of
from rules_service.formats.native.json_claims import lines_of, read_claims
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import NotFound
from rules_service.services.bulk import KIND as VALIDATE_CLAIMS
from rules_service.services.claim_files import MAX_CLAIMS, FileClaim
from rules_service.storage.clients import Principal
from rules_service.storage.jobs import JobRecord

router = APIRouter(tags=["jobs"], responses=problems(401, 403, 404))
Caller = Annotated[Principal, Depends(needs("jobs:read"))]
Canceller = Annotated[Principal, Depends(needs("jobs:cancel"))]
MAX_LISTED = 200
SEES_ALL = "rules:read"


def job_answer(record: JobRecord) -> g.JobAnswer:
    """A job as it is answered."""
    return g.JobAnswer(**{name: getattr(record, name) for name in g.JobAnswer.model_fields})


def _visible(request: Request, caller: Principal, job_id: str) -> JobRecord:
    """The job, for who may see it: those who work on rules see all, who sends claims the jobs it made; NotFound otherwise."""
    record = state_of(request).jobs.read(actor_of(request, caller), job_id)
    if SEES_ALL not in caller.scopes and record.created_by != caller.client_id:
        raise NotFound("no such job")
    return record


def accepted(request: Request, caller: Principal, job_id: str) -> JSONResponse:
    """202 with the job that was made, and where it can be looked at."""
    record = state_of(request).jobs.read(actor_of(request, caller), job_id)
    return JSONResponse(job_answer(record).model_dump(mode="json"), 202, {"Location": f"/v1/jobs/{job_id}"})


@router.get("/v1/jobs", operation_id="listJobs", responses=problems(400), openapi_extra=scoped("jobs:read", parameters=[query("kind", "Those of this kind")]))  # fmt: skip
def list_jobs(request: Request, caller: Caller) -> g.JobList:
    """Jobs newest first, at most 200."""
    only_query(request, "kind")
    made_by = None if SEES_ALL in caller.scopes else caller.client_id
    found = state_of(request).jobs.listed(actor_of(request, caller), request.query_params.get("kind"), MAX_LISTED, made_by)
    return g.JobList(data=[job_answer(record) for record in found])


@router.post(
    "/v1/jobs",
    operation_id="createJob",
    status_code=202,
    response_model=g.JobAnswer,
    responses=problems(400, 409, 413, 415, 422, 503),
    openapi_extra=claims_file("claims:validate", "Up to 50,000 claims: NDJSON, or 837 interchanges"),
)
async def create_job(request: Request) -> Response:
    """Judge a file of claims by a job: 202 with the job, whose results can be read while it runs. Each claim is evaluated once."""
    principal = await asyncio.to_thread(permitted, request, "claims:validate")
    state, actor = state_of(request), actor_of(request, principal)
    only_query(request)
    key = idempotency_key(request)
    body = await read_body(request, ("application/x-ndjson", "application/edi-x12"), state.settings.max_bulk_bytes)
    sent = None if key is None else await asyncio.to_thread(keyed, key, body)
    job_id, was_made = await asyncio.to_thread(state.bulk.start, actor, partial(_claims_sent, media_type(request), body), sent)
    answer = await asyncio.to_thread(accepted, request, principal, job_id)
    if was_made:
        answer.headers.update(REPLAYED)
    return answer


def _claims_sent(media: str, body: bytes) -> list[FileClaim]:
    if media == "application/edi-x12":
        return [FileClaim(one.outcome, one) for one in read_837(body, MAX_CLAIMS)]
    return [FileClaim(one) for one in read_claims(lines_of(body, MAX_CLAIMS))]


@router.get("/v1/jobs/{job_id}", operation_id="getJob", openapi_extra=scoped("jobs:read"))
def get_job(job_id: str, request: Request, caller: Caller) -> g.JobAnswer:
    """One job."""
    return job_answer(_visible(request, caller, job_id))


@router.get("/v1/jobs/{job_id}/results", operation_id="getJobResults", response_class=StreamingResponse, responses=text_answer("application/x-ndjson", "One line a claim, as far as the job got") | problems(400), openapi_extra=scoped("jobs:read"))  # fmt: skip
def get_results(job_id: str, request: Request, caller: Caller) -> StreamingResponse:
    """What each claim of the job came to."""
    only_query(request)
    state, actor = state_of(request), actor_of(request, caller)
    if _visible(request, caller, job_id).kind != VALIDATE_CLAIMS:
        return StreamingResponse(state.jobs.results(actor, job_id), media_type="application/x-ndjson")
    names_the_claim = bool(caller.scopes & {"claims:validate", "evaluations:read_input"})
    return StreamingResponse(state.bulk.results(actor, job_id, names_the_claim), media_type="application/x-ndjson")


@router.post("/v1/jobs/{job_id}/cancellation", operation_id="cancelJob", responses=problems(409), openapi_extra=scoped("jobs:cancel"))
def cancel_job(job_id: str, request: Request, caller: Canceller) -> g.JobAnswer:
    """Stop a job: at once when it waits, after its step when it runs. What it has done stays readable."""
    _visible(request, caller, job_id)
    return job_answer(state_of(request).jobs.cancel(actor_of(request, caller), job_id))
