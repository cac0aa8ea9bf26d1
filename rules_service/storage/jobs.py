"""Repository of jobs. The job's row says who may run it; every step is stored in the transaction that renews its lease."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from rules_service.primitives.canonical import canonical_bytes
from rules_service.primitives.errors import NotFound, Refused
from rules_service.storage import job_tables as j
from rules_service.storage import outbox
from rules_service.storage import tables as t
from rules_service.storage.cipher import Sealed
from rules_service.storage.ids import new_id
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.workflow.news import JobFinished

_job = t.core(j.Job)
_item = t.core(j.JobItem)
_upload = t.core(j.JobUpload)

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: frozenset[JobState] = frozenset({"succeeded", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as it stands. `done` and `total` count what its kind counts: claims, evaluations, events."""

    job_id: str
    kind: str
    parameters: Mapping[str, Any]
    state: JobState
    done: int
    total: int | None
    failure: str | None
    result: Mapping[str, Any] | None
    cancel_requested: bool
    run_at: datetime
    attempts: int
    created_by: str
    created_at: datetime
    finished_at: datetime | None


def _record(row: Any) -> JobRecord:
    values = {name: getattr(row, name) for name in JobRecord.__slots__}
    values["parameters"] = msgspec.json.decode(row.parameters)
    values["result"] = None if row.result is None else msgspec.json.decode(row.result)
    return JobRecord(**values)


def add(
    connection: Connection,
    tenant_id: str,
    kind: str,
    parameters: Mapping[str, Any],
    run_at: datetime,
    who: str,
    now: datetime,
    request: KeyedRequest | None = None,
) -> str:
    """Store a job that waits for its time; its id. IntegrityError when the request made a job before."""
    job_id = new_id("jb")
    connection.execute(
        insert(_job).values(
            tenant_id=tenant_id, job_id=job_id, kind=kind, parameters=canonical_bytes(parameters), state="queued", done=0, cancel_requested=False,
            run_at=run_at, attempts=0, created_by=who, created_at=now, request_key=None if request is None else request.key,
            request_sha256=None if request is None else request.sha256,
        )
    )  # fmt: skip
    return job_id


def find_requested(connection: Connection, tenant_id: str, who: str, key: str) -> tuple[str, str] | None:
    """(job, SHA-256 of the body) of the request with this idempotency key."""
    where = (_job.c.tenant_id == tenant_id, _job.c.created_by == who, _job.c.request_key == key)
    row = connection.execute(select(_job.c.job_id, _job.c.request_sha256).where(*where)).first()
    return None if row is None else (row.job_id, row.request_sha256)


