"""Ways to alter evaluations and their seals behind the triggers: each is found and located."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text

from rules_service.services.acting import Actor
from rules_service.services.jobs import Jobs
from rules_service.services.sealing import Sealing
from rules_service.storage import catalog, evidence
from rules_service.storage.database import Database
from rules_service.storage.evaluations import insert_rows
from rules_service.storage.ids import new_id
from rules_service.storage.job_queue import open_queue
from tests.governance.people import run_waiting
from tests.storage.test_immutability import row

TENANT = "t"
AUDITOR = Actor(TENANT, "auditor", frozenset())
BODY = b'{"findings":[{"rule_id":"R-1","rule_version":2,"code":"x.y","severity":"warn","finding_key":"k1","amount_at_risk":"12.50"}]}'
PREVIEW = b'[{"rule_id":"R-9","rule_version":1,"code":"p.q","severity":"pend","finding_key":"k9","amount_at_risk":"0.00"}]'


class Office:
    """Evaluations, their sealer and their verifier."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.jobs = Jobs(database, open_queue(database, 1), 60)
        self.sealing = Sealing(database, Ed25519PrivateKey.generate(), self.jobs)
        with database.writing() as connection:
            catalog.ensure_tenant(connection, TENANT, TENANT, datetime.now(UTC))

    def judge(self, count: int) -> list[str]:
        rows = []
        for _ in range(count):
            one = row(new_id("ev"))
            one.body, one.preview = BODY, PREVIEW
            rows.append(one)
        with self.database.writing() as connection:
            insert_rows(connection, rows, set())
        return [one.evaluation_id for one in rows]

    def verified(self, kept: dict[int, str] | None = None) -> dict[str, Any]:
        self.sealing.start_verification(AUDITOR, kept or {})
        return dict(run_waiting(self.database, self.jobs, TENANT)[-1].result or {})

    def behind_the_triggers(self, *statements: str) -> None:
        """What somebody with the database's own password can do."""
        tables = ("seal", "seal_leaf", "evaluation", "finding_entry")
        with self.database.engine.begin() as connection:
            if self.database.dialect == "postgresql":
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            else:
                for name in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all():
                    if name.startswith(tables):
                        connection.execute(text(f"DROP TRIGGER {name}"))
                connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for statement in statements:
                connection.execute(text(statement))


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    opened = Office(database)
    for _ in range(3):
        opened.judge(4)
        opened.sealing.seal(TENANT)
    yield opened
    opened.jobs.close()


def test_what_is_untouched_holds_and_every_evaluation_is_sealed_once(office: Office) -> None:
    found = office.verified()
    assert (found["holds"], found["seals"], found["evaluations"], found["not_yet_sealed"]) == (True, 3, 12, 0)
    assert office.sealing.seal_all() == 0
    late = sorted(office.judge(2))
    assert office.verified()["not_yet_sealed"] == 2
    assert office.sealing.seal_all() == 2
    with office.database.reading() as connection:
        places = [evidence.leaf_of(connection, TENANT, one) for one in late]
        assert [(place.number, place.position) for place in places if place] == [(4, 0), (4, 1)]


def test_an_evaluation_committed_late_is_sealed_all_the_same(office: Office) -> None:
    """Its id was made before those of a seal that is there already."""
    early = row(new_id("ev"))
    early.body = BODY
    office.judge(1)
    office.sealing.seal(TENANT)
    with office.database.writing() as connection:
        insert_rows(connection, [early], set())
    assert office.sealing.seal(TENANT) == 1


def test_findings_are_listed_by_rule_and_what_a_preview_found_stands_apart(office: Office) -> None:
    with office.database.reading() as connection:
        assert len(evidence.search(connection, TENANT, 100, rule_id="R-1")) == 12
        assert evidence.search(connection, TENANT, 100, rule_id="R-9") == []
        previewed = evidence.preview_findings(connection, TENANT, "R-9", datetime(2020, 1, 1, tzinfo=UTC))
    assert {one[1:] for one in previewed} == {("p.q", "pend", 0)}


ALTERATIONS = {
    "an evaluation's body": (["UPDATE evaluation SET body = preview WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 2 AND position = 1)"], 2, "an evaluation is not what was sealed"),
    "an evaluation's outcome": (["UPDATE evaluation SET outcome = 'findings' WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 1 AND position = 0)"], 1, "an evaluation is not what was sealed"),
    "an evaluation's time": (["UPDATE evaluation SET evaluated_at = '2020-01-01 00:00:00.000000' WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 3 AND position = 3)"], 3, "an evaluation is not what was sealed"),
    "an evaluation's preview": (["UPDATE evaluation SET preview = NULL WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 2 AND position = 0)"], 2, "an evaluation is not what was sealed"),
    "an evaluation with its leaf": (["DELETE FROM finding_entry WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 2 AND position = 1)", "DELETE FROM claim_body WHERE evaluation_id = (SELECT evaluation_id FROM seal_leaf WHERE number = 2 AND position = 1)", "DELETE FROM seal_leaf WHERE number = 2 AND position = 1"], 2, "the seal's leaves are not those it was made over"),
    "two leaves changed over": (["UPDATE seal_leaf SET position = 9 WHERE number = 2 AND position = 0", "UPDATE seal_leaf SET position = 0 WHERE number = 2 AND position = 1"], 2, "the seal's leaves are not those it was made over"),
    "a leaf's hash": (["UPDATE seal_leaf SET hash = '" + "0" * 64 + "' WHERE number = 1 AND position = 2"], 1, "an evaluation is not what was sealed"),
    "a seal's root": (["UPDATE seal SET root = '" + "0" * 64 + "' WHERE number = 2"], 2, "the seal's content is not what its hash covers"),
    "a seal's time": (["UPDATE seal SET sealed_at = '2020-01-01 00:00:00.000000' WHERE number = 1"], 1, "the seal's content is not what its hash covers"),
    "a seal's signature": (["UPDATE seal SET signature = (SELECT signature FROM seal WHERE number = 1) WHERE number = 3"], 3, "the seal's signature is not its key's"),
    "a seal taken out": (["DELETE FROM finding_entry", "DELETE FROM seal_leaf WHERE number = 2", "DELETE FROM seal WHERE number = 2"], 2, "a seal is missing"),
    "a seal's place in the chain": (["UPDATE seal SET prev_hash = '" + "1" * 64 + "' WHERE number = 2"], 2, "the seal does not follow the one before it"),
}  # fmt: skip


@pytest.mark.parametrize("what", ALTERATIONS)
def test_what_is_altered_is_found_and_located(office: Office, what: str) -> None:
    statements, seal, why = ALTERATIONS[what]
    office.behind_the_triggers(*statements)
    found = office.verified()
    assert (found["holds"], found["broken_seal"], found["why"]) == (False, seal, why)
    assert (found["evaluation_id"] is not None) == (why == "an evaluation is not what was sealed")


def test_the_last_seals_cut_off_are_found_against_a_checkpoint_and_only_so(office: Office) -> None:
    with office.database.reading() as connection:
        last = evidence.last_seal(connection, TENANT)
    assert last is not None
    office.behind_the_triggers("DELETE FROM finding_entry", "DELETE FROM seal_leaf WHERE number = 3", "DELETE FROM seal WHERE number = 3")
    assert office.verified()["holds"] is True, "this one needs a checkpoint; if the seals show it now, say so in the documentation"
    found = office.verified({last.number: last.hash})
    assert (found["holds"], found["why"]) == (False, "there are fewer seals than were kept")
