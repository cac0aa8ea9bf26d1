"""Stored evaluations judged again give the bytes that were given, whatever was published since, under any hash seed."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from rules_service.formats.native.json_claims import claim_of
from rules_service.packs.read import find_packs, read_pack
from rules_service.packs.samples import read_samples
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.scopes import SCOPES
from rules_service.reference.publishers import parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.services import replay as replay_module
from rules_service.services.acting import Actor
from rules_service.services.load_packs import load_samples, publish_packs
from rules_service.services.load_reference import Upload, load_parsed
from rules_service.services.replay import Replays
from rules_service.services.settings import Settings
from rules_service.services.validate_claim import open_validator
from rules_service.storage import catalog
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database
from tests.engine.test_evaluate import random_claim
from tests.support.server import PACKS, ROOT

TENANT = "t"
ACTOR = Actor(TENANT, "auditor", frozenset(SCOPES))
HOLD = frozenset({"reject", "deny_hard", "deny_soft"})


def judged(database: Database, folder: Path, count: int, seed: int) -> None:
    """Judge and store random claims."""
    _, writer, validator = open_validator(Settings(database_url=database.url, data_dir=folder), database)
    draw = random.Random(seed)

    async def run() -> None:
        principal = Principal(TENANT, "cl", frozenset(SCOPES))
        for _ in range(count // 50):
            await validator.validate_many([claim_of(random_claim(draw)) for _ in range(50)], principal)

    asyncio.run(run())
    writer.close()


def publish_more(database: Database) -> None:
    """A later publication, table edition and payer directory: rules end, a table is emptied, a payer's name goes to another."""
    one, sources = next((one, files) for one, files in read_samples(PACKS / "reference_samples") if one.name == "ncci_mue_practitioner")
    coverage = EffectivePeriod(one.coverage_from, one.coverage_through)
    lines = sources[0].data.splitlines(keepends=True)
    shorter = [SourceFile(sources[0].name, b"".join(lines[: max(2, len(lines) - 1)]))]
    upload = Upload(one.name, "later", coverage, parse_table(one.name, shorter, coverage), shorter)
    load_parsed(database, TENANT, upload, "tests", accept_census=True)
    pack = read_pack(PACKS / "example_commercial_ppo")
    pack.rules = [rule for rule in pack.rules if rule.file.id != "EX1-PA-001"]
    content = catalog.EpochContent(publications=[(pack.publication(), pack.tables, pack.files())])
    with database.writing() as connection:
        known = {payer.payer_id: payer for payer in catalog.payers(connection, TENANT, catalog.current_epoch(connection, TENANT))}
        content.payers.append(replace(known["EXAMPLE01"], aliases={}))
        content.payers.append(catalog.PayerRecord("OTHER", "Other", aliases=known["EXAMPLE01"].aliases))
        catalog.publish(connection, TENANT, content, "tests", "later", datetime.now(UTC))


def replays(database: Database, folder: Path) -> Replays:
    registry, writer, validator = open_validator(Settings(database_url=database.url, data_dir=folder), database)
    writer.close()
    return Replays(database, registry, validator.cipher, HOLD)


def verdicts(database: Database, folder: Path) -> dict[tuple[str, str | None], int]:
    """How many evaluations came to which verdict."""
    service = replays(database, folder)
    with database.reading() as connection:
        ids = list(connection.execute(text("SELECT evaluation_id FROM evaluation ORDER BY evaluation_id")).scalars())
    found: dict[tuple[str, str | None], int] = {}
    for evaluation_id in ids:
        replayed = service.replay(ACTOR, evaluation_id, "reproduce")
        found[replayed.verdict, replayed.reason] = found.get((replayed.verdict, replayed.reason), 0) + 1
    return found


@pytest.fixture
def stored(database: Database, tmp_path: Path) -> Database:
    load_samples(database, TENANT, PACKS / "reference_samples", "tests")
    publish_packs(database, TENANT, [read_pack(folder) for folder in find_packs(PACKS)], "tests")
    judged(database, tmp_path, 1_000, 1)
    publish_more(database)
    judged(database, tmp_path, 1_000, 2)
    publish_more(database)
    return database