def find(connection: Connection, tenant_id: str, job_id: str, lock: bool = False) -> JobRecord:
    """One job; NotFound also for another tenant's."""
    query = select(_job).where(_job.c.tenant_id == tenant_id, _job.c.job_id == job_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    if row is None:
        raise NotFound("no such job")
    return _record(row)


def listed(connection: Connection, tenant_id: str, kind: str | None, limit: int, made_by: str | None = None) -> list[JobRecord]:
    """Jobs newest first, of everybody or of one maker."""
    query = select(_job).where(_job.c.tenant_id == tenant_id)
    if made_by is not None:
        query = query.where(_job.c.created_by == made_by)
    if kind is not None:
        query = query.where(_job.c.kind == kind)
    return [_record(row) for row in connection.execute(query.order_by(_job.c.job_id.desc()).limit(limit))]


def succeeded(connection: Connection, tenant_id: str, kind: str) -> list[JobRecord]:
    """The jobs of a kind that came to a result."""
    query = select(_job).where(_job.c.tenant_id == tenant_id, _job.c.kind == kind, _job.c.state == "succeeded")
    return [_record(row) for row in connection.execute(query.order_by(_job.c.job_id))]


def made_since(connection: Connection, tenant_id: str, kind: str, moment: datetime) -> bool:
    """Whether a job of a kind was made at an instant or later."""
    query = select(_job.c.job_id).where(_job.c.tenant_id == tenant_id, _job.c.kind == kind, _job.c.created_at >= moment)
    return connection.execute(query.limit(1)).first() is not None


def runnable(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """(tenant, job) of all that are due, or whose runner's lease ran out, oldest first."""
    due = and_(_job.c.state == "queued", _job.c.run_at <= now)
    left = and_(_job.c.state == "running", _job.c.lease_until <= now)
    rows = connection.execute(select(_job.c.tenant_id, _job.c.job_id).where(or_(due, left)).order_by(_job.c.run_at, _job.c.job_id))
    return [(row.tenant_id, row.job_id) for row in rows]


def take(connection: Connection, tenant_id: str, job_id: str, owner: str, now: datetime, seconds: float) -> JobRecord | None:
    """The job, now the owner's for the next seconds; None when it has ended, is not due, or another runs it."""
    due = or_(_job.c.state == "queued", and_(_job.c.state == "running", _job.c.lease_until <= now))
    taken = connection.execute(
        update(_job)
        .where(_job.c.tenant_id == tenant_id, _job.c.job_id == job_id, _job.c.run_at <= now, due)
        .values(state="running", owner=owner, lease_until=now + timedelta(seconds=seconds), attempts=_job.c.attempts + 1)
    )
    return find(connection, tenant_id, job_id) if taken.rowcount else None


def renew(connection: Connection, tenant_id: str, job_id: str, owner: str, now: datetime, seconds: float, **values: Any) -> bool:
    """Lengthen the lease and note progress; False when the job is no longer the owner's."""
    values["lease_until"] = now + timedelta(seconds=seconds)
    key = (_job.c.tenant_id == tenant_id, _job.c.job_id == job_id, _job.c.owner == owner, _job.c.state == "running")
    return connection.execute(update(_job).where(*key).values(**values)).rowcount == 1


def put_back(connection: Connection, tenant_id: str, job_id: str, owner: str, now: datetime) -> bool:
    """Let go of a job before its end, for whoever is free; False when it is no longer the owner's."""
    key = (_job.c.tenant_id == tenant_id, _job.c.job_id == job_id, _job.c.owner == owner, _job.c.state == "running")
    values = {"state": "queued", "owner": None, "lease_until": None, "run_at": now, "attempts": _job.c.attempts - 1}
    return connection.execute(update(_job).where(*key).values(**values)).rowcount == 1


def finish(
    connection: Connection,
    tenant_id: str,
    job_id: str,
    state: JobState,
    now: datetime,
    result: Mapping[str, Any] | None,
    failure: str | None,
) -> None:
    """End a job and tell the outside; what was uploaded for it is erased."""
    connection.execute(
        update(_job)
        .where(_job.c.tenant_id == tenant_id, _job.c.job_id == job_id)
        .values(state=state, finished_at=now, owner=None, lease_until=None, failure=failure, result=None if result is None else canonical_bytes(result))
    )  # fmt: skip
    connection.execute(delete(_upload).where(_upload.c.tenant_id == tenant_id, _upload.c.job_id == job_id))
    kind = connection.execute(select(_job.c.kind).where(_job.c.tenant_id == tenant_id, _job.c.job_id == job_id)).scalar_one()
    outbox.send_out(connection, tenant_id, JobFinished(job_id=job_id, kind=kind, state=state), now)


def request_cancel(connection: Connection, tenant_id: str, job_id: str, now: datetime) -> JobRecord:
    """Cancel a job that waits, or ask the one that runs to stop after its step. Refused when it has ended."""
    record = find(connection, tenant_id, job_id, lock=True)
    if record.state in ENDED:
        raise Refused("state-conflict", f"The job has ended: it is {record.state}.")
    if record.state == "queued":
        finish(connection, tenant_id, job_id, "cancelled", now, None, None)
    else:
        connection.execute(update(_job).where(_job.c.tenant_id == tenant_id, _job.c.job_id == job_id).values(cancel_requested=True))
    return find(connection, tenant_id, job_id)


def add_item(connection: Connection, tenant_id: str, job_id: str, number: int, body: bytes) -> None:
    """Store what a step came to; a step done before cannot be stored again."""
    connection.execute(insert(_item).values(tenant_id=tenant_id, job_id=job_id, number=number, body=body))


def item_numbers(connection: Connection, tenant_id: str, job_id: str) -> list[int]:
    """The numbers of the steps done, in order."""
    query = select(_item.c.number).where(_item.c.tenant_id == tenant_id, _item.c.job_id == job_id).order_by(_item.c.number)
    return list(connection.execute(query).scalars())


def item_after(connection: Connection, tenant_id: str, job_id: str, number: int) -> tuple[int, bytes] | None:
    """(number, body) of the first step done behind a number; None when there is none."""
    query = select(_item.c.number, _item.c.body).where(_item.c.tenant_id == tenant_id, _item.c.job_id == job_id, _item.c.number > number)
    row = connection.execute(query.order_by(_item.c.number).limit(1)).first()
    return None if row is None else (row.number, row.body)


def add_upload(connection: Connection, tenant_id: str, job_id: str, number: int, sealed: Sealed) -> None:
    """Store a sealed part of what was sent for a job."""
    values = {"key_id": sealed.key_id, "nonce": sealed.nonce, "ciphertext": sealed.ciphertext}
    connection.execute(insert(_upload).values(tenant_id=tenant_id, job_id=job_id, number=number, **values))


def uploads(connection: Connection, tenant_id: str, job_id: str) -> list[tuple[int, Sealed]]:
    """The sealed parts of what was sent for a job, in order."""
    query = select(_upload).where(_upload.c.tenant_id == tenant_id, _upload.c.job_id == job_id).order_by(_upload.c.number)
    return [(row.number, Sealed(row.key_id, row.nonce, row.ciphertext)) for row in connection.execute(query)]
