"""Migrations up and down on both databases, and the guard: live triggers and constraints equal the checked-in list."""

import json
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlmodel import SQLModel

from rules_service.storage.database import Database, migration_config

GUARD = Path(__file__).resolve().parents[2] / "migrations" / "guard.json"


def live(database: Database) -> dict[str, list[str]]:
    """Triggers and constraints as the database reports them."""
    with database.reading() as connection:
        if database.dialect == "sqlite":
            triggers = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars()
            constraints = [
                f"{name}: {word}"
                for name, sql in connection.execute(text("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"))
                for word in sorted(part.split()[0] for part in sql.split("CONSTRAINT ")[1:])
            ]
        else:
            triggers = connection.execute(text("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).scalars()
            rows = connection.execute(
                text(
                    "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p','f','u','c')"
                )
            )
            constraints = [f"{table}: {name}" for table, name in rows]
        return {"triggers": sorted(triggers), "constraints": sorted(one for one in constraints if not one.startswith("alembic_version"))}


def guarded(database: Database) -> dict[str, dict[str, list[str]]]:
    """Triggers and constraints by revision, as they were checked in."""
    found: dict[str, dict[str, list[str]]] = json.loads(GUARD.read_text())[database.dialect]
    return found


def move(database: Database, revision: str) -> None:
    """Bring the schema up or down to a revision."""
    config = migration_config(database.url)
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        now = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
        (command.downgrade if revision == "base" or (now or "") > revision else command.upgrade)(config, revision)
        connection.commit()


def test_triggers_and_constraints_are_the_guarded_ones_after_every_step_down_and_up(database: Database) -> None:
    revisions = sorted(guarded(database))
    assert live(database) == guarded(database)[revisions[-1]]
    for revision in reversed(revisions[:-1]):
        move(database, revision)
        assert live(database) == guarded(database)[revision], f"down to {revision}"
    move(database, "base")
    assert live(database) == {"triggers": [], "constraints": []}
    for revision in revisions:
        move(database, revision)
        assert live(database) == guarded(database)[revision], f"up to {revision}"


def test_every_revision_is_guarded(database: Database) -> None:
    scripts = ScriptDirectory.from_config(migration_config(database.url))
    assert sorted(script.revision for script in scripts.walk_revisions()) == sorted(guarded(database))


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_every_table_carries_its_tenant_first_in_its_key() -> None:
    for table in SQLModel.metadata.tables.values():
        assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name
        for key in table.foreign_key_constraints:
            assert key.column_keys[0] == "tenant_id", table.name
