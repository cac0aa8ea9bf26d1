"""Who starts jobs when they are due: a thread of the process on SQLite, procrastinate's workers on PostgreSQL. One interface.

The queue only starts; that a job runs once, how far it is and what it came to stand in its row (storage/jobs.py).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Protocol

import procrastinate
from psycopg.conninfo import make_conninfo
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from rules_service.primitives.errors import RulesServiceError
from rules_service.storage import jobs
from rules_service.storage.database import Database

logger = logging.getLogger(__name__)
TASK = "run_job"
QUEUE = "jobs"
CONCURRENCY = 3
"""Jobs a process runs at once."""
STALLED_SECONDS = 9.0
"""A worker that gives no sign of life for so long was killed: its task is started again."""

Run = Callable[[str, str], bool]
"""Runs (tenant, job); False when another runs it now."""


class JobQueue(Protocol):
    """Starts what is due."""

    def enqueue(self, connection: Connection, tenant_id: str, job_id: str, run_at: datetime) -> None:
        """Have a job run at an instant, from the caller's transaction on: what is rolled back never runs."""

    def start(self, run: Run) -> None:
        """Run jobs in this process until it is closed."""

    def close(self) -> None:
        """Finish the step that runs, then stop."""


class InProcessQueue:
    """A thread that looks for due jobs every so many seconds, and at once when one was made here."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._running: set[tuple[str, str]] = set()

    def enqueue(self, connection: Connection, tenant_id: str, job_id: str, run_at: datetime) -> None:
        """The row is the queue; the thread is only woken."""
        self._wake.set()

    def start(self, run: Run) -> None:
        """Begin to look."""
        self._thread = threading.Thread(target=self._work, args=(run,), name="jobs", daemon=True)
        self._thread.start()

    def _work(self, run: Run) -> None:
        # Several at once, so that a long analysis holds up no scheduled publication.
        with ThreadPoolExecutor(CONCURRENCY, "job") as pool:
            while not self._stop.is_set():
                self._wake.wait(self._seconds)
                self._wake.clear()
                try:
                    with self._database.reading() as connection:
                        due = jobs.runnable(connection, datetime.now(UTC))
                except RulesServiceError as error:
                    logger.warning("looking for jobs failed: %s", type(error).__name__)
                    continue
                for job in due:
                    if len(self._running) < CONCURRENCY and job not in self._running and not self._stop.is_set():
                        self._running.add(job)
                        pool.submit(self._run, run, job)

    def _run(self, run: Run, job: tuple[str, str]) -> None:
        try:
            run(*job)
        except RulesServiceError as error:
            logger.warning("running a job failed: %s", type(error).__name__)
        finally:
            self._running.discard(job)
            self._wake.set()

    def close(self) -> None:
        """Stop when the jobs that run have."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()


class HeldElsewhere(Exception):
    """Another runs the job, or did until it was killed: look again later."""


class ProcrastinateQueue:
    """procrastinate's tables in the schema `procrastinate`; a task an attempt. What a killed worker left is started again."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database = database
        self._seconds = seconds
        self._app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())
        self._defer = self._app.task(name=TASK, queue=QUEUE)(_not_here)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._main: asyncio.Task[None] | None = None

    def enqueue(self, connection: Connection, tenant_id: str, job_id: str, run_at: datetime) -> None:
        """Defer the task on the caller's own connection."""
        connection.exec_driver_sql("SET LOCAL search_path TO procrastinate, public")
        raw: Any = connection.connection.driver_connection
        self._defer.configure(connection=raw, schedule_at=run_at).defer(tenant_id=tenant_id, job_id=job_id)
        connection.exec_driver_sql("SET LOCAL search_path TO DEFAULT")

    def start(self, run: Run) -> None:
        """Run a worker in a thread of this process."""
        ready = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(run, ready), name="jobs", daemon=True)
        self._thread.start()
        ready.wait(30)

    def _work(self, run: Run, ready: threading.Event) -> None:
        async def main() -> None:
            self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
            ready.set()
            while True:
                try:
                    await self._run_worker(run)
                    return
                except Exception as error:  # noqa: BLE001  the database was away; the worker must come back
                    logger.warning("the job worker stopped: %s", type(error).__name__)
                    await asyncio.sleep(1)

        with suppress(asyncio.CancelledError):
            asyncio.run(main())

    async def _run_worker(self, run: Run) -> None:
        connector = procrastinate.PsycopgConnector(conninfo=_conninfo(self._database.url), min_size=1, max_size=4)
        app = procrastinate.App(connector=connector)
        wait = procrastinate.RetryStrategy(max_attempts=1_000, wait=max(1, int(self._seconds)), retry_exceptions={HeldElsewhere})

        @app.task(name=TASK, queue=QUEUE, retry=wait)
        def run_job(tenant_id: str, job_id: str) -> None:
            if not run(tenant_id, job_id):
                raise HeldElsewhere

        async def start_again() -> None:
            """Tasks of workers that were killed."""
            while True:
                for stalled in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
                    await app.job_manager.retry_job(stalled)
                await asyncio.sleep(STALLED_SECONDS / 2)

        async with app.open_async():
            looking = asyncio.create_task(start_again())
            try:
                await app.run_worker_async(
                    queues=[QUEUE], concurrency=CONCURRENCY, install_signal_handlers=False, fetch_job_polling_interval=max(0.2, self._seconds),
                    update_heartbeat_interval=STALLED_SECONDS / 3, stalled_worker_timeout=STALLED_SECONDS, delete_jobs="always",
                )  # fmt: skip
            finally:
                looking.cancel()

    def close(self) -> None:
        """Stop the worker after the job that runs."""
        if self._loop is not None and self._main is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)
        if self._thread is not None:
            self._thread.join()


def _not_here(tenant_id: str, job_id: str) -> None:
    """Only names the task: the worker's own function of this name runs it."""


def _conninfo(url: str) -> str:
    parsed = make_url(url).set(drivername="postgresql")
    return make_conninfo(parsed.render_as_string(hide_password=False), options="-c search_path=procrastinate,public")


def open_queue(database: Database, seconds: float) -> JobQueue:
    """The queue of this database."""
    return ProcrastinateQueue(database, seconds) if database.dialect == "postgresql" else InProcessQueue(database, seconds)
