"""The writer: durable before it returns, many requests a commit, stale catalogs handed back, keys used once."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from rules_service.primitives.errors import RulesServiceError, StorageUnavailable
from rules_service.storage import catalog
from rules_service.storage.database import Database
from rules_service.storage.evaluations import find_idempotent
from rules_service.storage.writer import EvaluationWriter, KeyTaken, StaleCatalog
from tests.storage.test_immutability import row


@pytest.fixture
def ready(database: Database) -> Database:
    with database.writing() as connection:
        catalog.ensure_tenant(connection, "t", "t", datetime.now(UTC))
        catalog.publish(connection, "t", catalog.EpochContent(), "tests", "test", datetime.now(UTC))
    return database


def stored(database: Database) -> set[str]:
    with database.reading() as connection:
        return set(connection.execute(text("SELECT evaluation_id FROM evaluation")).scalars())


def test_every_waiting_request_finds_its_row_stored(ready: Database) -> None:
    writer = EvaluationWriter(ready)

    async def work() -> None:
        await asyncio.gather(*(writer.store([row(f"ev_{n}")]) for n in range(300)))

    asyncio.run(work())
    writer.close()
    assert stored(ready) == {f"ev_{n}" for n in range(300)}


def test_an_evaluation_of_an_older_catalog_is_handed_back_and_others_are_stored(ready: Database) -> None:
    writer = EvaluationWriter(ready)

    async def work() -> list[object]:
        return await asyncio.gather(writer.store([row("ev_old", epoch=0)]), writer.store([row("ev_new")]), return_exceptions=True)

    first, second = asyncio.run(work())
    writer.close()
    assert isinstance(first, StaleCatalog)
    assert second is None
    assert stored(ready) == {"ev_new"}


def test_of_two_requests_with_one_idempotency_key_one_is_stored(ready: Database) -> None:
    writer = EvaluationWriter(ready)

    async def work() -> list[object]:
        return await asyncio.gather(
            *(writer.store([row(f"ev_{n}", key="once")]) for n in range(5)), writer.store([row("ev_other")]), return_exceptions=True
        )

    outcomes = asyncio.run(work())
    writer.close()
    assert sum(outcome is None for outcome in outcomes) == 2
    assert sum(isinstance(outcome, KeyTaken) for outcome in outcomes) == 4
    assert len(stored(ready)) == 2
    with ready.reading() as connection:
        assert find_idempotent(connection, "t", "cl_1", "once") is not None


def test_a_database_that_is_away_is_told_to_every_waiting_request(new_url) -> None:  # type: ignore[no-untyped-def]
    away = Database(new_url("sqlite"))  # never migrated: no table takes the row
    writer = EvaluationWriter(away)

    async def work() -> list[object]:
        return await asyncio.gather(*(writer.store([row(f"ev_{n}")]) for n in range(3)), return_exceptions=True)

    outcomes = asyncio.run(work())
    writer.close()
    assert all(isinstance(outcome, (StorageUnavailable, RulesServiceError)) for outcome in outcomes)


def test_a_locked_database_is_not_ready_and_takes_the_row_once_it_is_free(ready: Database) -> None:
    impatient = Database(ready.url, busy_milliseconds=50)
    holder = ready.engine.connect()
    holder.begin()
    if ready.dialect == "postgresql":
        holder.execute(text("LOCK TABLE evaluation IN ACCESS EXCLUSIVE MODE"))
    writer = EvaluationWriter(impatient)
    with pytest.raises(StorageUnavailable):
        asyncio.run(writer.store([row("ev_1")]))
    holder.rollback()
    holder.close()
    asyncio.run(writer.store([row("ev_1")]))
    writer.close()
    assert stored(ready) == {"ev_1"}
    impatient.close()
