"""Ways to alter the audit log behind its triggers: each is found and located. Those the chain cannot show by itself need a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import Connection, text

from rules_service.storage import audit_log, catalog
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Break, Event, first_break, link_hash

TENANT = "t"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVENTS = 12


@pytest.fixture
def logged(database: Database) -> Database:
    with database.writing() as connection:
        for tenant in (TENANT, "other"):
            catalog.ensure_tenant(connection, tenant, tenant, NOW)
            for number in range(EVENTS):
                event = Event(
                    f"person {number}", "rule_set.changed", "rule_set", f"{tenant}{number}", "because", f"r{number}", {"n": number}
                )
                audit_log.append(connection, tenant, NOW + timedelta(seconds=number), event)
    return database


@contextmanager
def unguarded(database: Database, table: str = "audit_event") -> Iterator[Connection]:
    """A connection of somebody who took the triggers of a table away; they are put back."""
    with database.engine.begin() as connection:
        if database.dialect == "sqlite":
            found = connection.execute(text(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'")).all()
            for name, _ in found:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield connection
        if database.dialect == "sqlite":
            for _, sql in found:
                connection.execute(text(sql))
        else:
            connection.execute(text(f"ALTER TABLE {table} ENABLE TRIGGER USER"))


def verified(database: Database, checkpoints: dict[int, str] | None = None) -> Break | None:
    with database.reading() as connection:
        seq, hashed = audit_log.head(connection, TENANT)
        return first_break(audit_log.links(connection, TENANT), seq, hashed, checkpoints, audit_log.base(connection, TENANT))


def hash_of(database: Database, seq: int) -> str:
    with database.reading() as connection:
        return next(link.hash for link in audit_log.links(connection, TENANT) if link.seq == seq)


def run(connection: Connection, statement: str, **values: object) -> None:
    connection.execute(text(statement), values)


def change_body(connection: Connection, seq: int, **members: object) -> bytes:
    body = connection.execute(text("SELECT body FROM audit_event WHERE tenant_id = 't' AND seq = :s"), {"s": seq}).scalar_one()
    written = msgspec.json.encode({**msgspec.json.decode(bytes(body)), **members}, order="sorted")
    run(connection, "UPDATE audit_event SET body = :b WHERE tenant_id = 't' AND seq = :s", b=written, s=seq)
    return written


def rehash_from(connection: Connection, seq: int, head: bool) -> None:
    """Make the chain whole again from an event on, as one who knows how it is made would."""
    rows = connection.execute(text("SELECT seq, body, prev_hash, hash FROM audit_event WHERE tenant_id = 't' ORDER BY seq")).all()
    last = "0" * 64
    # From the end of the numbers, so that no hash is followed twice on the way.
    run(connection, "UPDATE audit_event SET prev_hash = 'x' || seq WHERE tenant_id = 't' AND seq >= :s", s=seq)
    for row in rows:
        if row.seq >= seq:
            hashed = link_hash(last, bytes(row.body))
            run(
                connection,
                "UPDATE audit_event SET prev_hash = :p, hash = :h WHERE tenant_id = 't' AND seq = :s",
                p=last,
                h=hashed,
                s=row.seq,
            )
            last = hashed
        else:
            last = row.hash
    if head:
        run(connection, "UPDATE tenant SET audit_hash = :h, audit_seq = :s WHERE tenant_id = 't'", h=last, s=rows[-1].seq if rows else 0)


def edit_body(connection: Connection) -> None:
    change_body(connection, 5, actor="somebody else")


def edit_body_and_column(connection: Connection) -> None:
    change_body(connection, 5, actor="somebody else")
    run(connection, "UPDATE audit_event SET actor = 'somebody else' WHERE tenant_id = 't' AND seq = 5")


def edit_column(column: str) -> Callable[[Connection], None]:
    return lambda connection: run(connection, f"UPDATE audit_event SET {column} = 'x' WHERE tenant_id = 't' AND seq = 5")


def delete_first(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq = 1")


def delete_middle(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq = 6")


def delete_middle_and_renumber(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq = 6")
    for seq in range(7, EVENTS + 1):
        run(connection, "UPDATE audit_event SET seq = seq - 1 WHERE tenant_id = 't' AND seq = :s", s=seq)


def delete_tail(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq > 9")


def swap(connection: Connection) -> None:
    for old, new in ((4, 99), (5, 4), (99, 5)):
        run(connection, "UPDATE audit_event SET seq = :n WHERE tenant_id = 't' AND seq = :o", o=old, n=new)


def swap_bodies(connection: Connection) -> None:
    bodies = {
        seq: connection.execute(text("SELECT body FROM audit_event WHERE tenant_id = 't' AND seq = :s"), {"s": seq}).scalar_one()
        for seq in (4, 5)
    }
    for seq, other in ((4, 5), (5, 4)):
        run(connection, "UPDATE audit_event SET body = :b WHERE tenant_id = 't' AND seq = :s", b=bytes(bodies[other]), s=seq)


def insert_at_end(connection: Connection) -> None:
    run(
        connection,
        "INSERT INTO audit_event SELECT tenant_id, 13, actor, action, object_type, object_id, body, hash, 'h' FROM audit_event WHERE tenant_id = 't' AND seq = 12",
    )


def insert_between(connection: Connection) -> None:
    for seq in range(EVENTS, 5, -1):
        run(connection, "UPDATE audit_event SET seq = seq + 1 WHERE tenant_id = 't' AND seq = :s", s=seq)
    run(
        connection,
        "INSERT INTO audit_event SELECT tenant_id, 6, actor, action, object_type, object_id, body, 'forged', 'h' FROM audit_event WHERE tenant_id = 't' AND seq = 5",
    )


def from_another_tenant(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq = 7")
    run(connection, "UPDATE audit_event SET tenant_id = 't' WHERE tenant_id = 'other' AND seq = 7")


def rehash_one(connection: Connection) -> None:
    body = change_body(connection, 5, actor="somebody else")
    before = connection.execute(text("SELECT hash FROM audit_event WHERE tenant_id = 't' AND seq = 4")).scalar_one()
    run(
        connection, "UPDATE audit_event SET hash = :h, actor = 'somebody else' WHERE tenant_id = 't' AND seq = 5", h=link_hash(before, body)
    )


def rehash_all_but_the_head(connection: Connection) -> None:
    change_body(connection, 5, actor="somebody else")
    run(connection, "UPDATE audit_event SET actor = 'somebody else' WHERE tenant_id = 't' AND seq = 5")
    rehash_from(connection, 5, head=False)


def cut_head(connection: Connection) -> None:
    run(connection, "UPDATE tenant SET audit_seq = 9 WHERE tenant_id = 't'")


def forge_head(connection: Connection) -> None:
    run(connection, "UPDATE tenant SET audit_hash = 'f' WHERE tenant_id = 't'")


def empty(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't'")


def beginning_cut_as_retention_would(connection: Connection) -> None:
    hashed = connection.execute(text("SELECT hash FROM audit_event WHERE tenant_id = 't' AND seq = 5")).scalar_one()
    run(connection, "UPDATE tenant SET audit_base_seq = 5, audit_base_hash = :h WHERE tenant_id = 't'", h=hashed)
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq <= 5")


FOUND: list[tuple[str, Callable[[Connection], None], int]] = [
    ("an event's content edited", edit_body, 5),
    ("content and column edited alike", edit_body_and_column, 5),
    ("the column actor edited", edit_column("actor"), 5),
    ("the column action edited", edit_column("action"), 5),
    ("the column object_type edited", edit_column("object_type"), 5),
    ("the column object_id edited", edit_column("object_id"), 5),
    ("a hash edited", edit_column("hash"), 5),
    ("a previous hash edited", edit_column("prev_hash"), 5),
    ("the first event deleted", delete_first, 1),
    ("an event in the middle deleted", delete_middle, 6),
    ("an event deleted and the rest renumbered", delete_middle_and_renumber, 6),
    ("the tail deleted, the head as it was", delete_tail, 10),
    ("two events swapped", swap, 4),
    ("the contents of two events swapped", swap_bodies, 4),
    ("an event added at the end", insert_at_end, 13),
    ("an event put in between", insert_between, 6),
    ("an event of another tenant in its place", from_another_tenant, 7),
    ("one event edited and hashed anew", rehash_one, 6),
    ("everything after an edit hashed anew, the head as it was", rehash_all_but_the_head, 13),
    ("the head set back", cut_head, 10),
    ("the head's hash forged", forge_head, 13),
    ("all events deleted", empty, 1),
    ("the beginning cut off as retention would, but told by nothing", beginning_cut_as_retention_would, 5),
]


@pytest.mark.parametrize(("what", "tamper", "at"), FOUND, ids=[what for what, _, _ in FOUND])
def test_what_was_altered_is_found_and_located(logged: Database, what: str, tamper: Callable[[Connection], None], at: int) -> None:
    assert verified(logged) is None
    with unguarded(logged) as connection:
        tamper(connection)
    broken = verified(logged)
    assert broken is not None, what
    assert broken.seq == at, broken


def test_an_untouched_log_holds_also_against_every_checkpoint_of_it(logged: Database) -> None:
    assert verified(logged, {seq: hash_of(logged, seq) for seq in range(1, EVENTS + 1)}) is None


def whole_chain_anew(connection: Connection) -> None:
    change_body(connection, 5, actor="somebody else")
    run(connection, "UPDATE audit_event SET actor = 'somebody else' WHERE tenant_id = 't' AND seq = 5")
    rehash_from(connection, 5, head=True)


def tail_cut_with_its_head(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't' AND seq > 9")
    rehash_from(connection, 10, head=True)


def everything_gone_with_its_head(connection: Connection) -> None:
    run(connection, "DELETE FROM audit_event WHERE tenant_id = 't'")
    run(connection, "UPDATE tenant SET audit_seq = 0, audit_hash = :h WHERE tenant_id = 't'", h="0" * 64)


@pytest.mark.parametrize(
    ("tamper", "at"),
    [(whole_chain_anew, 12), (tail_cut_with_its_head, 10), (everything_gone_with_its_head, 1)],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_the_chain_cannot_show_by_itself_is_found_against_a_checkpoint(
    logged: Database, tamper: Callable[[Connection], None], at: int
) -> None:
    kept = {EVENTS: hash_of(logged, EVENTS)}
    with unguarded(logged) as connection:
        tamper(connection)
    assert verified(logged) is None, "this one needs a checkpoint; if the chain shows it now, say so in the documentation"
    broken = verified(logged, kept)
    assert broken is not None
    assert broken.seq == at


def test_a_hash_is_followed_once_so_a_fork_cannot_be_stored(logged: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), logged.engine.begin() as connection:
        run(
            connection,
            "INSERT INTO audit_event SELECT tenant_id, 99, actor, action, object_type, object_id, body, prev_hash, 'h' FROM audit_event WHERE tenant_id = 't' AND seq = 5",
        )


def test_a_link_moved_in_memory_is_a_break(logged: Database) -> None:
    with logged.reading() as connection:
        links = list(audit_log.links(connection, TENANT))
    assert first_break(links, EVENTS, links[-1].hash) is None
    assert first_break([*links, links[-1]], EVENTS, links[-1].hash) == Break(13, "an event stands twice")
    assert first_break([replace(links[0], seq=2), *links[1:]], EVENTS, links[-1].hash) == Break(1, "an event is missing")
