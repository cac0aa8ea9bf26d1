"""Long works: how far they are, what they came to, and their end before time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, StreamingResponse

from rules_service.api import governance_schemas as g
from rules_service.api.bodies import only_query
from rules_service.api.openapi import ndjson_answer, problems, query, scoped
from rules_service.api.state import actor_of, needs, state_of
from rules_service.storage.clients import Principal
from rules_service.storage.jobs import JobRecord

router = APIRouter(tags=["jobs"], responses=problems(401, 403, 404))
Caller = Annotated[Principal, Depends(needs("jobs:read"))]
Canceller = Annotated[Principal, Depends(needs("jobs:cancel"))]
MAX_LISTED = 200


def job_answer(record: JobRecord) -> g.JobAnswer:
    """A job as it is answered."""
    return g.JobAnswer(**{name: getattr(record, name) for name in g.JobAnswer.model_fields})


def accepted(request: Request, caller: Principal, job_id: str) -> JSONResponse:
    """202 with the job that was made, and where it can be looked at."""
    record = state_of(request).jobs.read(actor_of(request, caller), job_id)
    return JSONResponse(job_answer(record).model_dump(mode="json"), 202, {"Location": f"/v1/jobs/{job_id}"})


@router.get("/v1/jobs", operation_id="listJobs", responses=problems(400), openapi_extra=scoped("jobs:read", parameters=[query("kind", "Those of this kind")]))  # fmt: skip
def list_jobs(request: Request, caller: Caller) -> g.JobList:
    """Jobs newest first, at most 200."""
    only_query(request, "kind")
    found = state_of(request).jobs.listed(actor_of(request, caller), request.query_params.get("kind"), MAX_LISTED)
    return g.JobList(data=[job_answer(record) for record in found])


@router.get("/v1/jobs/{job_id}", operation_id="getJob", openapi_extra=scoped("jobs:read"))
def get_job(job_id: str, request: Request, caller: Caller) -> g.JobAnswer:
    """One job."""
    return job_answer(state_of(request).jobs.read(actor_of(request, caller), job_id))


@router.get("/v1/jobs/{job_id}/results", operation_id="getJobResults", response_class=StreamingResponse, responses=ndjson_answer("One line a claim, as far as the job got"), openapi_extra=scoped("jobs:read"))  # fmt: skip
def get_results(job_id: str, request: Request, caller: Caller) -> StreamingResponse:
    """What each claim of the job came to."""
    state, actor = state_of(request), actor_of(request, caller)
    state.jobs.read(actor, job_id)
    return StreamingResponse(state.jobs.results(actor, job_id), media_type="application/x-ndjson")


@router.post("/v1/jobs/{job_id}/cancellation", operation_id="cancelJob", responses=problems(409), openapi_extra=scoped("jobs:cancel"))
def cancel_job(job_id: str, request: Request, caller: Canceller) -> g.JobAnswer:
    """Stop a job: at once when it waits, after its step when it runs. What it has done stays readable."""
    return job_answer(state_of(request).jobs.cancel(actor_of(request, caller), job_id))
