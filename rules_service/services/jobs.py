"""Long works: made in a transaction, run by whoever is free, step by step, each step once; seen, cancelled, taken up after a kill."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import RulesServiceError, StorageUnavailable
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.storage import audit_log, jobs, outbox
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.storage.job_queue import JobQueue
from rules_service.storage.jobs import JobRecord
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.workflow.news import News

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 20
LOST_AFTER = timedelta(seconds=60)


class JobStopped(Exception):
    """The job was cancelled, or another runner has taken it over: nothing more is to be done here."""


class JobInterrupted(Exception):
    """The process is being stopped: the job goes back to the queue, and on from the step it stored last."""


class JobRun:
    """One run of a job, as its handler sees it."""

    def __init__(
        self,
        database: Database,
        tenant_id: str,
        record: JobRecord,
        owner: str,
        lease_seconds: float,
        closing: threading.Event | None = None,
    ) -> None:
        self.tenant_id = tenant_id
        self.record = record
        self.parameters = record.parameters
        self._database = database
        self._owner = owner
        self._lease = lease_seconds
        self._closing = closing or threading.Event()

    def finished_steps(self) -> frozenset[int]:
        """Numbers of the steps that are stored already, by this run or an earlier one."""
        with self._database.reading() as connection:
            return frozenset(jobs.item_numbers(connection, self.tenant_id, self.record.job_id))

    def step(self, number: int, body: bytes, done: int, total: int, store: Callable[[Connection], None] | None = None) -> None:
        """Store what a step came to, with the progress, and in the same transaction what else it made. JobStopped when the job is no longer
        this run's, or is to be cancelled."""
        try:
            with self._database.writing() as connection:
                self._go_on(connection, done, total)
                if store is not None:
                    store(connection)
                jobs.add_item(connection, self.tenant_id, self.record.job_id, number, body)
        except IntegrityError:
            raise JobStopped from None  # another run stored this step
        self._go_on_here(done, total)

    def go_on(self, done: int, total: int) -> None:
        """Note progress of a work that stores no steps; JobStopped as above."""
        with self._database.writing() as connection:
            self._go_on(connection, done, total)
        self._go_on_here(done, total)

    def _go_on_here(self, done: int, total: int) -> None:
        if self._closing.is_set() and done < total:
            raise JobInterrupted

    def _go_on(self, connection: Connection, done: int, total: int) -> None:
        key = (self.tenant_id, self.record.job_id)
        if not jobs.renew(connection, *key, self._owner, now_utc(), self._lease, done=done, total=total):
            raise JobStopped
        if jobs.find(connection, *key).cancel_requested:
            raise JobStopped

    def steps(self) -> Iterator[tuple[int, bytes]]:
        """What every step came to, in order."""
        return _steps(self._database, self.tenant_id, self.record.job_id)


def _steps(database: Database, tenant_id: str, job_id: str) -> Iterator[tuple[int, bytes]]:
    """(number, body) of every step done, in order. No connection is held between two: a reader may be slow, or gone."""
    number = -1
    while True:
        with database.reading() as connection:
            found = jobs.item_after(connection, tenant_id, job_id, number)
        if found is None:
            return
        yield found
        number = found[0]


Handler = Callable[[JobRun], Mapping[str, Any]]
"""Does the work and gives the result, plain data without PHI."""
Teller = Callable[[JobRecord, Mapping[str, Any]], News | None]
"""What the outside is to hear of a job's result, besides that it finished."""


