"""Jobs with their items and uploads; on PostgreSQL the task queue that hands them to workers, in a schema of its own; the share of
newly blocked claims above which a change needs a second approval."""

import sqlalchemy as sa
from alembic import op
from procrastinate.schema import SchemaManager

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import binary, key, moment, number, of, of_tenant, text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEVER_UPDATED = ("job_item", "job_upload")


def upgrade() -> None:
    op.drop_table("lease")  # the job's own row says who runs it
    op.add_column("rule_set_control", text("second_above_share", nullable=True))
    op.create_table(
        "job",
        text("tenant_id", 64),
        text("job_id", 40),
        text("kind", 40),
        binary("parameters"),
        text("state"),
        number("done"),
        number("total", nullable=True),
        text("failure", nullable=True),
        binary("result", nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        moment("run_at"),
        text("owner", nullable=True),
        moment("lease_until", nullable=True),
        number("attempts"),
        text("created_by"),
        moment("created_at"),
        moment("finished_at", nullable=True),
        of_tenant("job"),
        key("job_id", table="job"),
    )
    op.create_index("ix_job_due", "job", ["state", "run_at"])
    op.create_table(
        "job_item",
        text("tenant_id", 64),
        text("job_id", 40),
        number("number"),
        binary("body"),
        of("job_item", "job", "job_id"),
        key("job_id", "number", table="job_item"),
    )
    op.create_table(
        "job_upload",
        text("tenant_id", 64),
        text("job_id", 40),
        number("number"),
        text("key_id"),
        binary("nonce"),
        binary("ciphertext"),
        of("job_upload", "job", "job_id"),
        key("job_id", "number", table="job_upload"),
    )
    bind = op.get_bind()
    for statement in create_statements(bind.dialect.name, (), NEVER_UPDATED):
        op.execute(statement)
    if bind.dialect.name == "postgresql":
        # The queue's own statements name nothing by schema, so the search path does; it is set back before ours go on.
        raw = bind.connection.driver_connection
        raw.execute("CREATE SCHEMA procrastinate")
        raw.execute("SET LOCAL search_path TO procrastinate")
        raw.execute(SchemaManager.get_schema())
        raw.execute("SET LOCAL search_path TO DEFAULT")


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    if dialect == "postgresql":
        op.execute("DROP SCHEMA procrastinate CASCADE")
    for statement in drop_statements(dialect, (), NEVER_UPDATED):
        op.execute(statement)
    for table in ("job_upload", "job_item", "job"):
        op.drop_table(table)
    op.drop_column("rule_set_control", "second_above_share")
    op.create_table(
        "lease",
        text("tenant_id", 64),
        text("name", 40),
        text("owner", 80),
        moment("until"),
        of_tenant("lease"),
        key("name", table="lease"),
    )
