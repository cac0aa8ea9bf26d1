"""Triggers that keep published and judged rows as they are, on both databases.

SQLite needs `recursive_triggers` on, or `INSERT OR REPLACE` would delete behind the delete trigger's back; database.py sets it.
"""

from __future__ import annotations

from collections.abc import Sequence


def create_statements(dialect: str, immutable: Sequence[str], erasable: Sequence[str], first: bool = False) -> list[str]:
    """DDL that protects tables: `immutable` ones take no update, delete or truncate, `erasable` ones no update. The `first`
    migration also makes the function PostgreSQL's triggers call."""
    tables: list[tuple[str, tuple[str, ...]]] = [(table, ("UPDATE", "DELETE")) for table in immutable] + [
        (table, ("UPDATE",)) for table in erasable
    ]
    statements: list[str] = []
    if dialect == "postgresql" and first:
        statements.append(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END $$"
        )
    for table, verbs in tables:
        for verb in verbs:
            name = f"{table}_no_{verb.lower()}"
            if dialect == "postgresql":
                statements.append(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_change()")
            else:
                statements.append(
                    f"CREATE TRIGGER {name} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        if dialect == "postgresql" and "DELETE" in verbs:
            statements.append(f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} EXECUTE FUNCTION refuse_change()")
    return statements


def drop_statements(dialect: str, immutable: Sequence[str], erasable: Sequence[str], first: bool = False) -> list[str]:
    """DDL that takes the protection away, for a downgrade."""
    statements: list[str] = []
    for table in (*immutable, *erasable):
        verbs = ("update", "delete", "truncate") if table in immutable else ("update",)
        for verb in verbs:
            if dialect == "postgresql":
                statements.append(f"DROP TRIGGER {table}_no_{verb} ON {table}")
            elif verb != "truncate":
                statements.append(f"DROP TRIGGER {table}_no_{verb}")
    if dialect == "postgresql" and first:
        statements.append("DROP FUNCTION refuse_change()")
    return statements
