"""Legal holds; the audit log may be cut at its beginning, never above the base its tenant's row names."""

import sqlalchemy as sa
from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import key, moment, of, of_tenant, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

IMMUTABLE = ("legal_hold", "legal_hold_end")
ABOVE_BASE = "OLD.seq > (SELECT audit_base_seq FROM tenant WHERE tenant_id = OLD.tenant_id)"
BASE_MOVED = "NEW.audit_base_seq < OLD.audit_base_seq OR NEW.audit_base_seq > NEW.audit_seq"


def _guards(dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [
            "DROP TRIGGER audit_event_no_delete",
            f"CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event WHEN {ABOVE_BASE} "
            "BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END",
            f"CREATE TRIGGER tenant_audit_base BEFORE UPDATE ON tenant WHEN {BASE_MOVED} "
            "BEGIN SELECT RAISE(ABORT, 'the base of the audit log only rises'); END",
        ]
    return [
        f"CREATE FUNCTION refuse_audit_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {ABOVE_BASE} THEN "
        "RAISE EXCEPTION 'audit_event is append-only' USING ERRCODE = 'restrict_violation'; END IF; RETURN OLD; END $$",
        "DROP TRIGGER audit_event_no_delete ON audit_event",
        "CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse_audit_delete()",
        f"CREATE FUNCTION refuse_audit_base() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {BASE_MOVED} THEN "
        "RAISE EXCEPTION 'the base of the audit log only rises' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER tenant_audit_base BEFORE UPDATE ON tenant FOR EACH ROW EXECUTE FUNCTION refuse_audit_base()",
    ]


def upgrade() -> None:
    op.add_column("tenant", sa.Column("audit_base_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tenant", sa.Column("audit_base_hash", sa.String(64), nullable=False, server_default="0" * 64))
    op.create_table(
        "legal_hold",
        text("tenant_id", 64),
        text("hold_id", 40),
        text("lineage_id", 40, nullable=True),
        text("payer_id", 80, nullable=True),
        sa.Column("evaluated_from", sa.Date(), nullable=True),
        sa.Column("evaluated_through", sa.Date(), nullable=True),
        text("reason"),
        text("placed_by"),
        moment("placed_at"),
        of_tenant("legal_hold"),
        key("hold_id", table="legal_hold"),
    )
    op.create_table(
        "legal_hold_end",
        text("tenant_id", 64),
        text("hold_id", 40),
        text("reason"),
        text("released_by"),
        moment("released_at"),
        of("legal_hold_end", "legal_hold", "hold_id"),
        key("hold_id", table="legal_hold_end"),
    )
    dialect = op.get_bind().dialect.name
    for statement in [*create_statements(dialect, IMMUTABLE, ()), *_guards(dialect)]:
        op.execute(statement)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in drop_statements(dialect, IMMUTABLE, ()):
        op.execute(statement)
    if dialect == "sqlite":
        op.execute("DROP TRIGGER tenant_audit_base")
        op.execute("DROP TRIGGER audit_event_no_delete")
        op.execute(
            "CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event BEGIN SELECT RAISE(ABORT, 'audit_event is append-only'); END"
        )
    else:
        op.execute("DROP TRIGGER tenant_audit_base ON tenant")
        op.execute("DROP TRIGGER audit_event_no_delete ON audit_event")
        op.execute("CREATE TRIGGER audit_event_no_delete BEFORE DELETE ON audit_event FOR EACH ROW EXECUTE FUNCTION refuse_change()")
        op.execute("DROP FUNCTION refuse_audit_base()")
        op.execute("DROP FUNCTION refuse_audit_delete()")
    for table in ("legal_hold_end", "legal_hold"):
        op.drop_table(table)
    op.drop_column("tenant", "audit_base_hash")
    op.drop_column("tenant", "audit_base_seq")
