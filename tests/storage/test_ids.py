"""Identifiers sort as they were made."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from rules_service.storage.ids import first_id_at, new_id


def test_an_id_is_a_uuid_of_version_7_and_lies_at_its_instant() -> None:
    before = datetime.now(UTC)
    made = new_id("ev")
    number = uuid.UUID(made.removeprefix("ev_"))
    assert (number.version, number.variant) == (7, uuid.RFC_4122)
    assert first_id_at("ev", before) <= made < first_id_at("ev", before + timedelta(minutes=1))


def test_ids_of_one_process_increase_whichever_thread_makes_them() -> None:
    def make(_: int) -> list[str]:
        return [new_id("x") for _ in range(2_000)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert all(ids == sorted(ids) for ids in made)
    assert len({one for ids in made for one in ids}) == 16_000


def test_ids_increase_while_the_clock_stands_and_follow_it_when_it_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns() + 60_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now)
    still = [new_id("x") for _ in range(10_000)]
    assert still == sorted(set(still))
    monkeypatch.setattr(time, "time_ns", lambda: now - 2_000_000_000)
    assert new_id("x") > still[-1], "two seconds back"
    monkeypatch.setattr(time, "time_ns", lambda: now - 3_600_000_000_000)
    assert new_id("x") < still[0], "an hour back"
