"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, TypeVar

import httpx

from rules_service.claim.service_check import ServiceCheck
from rules_service.client import calls
from rules_service.client.answers import ClaimResult, EvaluationSummary, Job, JobResult, read
from rules_service.client.calls import Call, ClaimLike
from rules_service.findings.evaluation import Evaluation
from rules_service.findings.service_answer import ServiceCheckAnswer

T = TypeVar("T")


class AsyncRulesClient:
    """Calls the service with one credential (API key or access token). What may be sent again is, `retries` times, with growing waits."""

    def __init__(self, base_url: str, credential: str, *, timeout: float = 30.0, retries: int = 3) -> None:
        self._retries = retries
        self._http = httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {credential}"}, timeout=timeout)

    async def __aenter__(self) -> AsyncRulesClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """Send a call, again if it may be; ServiceError when it is refused, httpx.TransportError when the service is not reached."""
        attempt = 0
        while True:
            response: httpx.Response | None = None
            try:
                response = await self._http.request(call.method, call.path, content=call.body, headers=call.headers, params=call.query)
            except httpx.TransportError:
                if calls.wait_before_again(call, attempt, self._retries, None) is None:
                    raise
            wait = calls.wait_before_again(call, attempt, self._retries, response)
            if response is not None and wait is None:
                return calls.answer_of(call, response)
            await asyncio.sleep(wait or 0.0)
            attempt += 1

    async def validate(self, claim: ClaimLike, *, dry_run: bool = False, idempotency_key: str | None = None) -> Evaluation:
        """Judge one claim. The same idempotency key and claim give the same evaluation again; `dry_run` stores nothing."""
        return await self.send(calls.validate(claim, dry_run, idempotency_key))

    async def validate_batch(self, claims: list[ClaimLike], *, idempotency_key: str | None = None) -> tuple[ClaimResult, ...]:
        """Judge up to 100 claims; one that cannot be read fails alone."""
        return await self.send(calls.validate_batch(claims, idempotency_key))

    async def validate_x12(self, interchange: bytes, *, idempotency_key: str | None = None) -> tuple[ClaimResult, ...]:
        """Judge every claim of an 837 file."""
        return await self.send(calls.validate_x12(interchange, idempotency_key))

    async def acknowledge_x12(self, interchange: bytes, *, idempotency_key: str | None = None) -> bytes:
        """The simulated 277CA of an 837 file."""
        return await self.send(calls.acknowledge_x12(interchange, idempotency_key))

    async def validate_fhir(self, resource: Mapping[str, Any], *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Judge a FHIR Claim or Bundle; an OperationOutcome."""
        return await self.send(calls.validate_fhir(resource, idempotency_key))

    async def check_services(self, check: ServiceCheck | Mapping[str, Any]) -> ServiceCheckAnswer:
        """Authorization, coverage and frequency of planned services."""
        return await self.send(calls.check_services(check))

    async def evaluation(self, evaluation_id: str) -> Evaluation:
        """A stored evaluation."""
        return await self.send(calls.evaluation(evaluation_id))

    async def explanation(self, evaluation_id: str) -> dict[str, Any]:
        """Each condition of each rule of a stored evaluation."""
        return await self.send(calls.explanation(evaluation_id))

    async def evaluations(self, **filters: str) -> AsyncIterator[EvaluationSummary]:
        """Stored evaluations newest first, page after page. Filters are those of `GET /v1/evaluations`."""
        before: str | None = None
        while True:
            page = await self.send(calls.evaluations(filters, before))
            for one in page.data:
                yield one
            before = page.next_before
            if before is None:
                return

    async def capabilities(self) -> dict[str, Any]:
        """What the service judges for the caller."""
        return await self.send(calls.capabilities())

    async def create_job(self, body: bytes, media: str = calls.NDJSON, *, idempotency_key: str | None = None) -> Job:
        """Have a file of claims judged by a job."""
        return await self.send(calls.create_job(body, media, idempotency_key))

    async def job(self, job_id: str) -> Job:
        """A job as it stands."""
        return await self.send(calls.job(job_id))

    async def cancel_job(self, job_id: str) -> Job:
        """End a job before time."""
        return await self.send(calls.cancel_job(job_id))

    async def wait_for_job(self, job_id: str, seconds: float = 600.0, every: float = 0.5) -> Job:
        """The job once it has ended; TimeoutError when it has not within the seconds."""
        ends = time.monotonic() + seconds
        while not (found := await self.job(job_id)).has_ended:
            if time.monotonic() > ends:
                raise TimeoutError(f"the job has not ended: {found.done} of {found.total}")
            await asyncio.sleep(every)
        return found

    async def job_results(self, job_id: str) -> AsyncIterator[JobResult]:
        """The results of a job, line by line, as far as it got."""
        async with self._http.stream("GET", calls.results_path(job_id)) as response:
            if not response.is_success:
                await response.aread()
                calls.answer_of(calls.job(job_id), response)
            async for line in response.aiter_lines():
                if line:
                    yield read(JobResult, line.encode())