class Jobs:
    """Makes, runs and shows jobs."""

    def __init__(self, database: Database, queue: JobQueue, lease_seconds: float) -> None:
        self._database = database
        self._queue = queue
        self._lease = lease_seconds
        self._handlers: dict[str, Handler] = {}
        self._tellers: dict[str, Teller] = {}
        self._closing = threading.Event()

    def handle(self, kind: str, handler: Handler, teller: Teller | None = None) -> None:
        """Name who does a kind of job, and who tells the outside of its result."""
        self._handlers[kind] = handler
        if teller is not None:
            self._tellers[kind] = teller

    def start(self) -> None:
        """Run jobs in this process."""
        self._queue.start(self.run)

    def start_lost(self) -> None:
        """Hand every job that is long due to the queue again: its start may have been lost. Twice started is run once."""
        with self._database.writing() as connection:
            for tenant_id, job_id in jobs.runnable(connection, now_utc() - LOST_AFTER):
                self._queue.enqueue(connection, tenant_id, job_id, now_utc())

    def close(self) -> None:
        """Stop running jobs: each goes back to the queue after the step it is at."""
        self._closing.set()
        self._queue.close()

    def make(
        self,
        connection: Connection,
        tenant_id: str,
        who: str,
        kind: str,
        parameters: Mapping[str, Any],
        run_at: datetime | None = None,
        request: KeyedRequest | None = None,
    ) -> str:
        """A job of the caller's transaction: it exists, and is run, when that is committed. Its id. IntegrityError when the request
        made a job before."""
        if kind not in self._handlers:
            raise ValueError(f"nobody does jobs of kind {kind}")
        now = now_utc()
        job_id = jobs.add(connection, tenant_id, kind, parameters, run_at or now, who, now, request)
        self._queue.enqueue(connection, tenant_id, job_id, run_at or now)
        return job_id

    def read(self, actor: Actor, job_id: str) -> JobRecord:
        """One job."""
        with self._database.reading() as connection:
            return jobs.find(connection, actor.tenant_id, job_id)

    def listed(self, actor: Actor, kind: str | None, limit: int, made_by: str | None = None) -> list[JobRecord]:
        """Jobs newest first, of everybody or of one maker."""
        with self._database.reading() as connection:
            return jobs.listed(connection, actor.tenant_id, kind, limit, made_by)

    def results(self, actor: Actor, job_id: str) -> Iterator[bytes]:
        """Lines of JSON, one a claim or finding of the job, as far as it got."""
        for _, body in _steps(self._database, actor.tenant_id, job_id):
            if body:
                yield body + b"\n"

    def cancel(self, actor: Actor, job_id: str) -> JobRecord:
        """Stop a job: at once when it waits, after its step when it runs."""
        with audited_refusal(self._database, actor, "job.cancelled", "job", job_id), self._database.writing() as connection:
            now = now_utc()
            record = jobs.request_cancel(connection, actor.tenant_id, job_id, now)
            audit_log.append(connection, actor.tenant_id, now, actor.event("job.cancelled", "job", job_id, kind=record.kind))
            return record

    def run(self, tenant_id: str, job_id: str) -> bool:
        """Run a job to its end, unless it has ended; False when it is to be tried again: another runs it now, or the database is away."""
        try:
            return self._run(tenant_id, job_id)
        except StorageUnavailable:
            return False  # its lease runs out, and it is taken up again

    def _run(self, tenant_id: str, job_id: str) -> bool:
        owner = new_id("runner")
        with self._database.writing() as connection:
            record = jobs.take(connection, tenant_id, job_id, owner, now_utc(), self._lease)
            if record is None:
                return jobs.find(connection, tenant_id, job_id).state in jobs.ENDED
        try:
            if record.attempts > MAX_ATTEMPTS:
                self._finish(tenant_id, record, owner, "failed", None, "gave_up: every run of it was cut off")
            else:
                result = self._handlers[record.kind](JobRun(self._database, tenant_id, record, owner, self._lease, self._closing))
                self._finish(tenant_id, record, owner, "succeeded", result, None)
        except JobStopped:
            if self.is_cancelled(tenant_id, job_id):
                self._finish(tenant_id, record, owner, "cancelled", None, None)
        except JobInterrupted:
            with self._database.writing() as connection:
                if jobs.put_back(connection, tenant_id, job_id, owner, now_utc()):
                    self._queue.enqueue(connection, tenant_id, job_id, now_utc())
        except StorageUnavailable:
            raise
        except RulesServiceError as error:
            self._finish(tenant_id, record, owner, "failed", None, str(error))
        except Exception as error:  # noqa: BLE001  a job that cannot be done must end, and say so without what it held
            logger.warning("a job of kind %s failed: %s", record.kind, type(error).__name__)
            self._finish(tenant_id, record, owner, "failed", None, f"internal: {type(error).__name__}")
        return True

    def is_cancelled(self, tenant_id: str, job_id: str) -> bool:
        """True when somebody asked for its end."""
        with self._database.reading() as connection:
            return jobs.find(connection, tenant_id, job_id).cancel_requested

    def _finish(
        self, tenant_id: str, record: JobRecord, owner: str, state: jobs.JobState, result: Mapping[str, Any] | None, failure: str | None
    ) -> None:
        teller = self._tellers.get(record.kind)
        news = None if teller is None or result is None else teller(record, result)
        with self._database.writing() as connection:
            if jobs.renew(connection, tenant_id, record.job_id, owner, now_utc(), self._lease):  # still ours
                jobs.finish(connection, tenant_id, record.job_id, state, now_utc(), result, failure)
                if news is not None:
                    outbox.send_out(connection, tenant_id, news, now_utc())
