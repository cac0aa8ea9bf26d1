"""Jobs: each step once, whoever runs them, however often they are killed; progress and cancellation."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from rules_service.primitives.errors import InputError, Refused, StorageUnavailable
from rules_service.services.acting import Actor
from rules_service.services.jobs import MAX_ATTEMPTS, JobRun, Jobs, JobStopped
from rules_service.storage import catalog, jobs
from rules_service.storage.database import Database
from rules_service.storage.job_queue import open_queue
from tests.support.server import ROOT

TENANT = "t"
ACTOR = Actor(TENANT, "somebody", frozenset())


@pytest.fixture
def work(database: Database) -> Iterator[Jobs]:
    with database.writing() as connection:
        catalog.ensure_tenant(connection, TENANT, TENANT, datetime.now(UTC))
    opened = Jobs(database, open_queue(database, 0.1), 60)
    yield opened
    opened.close()


def made(work: Jobs, database: Database, kind: str = "count", at: datetime | None = None, **parameters: Any) -> str:
    with database.writing() as connection:
        return work.make(connection, TENANT, "somebody", kind, parameters, at)


def counting(run: JobRun) -> dict[str, Any]:
    """Ten steps."""
    finished = run.finished_steps()
    for number in range(10):
        if number not in finished:
            run.step(number, b"%d" % number, number + 1, 10)
    return {"steps": len(list(run.steps()))}


def let_the_lease_run_out(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(text("UPDATE job SET lease_until = '2020-01-01 00:00:00+00'"))


def test_a_job_runs_once_and_tells_how_far_it_is(work: Jobs, database: Database) -> None:
    work.handle("count", counting)
    job = made(work, database, size=10)
    assert work.read(ACTOR, job).state == "queued"
    assert work.run(TENANT, job)
    record = work.read(ACTOR, job)
    assert (record.state, record.done, record.total, record.result, record.parameters) == ("succeeded", 10, 10, {"steps": 10}, {"size": 10})
    assert list(work.results(ACTOR, job)) == [b"%d\n" % number for number in range(10)]
    assert work.run(TENANT, job), "it has ended: nothing is left to do"
    assert work.read(ACTOR, job).attempts == 1


def test_a_job_that_was_rolled_back_never_was(work: Jobs, database: Database) -> None:
    work.handle("count", counting)
    with pytest.raises(RuntimeError), database.writing() as connection:
        work.make(connection, TENANT, "somebody", "count", {})
        raise RuntimeError
    work.start()
    time.sleep(0.5)
    assert work.listed(ACTOR, None, 10) == []
    with pytest.raises(ValueError, match="nobody does jobs of kind"), database.writing() as connection:
        work.make(connection, TENANT, "somebody", "unknown", {})


def test_the_queue_starts_what_is_due_and_leaves_what_is_not(work: Jobs, database: Database) -> None:
    done = threading.Event()
    work.handle("count", lambda run: done.set() or {})
    work.start()
    later = made(work, database, at=datetime.now(UTC) + timedelta(days=1))
    soon = made(work, database, at=datetime.now(UTC) + timedelta(seconds=1))
    assert done.wait(30)
    deadline = time.monotonic() + 10
    while work.read(ACTOR, soon).state != "succeeded" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [work.read(ACTOR, one).state for one in (soon, later)] == ["succeeded", "queued"]


def test_a_run_that_was_cut_off_is_taken_up_where_it_stopped_and_no_step_is_done_twice(work: Jobs, database: Database) -> None:
    done: list[int] = []

    def cut_off(run: JobRun) -> dict[str, Any]:
        finished = run.finished_steps()
        for number in range(10):
            if number not in finished:
                done.append(number)
                run.step(number, b"x", number + 1, 10)
                if len(done) == 4:
                    raise StorageUnavailable("away")
        return {}

    work.handle("count", cut_off)
    job = made(work, database)
    assert not work.run(TENANT, job)
    assert (work.read(ACTOR, job).state, work.read(ACTOR, job).done) == ("running", 4)
    assert not work.run(TENANT, job), "its lease has not run out"
    let_the_lease_run_out(database)
    assert work.run(TENANT, job)
    assert done == list(range(10))
    assert (work.read(ACTOR, job).state, work.read(ACTOR, job).attempts) == ("succeeded", 2)


def test_a_run_whose_job_was_taken_over_stops_and_changes_nothing(work: Jobs, database: Database) -> None:
    first: list[JobRun] = []

    def slow(run: JobRun) -> dict[str, Any]:
        if not first:
            first.append(run)
            let_the_lease_run_out(database)
            assert work.run(TENANT, run.record.job_id), "another runner takes it and ends it"
            with pytest.raises(JobStopped):
                run.step(0, b"late", 1, 1)
            raise JobStopped
        run.step(0, b"first", 1, 1)
        return {"by": "the second"}

    work.handle("count", slow)
    job = made(work, database)
    work.run(TENANT, job)
    assert (work.read(ACTOR, job).state, work.read(ACTOR, job).result) == ("succeeded", {"by": "the second"})
    assert list(work.results(ACTOR, job)) == [b"first\n"]


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_after_its_step(work: Jobs, database: Database) -> None:
    def cancelled(run: JobRun) -> dict[str, Any]:
        run.step(0, b"0", 1, 2)
        assert work.cancel(ACTOR, run.record.job_id).cancel_requested
        run.step(1, b"1", 2, 2)
        return {}

    work.handle("count", cancelled)
    waiting, running = made(work, database), made(work, database)
    assert work.cancel(ACTOR, waiting).state == "cancelled"
    assert work.run(TENANT, waiting)
    work.run(TENANT, running)
    assert (work.read(ACTOR, running).state, list(work.results(ACTOR, running))) == ("cancelled", [b"0\n"])
    with pytest.raises(Refused, match="state-conflict"):
        work.cancel(ACTOR, running)


def test_a_process_that_stops_puts_its_job_back_and_another_goes_on_from_its_last_step(work: Jobs, database: Database) -> None:
    def stopped(run: JobRun) -> dict[str, Any]:
        finished = run.finished_steps()
        for number in range(3):
            if number not in finished:
                if number == 1 and not finished:
                    work.close()
                run.step(number, b"%d" % number, number + 1, 3)
        return {"finished_before": len(finished)}

    work.handle("count", stopped)
    job = made(work, database)
    assert work.run(TENANT, job)
    assert (work.read(ACTOR, job).state, work.read(ACTOR, job).done) == ("queued", 2)
    other = Jobs(database, open_queue(database, 0.1), 60)
    other.handle("count", stopped)
    assert other.run(TENANT, job)
    assert (other.read(ACTOR, job).state, other.read(ACTOR, job).result, other.read(ACTOR, job).attempts) == (
        "succeeded",
        {"finished_before": 2},
        1,
    )


def test_a_job_whose_start_was_lost_is_started_again(work: Jobs, database: Database) -> None:
    done = threading.Event()
    work.handle("count", lambda run: done.set() or {})
    with database.writing() as connection:  # a row without its task, as after a failed start
        jobs.add(connection, TENANT, "count", {}, datetime.now(UTC) - timedelta(minutes=5), "somebody", datetime.now(UTC))
    work.start_lost()
    work.start()
    assert done.wait(30)


def test_a_database_that_is_away_when_a_job_begins_or_ends_leaves_it_to_be_tried_again(
    work: Jobs, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    work.handle("count", counting)
    job = made(work, database)

    def away(*_: object, **__: object) -> Any:
        raise StorageUnavailable("away")

    for name in ("take", "finish"):
        with monkeypatch.context() as patch:
            patch.setattr(jobs, name, away)
            assert work.run(TENANT, job) is False
        let_the_lease_run_out(database)
    assert work.run(TENANT, job)
    assert work.read(ACTOR, job).state == "succeeded"


def test_a_long_job_holds_up_no_other(work: Jobs, database: Database) -> None:
    release, done = threading.Event(), threading.Event()
    work.handle("long", lambda run: {"released": release.wait(60)})
    work.handle("short", lambda run: done.set() or {})
    work.start()
    made(work, database, "long")
    time.sleep(0.5)
    made(work, database, "short")
    try:
        assert done.wait(30)
    finally:
        release.set()


def test_a_job_that_fails_says_why_without_what_it_held(work: Jobs, database: Database) -> None:
    def refused(run: JobRun) -> dict[str, Any]:
        raise InputError("The draft cannot be read")

    def broken(run: JobRun) -> dict[str, Any]:
        raise KeyError("JANE SAMPLE")

    work.handle("refused", refused)
    work.handle("broken", broken)
    first, second = made(work, database, "refused"), made(work, database, "broken")
    for job in (first, second):
        assert work.run(TENANT, job)
    assert [(work.read(ACTOR, job).state, work.read(ACTOR, job).failure) for job in (first, second)] == [
        ("failed", "The draft cannot be read"),
        ("failed", "internal: KeyError"),
    ]


def test_a_job_that_is_cut_off_every_time_is_given_up(work: Jobs, database: Database) -> None:
    def cut_off(run: JobRun) -> dict[str, Any]:
        raise StorageUnavailable("away")

    work.handle("count", cut_off)
    job = made(work, database)
    for _ in range(MAX_ATTEMPTS):
        assert not work.run(TENANT, job)
        let_the_lease_run_out(database)
    assert work.run(TENANT, job)
    assert str(work.read(ACTOR, job).failure).startswith("gave_up")


WORKER = """
import sys, time, os
from rules_service.services.jobs import Jobs
from rules_service.storage.database import Database
from rules_service.storage.job_queue import open_queue
database = Database(sys.argv[1])
work = Jobs(database, open_queue(database, 0.2), 2)
def handler(run):
    finished = run.finished_steps()
    for number in range(40):
        if number not in finished:
            time.sleep(0.05)
            run.step(number, str(os.getpid()).encode(), number + 1, 40)
    return {"steps": len(list(run.steps()))}
