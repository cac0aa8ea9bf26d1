"""Emergencies: rules switched off or held to a severity at once, and how each ended."""

from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import key, moment, number, of, text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

IMMUTABLE = ("emergency", "emergency_end")


def upgrade() -> None:
    op.create_table(
        "emergency",
        text("tenant_id", 64),
        text("emergency_id", 40),
        text("rule_set_id", 80),
        text("rule_id", 80),
        text("severity", nullable=True),
        text("reason"),
        text("declared_by"),
        moment("declared_at"),
        moment("expires_at"),
        number("epoch"),
        of("emergency", "catalog_epoch", "epoch"),
        key("emergency_id", table="emergency"),
    )
    op.create_index("ix_emergency_rule_set", "emergency", ["tenant_id", "rule_set_id"])
    op.create_table(
        "emergency_end",
        text("tenant_id", 64),
        text("emergency_id", 40),
        text("how"),
        text("ended_by"),
        moment("ended_at"),
        number("epoch"),
        of("emergency_end", "emergency", "emergency_id"),
        of("emergency_end", "catalog_epoch", "epoch"),
        key("emergency_id", table="emergency_end"),
    )
    for statement in create_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)
    for table in ("emergency_end", "emergency"):
        op.drop_table(table)
