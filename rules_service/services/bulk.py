"""Many claims judged by a job: kept encrypted until they are, a hundred a step, each claim's evaluation stored with the step it is of, once.

A process that is killed leaves its step undone or done whole; another takes the job up after the lease.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value, encode_json
from rules_service.formats.x12.places import Position, finding_places, pointers_in
from rules_service.primitives.errors import EngineFault, InputError, Issue, StorageUnavailable
from rules_service.rendering.text import error_document
from rules_service.services.acting import Actor
from rules_service.services.claim_files import MAX_CLAIMS, FileClaim
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.services.validate_claim import ClaimValidator
from rules_service.storage import jobs
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database
from rules_service.storage.evaluations import EvaluationRow, insert_rows, standing_versions
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.storage.writer import StaleCatalog

KIND = "validate_claims"
STEP = 100
MAX_STALE_RETRIES = 20


ClaimsFile = Callable[[], Sequence[FileClaim]]
"""Reads what was sent."""


class _Entry(msgspec.Struct, array_like=True):
    """A claim of the file by its position and, in an 837, its segment and where its parts stand; or the problem that it could not be read."""

    index: int
    segment: int | None
    claim: Claim | None
    problem: dict[str, Any] | None
    places: dict[str, Position] = {}


class BulkValidation:
    """Makes and runs these jobs."""

    def __init__(self, database: Database, registry: SnapshotRegistry, validator: ClaimValidator, work: Jobs) -> None:
        self._database, self._registry, self._validator, self._jobs = database, registry, validator, work
        work.handle(KIND, self._run)

    def start(self, actor: Actor, file: ClaimsFile, request: KeyedRequest | None) -> tuple[str, bool]:
        """(job for the claims of a file, whether the same request made it before). IdempotencyMismatch when another body did."""
        made = self._made(actor, request)
        if made is not None:
            return made, True
        try:
            return self._start(actor, file(), request), False
        except IntegrityError:  # the same request, sent twice at once
            made = self._made(actor, request)
            if made is None:
                raise
            return made, True

    def _made(self, actor: Actor, request: KeyedRequest | None) -> str | None:
        if request is None:
            return None
        with self._database.reading() as connection:
            found = jobs.find_requested(connection, actor.tenant_id, actor.name, request.key)
        if found is None:
            return None
        job_id, sha256 = found
        request.must_have_sent(sha256)
        return job_id

    def _start(self, actor: Actor, read: Sequence[FileClaim], request: KeyedRequest | None) -> str:
        if not read or len(read) > MAX_CLAIMS:
            issue = Issue("claims", "", f"A job has 1 to {MAX_CLAIMS} claims.", "Send the claims in several jobs.")
            raise InputError("The job cannot be made", [issue])
        entries = [self._entry(index, one) for index, one in enumerate(read)]
        unreadable = sum(one.claim is None for one in entries)
        with self._database.writing() as connection:
            parameters = {"claims": len(entries), "unreadable": unreadable}
            job_id = self._jobs.make(connection, actor.tenant_id, actor.name, KIND, parameters, request=request)
            for number, at in enumerate(range(0, len(entries), STEP)):
                sealed = self._validator.cipher.seal(encode_json(entries[at : at + STEP]), actor.tenant_id, f"{job_id}/{number}")
                jobs.add_upload(connection, actor.tenant_id, job_id, number, sealed)
        return job_id

    def _entry(self, index: int, one: FileClaim) -> _Entry:
        segment, places = (None, {}) if one.read is None else (one.read.segment, dict(one.read.places))
        if isinstance(one.outcome, Claim):
            return _Entry(index, segment, self._validator.received(one.outcome), None, places)
        return _Entry(index, segment, None, error_document(one.outcome))

    def _run(self, run: JobRun) -> Mapping[str, Any]:
        total, finished, done = int(run.parameters["claims"]), run.finished_steps(), 0
        with self._database.reading() as connection:
            parts = jobs.uploads(connection, run.tenant_id, run.record.job_id)
        principal = Principal(run.tenant_id, run.record.created_by, frozenset())
        for number, sealed in parts:
            done = min(done + STEP, total)
            if number not in finished:
                body = self._validator.cipher.open(sealed, run.tenant_id, f"{run.record.job_id}/{number}")
                entries = msgspec.json.decode(body, type=list[_Entry], dec_hook=decode_value)
                self._step(run, number, entries, principal, done, total)
        told = Counter(str(msgspec.json.decode(line)["outcome"]) for _, body in run.steps() for line in body.split(b"\n") if line)
        return {"claims": total, "outcomes": dict(sorted(told.items()))}

    def _step(self, run: JobRun, number: int, entries: Sequence[_Entry], principal: Principal, done: int, total: int) -> None:
        for _ in range(MAX_STALE_RETRIES):
            snapshot = self._registry.refresh(run.tenant_id)
            rows: list[EvaluationRow] = []
            lines: list[dict[str, Any]] = []
            for entry in entries:
                told: dict[str, Any] = {"index": entry.index} | ({} if entry.segment is None else {"segment": entry.segment})
                problem, status = entry.problem, 422
                if entry.claim is not None:
                    try:
                        row = self._validator.judged(entry.claim, principal, snapshot)
                        rows.append(row)
                        stands = {} if entry.segment is None else {"places": finding_places(entry.places, pointers_in(row.body))}
                        lines.append(told | {"evaluation_id": row.evaluation_id, "outcome": row.outcome} | stands)
                        continue
                    except EngineFault as error:
                        problem, status = error_document(error), 500
                lines.append(told | {"outcome": "refused", "status": status, "problem": problem})

            def store(connection: Connection, rows: list[EvaluationRow] = rows) -> None:
                live = standing_versions(connection, {run.tenant_id}).get(run.tenant_id)
                if any((row.catalog_epoch, row.waivers_version) != live for row in rows):
                    raise StaleCatalog("the catalog moved on while the step was judged")
                if rows:
                    insert_rows(connection, rows, set())

            try:
                run.step(number, b"\n".join(map(msgspec.json.encode, lines)), done, total, store)
            except StaleCatalog:
                continue
            return
        raise StorageUnavailable("the catalog is being published faster than a step can be judged")

    def results(self, actor: Actor, job_id: str, names_the_claim: bool) -> Iterator[bytes]:
        """A line a claim, as far as the job got: its position and evaluation, or its problem."""
        for body in self._jobs.results(actor, job_id):
            for line in body.split(b"\n"):
                told = msgspec.json.decode(line) if line else None
                if told is not None and "evaluation_id" in told:
                    answered = self._validator.read(actor.tenant_id, told.pop("evaluation_id"), names_the_claim)
                    head = msgspec.json.encode({name: value for name, value in told.items() if name != "outcome"} | {"status": 200})
                    yield head[:-1] + b',"evaluation":' + answered.body + b"}\n"
                elif told is not None:
                    yield msgspec.json.encode({name: value for name, value in told.items() if name != "outcome"}) + b"\n"
