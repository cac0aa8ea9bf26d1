"""Migrations up and down on both databases, and the guard: live triggers and constraints equal the checked-in list."""

import json
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from rules_service.storage.database import Database

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


def test_the_live_schema_is_the_guarded_one(database: Database) -> None:
    assert live(database) == json.loads(GUARD.read_text())[database.dialect]


def test_down_to_nothing_and_up_again_leaves_the_guarded_schema(database: Database) -> None:
    database.migrate("base")
    assert live(database) == {"triggers": [], "constraints": []}
    database.migrate("head")
    assert live(database) == json.loads(GUARD.read_text())[database.dialect]


def test_models_and_migrations_agree(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_every_table_carries_its_tenant_first_in_its_key() -> None:
    for table in SQLModel.metadata.tables.values():
        assert next(iter(table.primary_key.columns)).name == "tenant_id", table.name
        for key in table.foreign_key_constraints:
            assert key.column_keys[0] == "tenant_id", table.name
