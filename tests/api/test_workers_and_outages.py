"""The same findings from every database and number of workers; a database that is away gives 503 and no 200 without a commit."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from rules_service.packs.read import find_packs, read_pack
from rules_service.services.load_packs import publish_packs
from rules_service.storage import catalog
from rules_service.storage.database import Database
from tests.engine.test_evaluate import random_claim
from tests.support.builders import claim_bytes
from tests.support.server import PACKS, prepare, running


def told(url: str, data: Path, workers: int) -> list[dict]:
    """Answers without what is new each time: ids, lineage (its key is the installation's), instant."""
    draw = random.Random(3)
    with running(url, prepare(url), data, workers) as server, server.client() as client:
        answers = [
            client.post("/v1/claims/validate", content=random_claim(draw), headers={"Content-Type": "application/json"}).json()
            for _ in range(40)
        ]
    return [
        {name: value for name, value in answer.items() if name not in ("evaluation_id", "lineage_id", "evaluated_at")} for answer in answers
    ]


def test_findings_and_pins_are_the_same_on_both_databases_and_with_two_workers(new_url: Callable[[str], str], tmp_path: Path) -> None:
    seen = {
        json.dumps(told(new_url(dialect), tmp_path / f"{dialect}{workers}", workers), sort_keys=True)
        for dialect, workers in (("sqlite", 1), ("sqlite", 2), ("postgresql", 1))
    }
    assert len(seen) == 1


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_no_worker_answers_with_an_older_catalog_after_a_publication(dialect: str, new_url: Callable[[str], str], tmp_path: Path) -> None:
    url = new_url(dialect)
    with running(url, prepare(url), tmp_path / "data", workers=2) as server, server.client() as client:
        database = Database(url)
        for _ in range(3):
            for _ in range(10):
                client.post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"})
            with database.writing() as connection:
                epoch = catalog.publish(connection, "default", catalog.EpochContent(), "tests", "nothing new", datetime.now(UTC))
            for mode in ["live", "dry_run"] * 10:
                answer = client.post(
                    f"/v1/claims/validate?mode={mode}", content=claim_bytes(), headers={"Content-Type": "application/json"}
                )
                assert int(answer.headers["catalog-epoch"]) == answer.json()["pins"]["catalog_epoch"] == epoch
        database.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_locked_database_gives_503_with_retry_after_and_stores_nothing(
    dialect: str, new_url: Callable[[str], str], tmp_path: Path
) -> None:
    url = new_url(dialect)
    key = prepare(url)
    with running(url, key, tmp_path / "data") as server, server.client() as client:
        assert client.post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"}).status_code == 200
        database = Database(url)
        holder = database.engine.connect()
        holder.begin()
        if dialect == "postgresql":
            holder.execute(text("LOCK TABLE evaluation IN ACCESS EXCLUSIVE MODE"))
        answer = client.post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["retry-after"], answer.headers["content-type"]) == (503, "1", "application/problem+json")
        holder.rollback()
        holder.close()
        assert client.post("/v1/claims/validate", content=claim_bytes(), headers={"Content-Type": "application/json"}).status_code == 200
        with database.reading() as connection:
            assert connection.execute(text("SELECT count(*) FROM evaluation")).scalar() == 2
        database.close()


def test_a_full_disk_gives_503(new_url: Callable[[str], str]) -> None:
    import asyncio

    from rules_service.primitives.errors import StorageUnavailable
    from rules_service.storage.writer import EvaluationWriter
    from tests.storage.test_immutability import row

    database = Database(new_url("sqlite"), pool_size=1)
    database.migrate()
    publish_packs(database, "t", [read_pack(find_packs(PACKS)[0])], "tests")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    writer = EvaluationWriter(database)
    big = row("ev_1")
    big.body = b"x" * 1_000_000
    with pytest.raises(StorageUnavailable):
        asyncio.run(writer.store([big]))
    writer.close()
    with database.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM evaluation")).scalar() == 0
    database.close()