def test_two_thousand_evaluations_are_reproduced_after_later_publications_tables_and_payers(stored: Database, tmp_path: Path) -> None:
    assert verdicts(stored, tmp_path) == {("reproduced", None): 2_000}
    # What was published since is not without effect: as known now, many of the first thousand come out otherwise.
    service = replays(stored, tmp_path)
    with stored.reading() as connection:
        ids = list(connection.execute(text("SELECT evaluation_id FROM evaluation ORDER BY evaluation_id LIMIT 200")).scalars())
    now = [service.replay(ACTOR, evaluation_id, "as_known_now") for evaluation_id in ids]
    assert {one.reason for one in now if one.verdict == "diverged"} == {"rules_changed"}
    assert sum(one.verdict == "diverged" for one in now) > 20


@pytest.mark.parametrize("seed", ["0", "1", "4242"])
def test_the_hash_seed_changes_no_replay(database: Database, tmp_path: Path, seed: str) -> None:
    load_samples(database, TENANT, PACKS / "reference_samples", "tests")
    publish_packs(database, TENANT, [read_pack(folder) for folder in find_packs(PACKS)], "tests")
    judged(database, tmp_path, 200, 3)
    publish_more(database)
    program = (
        "import sys; from pathlib import Path; from tests.governance.test_replay import verdicts; from rules_service.storage.database import Database\n"
        "database = Database(sys.argv[1]); print(verdicts(database, Path(sys.argv[2]))); database.close()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, database.url, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "{('reproduced', None): 200}", done.stderr[-2_000:]


def test_a_changed_engine_is_reported_and_never_hidden(stored: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = replays(stored, tmp_path)
    with stored.reading() as connection:
        row = connection.execute(
            text("SELECT evaluation_id FROM evaluation WHERE outcome = 'findings' ORDER BY evaluation_id LIMIT 1")
        ).first()
    assert row is not None
    monkeypatch.setattr(replay_module, "ENGINE_VERSION", "9.9.9+changed")
    same = service.replay(ACTOR, row.evaluation_id, "reproduce")
    assert (same.verdict, same.engine_now == same.engine_then) == ("reproduced", False)
    real = replay_module.plain

    def otherwise(judgement):  # type: ignore[no-untyped-def]
        """What an engine of other semantics would say: one finding less."""
        document = real(judgement)
        return {**document, "findings": document["findings"][1:]}

    monkeypatch.setattr(replay_module, "plain", otherwise)
    changed = service.replay(ACTOR, row.evaluation_id, "reproduce")
    assert (changed.verdict, changed.reason, changed.engine_now) == ("diverged", "engine_changed", "9.9.9+changed")
    assert changed.difference is not None
    assert len(changed.difference["findings_removed"]) == 1


def test_a_stored_evaluation_that_was_altered_is_not_called_reproduced(stored: Database, tmp_path: Path) -> None:
    with stored.engine.begin() as connection:
        if stored.dialect == "sqlite":
            connection.execute(text("DROP TRIGGER evaluation_no_update"))
        else:
            connection.execute(text("ALTER TABLE evaluation DISABLE TRIGGER USER"))
        row = connection.execute(
            text("SELECT evaluation_id, body FROM evaluation WHERE outcome = 'findings' ORDER BY evaluation_id LIMIT 1")
        ).first()
        assert row is not None
        altered = re.sub(rb'"severity":"[a-z_]+"', b'"severity":"info"', bytes(row.body))
        assert altered != bytes(row.body)
        connection.execute(text("UPDATE evaluation SET body = :b WHERE evaluation_id = :e"), {"b": altered, "e": row.evaluation_id})
    replayed = replays(stored, tmp_path).replay(ACTOR, row.evaluation_id, "reproduce")
    assert (replayed.verdict, replayed.reason) == ("diverged", "unexplained")
