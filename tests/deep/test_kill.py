"""kill -9 of the server under concurrent writers: every acknowledged evaluation is there afterwards."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from rules_service.storage.database import Database
from tests.support.builders import THREE_FINDINGS, claim_bytes
from tests.support.server import prepare, start

ROUNDS = 50
WRITERS = 8


@pytest.mark.deep
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_acknowledged_evaluation_is_lost(dialect: str, new_url: Callable[[str], str], tmp_path: Path) -> None:
    url = new_url(dialect)
    key = prepare(url)
    acknowledged: list[str] = []
    draw = random.Random(dialect)
    body = claim_bytes(lines=THREE_FINDINGS)

    def write(base_url: str, stop: threading.Event) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        with httpx.Client(base_url=base_url, headers=headers, timeout=10, trust_env=False) as client:
            while not stop.is_set():
                try:
                    answer = client.post("/v1/claims/validate", content=body)
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    acknowledged.append(answer.json()["evaluation_id"])

    for _ in range(ROUNDS):
        server = start(url, key, tmp_path / "data")
        stop = threading.Event()
        writers = [threading.Thread(target=write, args=(server.base_url, stop)) for _ in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.2 + 0.6 * draw.random())
        server.kill()
        stop.set()
        for writer in writers:
            writer.join()
    assert len(acknowledged) > ROUNDS  # enough to have lost one; how many depends on the machine
    database = Database(url)
    with database.reading() as connection:
        stored = set(connection.execute(text("SELECT evaluation_id FROM evaluation")).scalars())
        bodies = connection.execute(text("SELECT count(*) FROM claim_body")).scalar()
    database.close()
    assert set(acknowledged) <= stored
    assert bodies == len(stored)