work.handle("count", handler)
work.start()
print("ready", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_jobs_survive_kill_9_of_their_workers_and_every_step_is_done_once(
    dialect: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    database = Database(new_url(dialect))
    database.migrate()
    with database.writing() as connection:
        catalog.ensure_tenant(connection, TENANT, TENANT, datetime.now(UTC))
    work = Jobs(database, open_queue(database, 0.2), 2)
    work.handle("count", counting)
    made_jobs = [made(work, database) for _ in range(3)]
    workers: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        workers.append(
            subprocess.Popen([sys.executable, "-c", WORKER, database.url], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
        )

    try:
        for _ in range(2):
            start()
        deadline, killed = time.monotonic() + 120, 0
        while time.monotonic() < deadline:
            states = [work.read(ACTOR, job) for job in made_jobs]
            if all(one.state == "succeeded" for one in states):
                break
            running = [one for one in states if one.state == "running" and one.done > 5 * (killed + 1)]
            if running and killed < 3:
                os.killpg(workers[killed].pid, signal.SIGKILL)
                killed += 1
                start()
            time.sleep(0.1)
        assert killed == 3
        assert [one.state for one in states] == ["succeeded"] * 3
        with database.reading() as connection:
            for job in made_jobs:
                assert jobs.item_numbers(connection, TENANT, job) == list(range(40))
        assert max(one.attempts for one in states) > 1
    finally:
        for worker in workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        work.close()
        database.close()
