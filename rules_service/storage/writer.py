"""One writer with group commit: requests wait for a durable commit, and many share one.

Batches form by themselves while the commit before runs; nothing lingers to fill one. The transaction also reads the
tenants' epochs and waiver versions: an evaluation made with older ones is handed back, not stored, so no answer that is given after a
publication rests on what was published before.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from dataclasses import dataclass

from sqlalchemy.exc import IntegrityError

from rules_service.primitives.errors import RulesServiceError, StorageUnavailable
from rules_service.storage.database import Database
from rules_service.storage.evaluations import EvaluationRow, insert_rows, standing_versions

MAX_BATCH = 256
MAX_WAITING = 4_096


class StaleCatalog(RulesServiceError):
    """The catalog moved on while the claim was judged: judge it again."""


class KeyTaken(RulesServiceError):
    """Another request stored an evaluation under this idempotency key first."""


@dataclass(slots=True, eq=False)
class _Waiting:
    rows: list[EvaluationRow]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class EvaluationWriter:
    """Stores evaluations from any event loop through one thread and one connection."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._known_pins: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._work, name="evaluation-writer", daemon=True)
        self._thread.start()

    async def store(self, rows: list[EvaluationRow]) -> None:
        """Return once the rows are committed, all or none. StaleCatalog, KeyTaken or StorageUnavailable when they are not."""
        if self._queue.qsize() > MAX_WAITING:
            raise StorageUnavailable("too many evaluations wait to be stored")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._queue.put(_Waiting(rows, loop, done))
        await done

    def close(self) -> None:
        """Store what waits, then stop."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            batch, size, closing = [first], len(first.rows), False
            while size < MAX_BATCH:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    closing = True
                    break
                batch.append(following)
                size += len(following.rows)
            self._store(batch)
            if closing:
                return

    def _store(self, batch: list[_Waiting]) -> None:
        outcomes: list[tuple[_Waiting, Exception | None]] = []
        try:
            outcomes = self._commit(batch)
        except IntegrityError:
            # One waiting request took another's idempotency key: each alone tells which.
            for waiting in batch:
                outcomes.append((waiting, self._alone(waiting)))
        except Exception as error:  # noqa: BLE001  whatever it is, the requests that wait must hear of it
            outcomes = [(waiting, error) for waiting in batch]
        wake: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[None], Exception | None]]] = {}
        for waiting, outcome in outcomes:
            wake.setdefault(waiting.loop, []).append((waiting.done, outcome))
        for loop, futures in wake.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_wake, futures)

    def _commit(self, batch: list[_Waiting]) -> list[tuple[_Waiting, Exception | None]]:
        with self._database.writing() as connection:
            live = standing_versions(connection, {row.tenant_id for waiting in batch for row in waiting.rows})
            stale = [
                waiting
                for waiting in batch
                if any((row.catalog_epoch, row.waivers_version) != live.get(row.tenant_id) for row in waiting.rows)
            ]
            fresh = [waiting for waiting in batch if waiting not in stale]
            rows = [row for waiting in fresh for row in waiting.rows]
            if rows:
                insert_rows(connection, rows, self._known_pins)
        self._known_pins.update((row.tenant_id, row.pins_sha256) for row in rows)
        return [(waiting, None) for waiting in fresh] + [(waiting, StaleCatalog("the catalog moved on")) for waiting in stale]

    def _alone(self, waiting: _Waiting) -> Exception | None:
        try:
            return self._commit([waiting])[0][1]
        except IntegrityError as error:
            keyed = any(row.idempotency_key is not None for row in waiting.rows)
            return KeyTaken("the idempotency key was used by another request") if keyed else error
        except Exception as error:  # noqa: BLE001  handed to the request that waits
            return error


def _wake(futures: list[tuple[asyncio.Future[None], Exception | None]]) -> None:
    for future, error in futures:
        if future.done():
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
