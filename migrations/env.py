"""Alembic environment: the connection comes from the caller, so tests and the service migrate alike."""

from alembic import context
from sqlmodel import SQLModel

from rules_service.storage import advice_tables, evidence_tables, exception_tables, governance_tables, job_tables, webhook_tables  # noqa: F401  register the tables, with those they rest on

connection = context.config.attributes.get("connection")
if connection is None:
    from rules_service.storage.database import Database

    connection = Database(context.config.get_main_option("sqlalchemy.url") or "").engine.connect()

# No batch mode: on SQLite it rebuilds tables and silently drops their triggers.
context.configure(connection=connection, target_metadata=SQLModel.metadata, render_as_batch=False, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
