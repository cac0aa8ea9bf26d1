"""A publication is all or nothing, whatever statement it dies at; and the database itself refuses what four eyes forbid."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from rules_service.storage import audit_log
from rules_service.storage.database import Database
from tests.governance.people import AUTHOR, PUBLISHER, TENANT, Office
from tests.support.governance import future_change


class PowerCutError(Exception):
    """The process dies here."""


def state_of(database: Database) -> dict[str, object]:
    """Everything a publication touches."""
    with database.reading() as connection:
        counted = {
            table: connection.execute(text(f"SELECT count(*) FROM {table}")).scalar()
            for table in (
                "publication",
                "publication_window",
                "rule_version",
                "catalog_epoch",
                "blob",
                "outbox",
                "audit_event",
                "draft",
                "payer",
            )
        }
        request = connection.execute(text("SELECT state, published_epoch, lock_version FROM change_request")).all()
        tenant = connection.execute(text("SELECT catalog_epoch, audit_seq, audit_hash FROM tenant")).all()
    return {**counted, "request": [tuple(row) for row in request], "tenant": [tuple(row) for row in tenant]}


def test_a_publication_killed_at_any_statement_changes_nothing(database: Database, tmp_path: Path) -> None:
    office = Office.open(database, tmp_path)
    office.edit(AUTHOR, future_change())
    request = office.approved()
    before = state_of(database)
    statements: list[str] = []
    dies_at = 0

    def count(_connection, _cursor, statement, _parameters, _context, _many) -> None:  # type: ignore[no-untyped-def]
        statements.append(statement)
        if len(statements) == dies_at:
            raise PowerCutError

    event.listen(database.engine, "before_cursor_execute", count)
    try:
        for dies_at in range(1, 500):
            statements.clear()
            try:
                office.publishing.publish(PUBLISHER, request)
            except PowerCutError:
                event.remove(database.engine, "before_cursor_execute", count)
                assert state_of(database) == before, f"dying at statement {dies_at} left something behind"
                event.listen(database.engine, "before_cursor_execute", count)
                continue
            break
    finally:
        event.remove(database.engine, "before_cursor_execute", count)
    assert dies_at > 20, "the publication has fewer statements than it must have"
    assert any("INSERT INTO outbox" in statement for statement in statements)
    assert any("INSERT INTO audit_event" in statement for statement in statements)
    after = state_of(database)
    assert after["request"][0][0] == "published"  # type: ignore[index]
    assert (after["publication"], after["outbox"], after["draft"]) == (2, before["outbox"] + 1, 0)  # type: ignore[operator]


FORBIDDEN = {
    "an author reviews": "INSERT INTO review VALUES ('t', '{id}', 1, 'author', 'approve', '{sha256}', NULL, '{now}')",
    "a review of another content": "INSERT INTO review VALUES ('t', '{id}', 1, 'x', 'approve', 'f', NULL, '{now}')",
    "a review of another cycle": "INSERT INTO review VALUES ('t', '{id}', 2, 'x', 'approve', '{sha256}', NULL, '{now}')",
    "approved without approval": "UPDATE change_request SET state = 'approved'",
    "published without approval": "UPDATE change_request SET state = 'published'",
    "no approval needed": "UPDATE change_request SET required_approvals = 0",
    "other content in the same cycle": "UPDATE change_request SET content_sha256 = 'f'",
    "another author of record": "UPDATE change_request SET created_by = 'x'",
    "another kind": "UPDATE change_request SET kind = 'emergency'",
    "a request deleted": "DELETE FROM change_request",
    "an author taken away": "DELETE FROM change_request_author",
    "an author renamed": "UPDATE change_request_author SET author = 'x'",
    "a check that passed after all": "UPDATE check_run SET passed = passed",
    "an event edited": "UPDATE audit_event SET actor = 'x'",
    "an event deleted": "DELETE FROM audit_event",
    "born approved": "INSERT INTO change_request SELECT tenant_id, 'cr_x', 'other', kind, title, reason, 'approved', review_cycle, content_sha256, base_number, required_approvals, retroactive_from, scheduled_for, failure_reason, published_number, published_epoch, lock_version, created_by, created_at, updated_at FROM change_request",
}


@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_the_database_refuses_what_four_eyes_forbid(database: Database, tmp_path: Path, what: str) -> None:
    office = Office.open(database, tmp_path)
    sha256 = office.edit(AUTHOR, future_change())
    request = office.control.open(AUTHOR, "example_commercial_ppo", "A change", "Because").record.change_request_id
    office.control.submit(AUTHOR, request)
    statement = FORBIDDEN[what].format(id=request, sha256=sha256, now=datetime.now(UTC).isoformat())
    with pytest.raises(DBAPIError, match=r"refused|append-only|begins as a draft"), database.engine.begin() as connection:
        connection.execute(text(statement))


def test_a_reviewed_content_may_be_approved_by_hand_in_the_database_too(database: Database, tmp_path: Path) -> None:
    """The guard refuses what is not carried by reviews, and nothing else."""
    office = Office.open(database, tmp_path)
    office.edit(AUTHOR, future_change())
    office.approved()
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE change_request SET state = 'scheduled'"))
    with database.reading() as connection:
        assert audit_log.head(connection, TENANT)[0] == 6  # loaded, saved, opened, checked, submitted, reviewed
