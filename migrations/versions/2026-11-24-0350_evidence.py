"""Evidence of evaluations: the keyed hash of the control number, findings by rule, Merkle seals; waivers and their use."""

import sqlalchemy as sa
from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import key, moment, number, of, of_tenant, text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

IMMUTABLE = ("finding_entry", "seal", "seal_leaf", "waiver", "waiver_end", "waiver_use")


def upgrade() -> None:
    op.add_column("tenant", sa.Column("waivers_version", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("evaluation", text("control_hash", 64, nullable=True))
    op.create_index("ix_evaluation_control", "evaluation", ["tenant_id", "control_hash"])
    op.create_table(
        "finding_entry",
        text("tenant_id", 64),
        text("rule_id", 80),
        text("evaluation_id", 40),
        number("number"),
        number("rule_version"),
        text("code"),
        text("severity"),
        text("finding_key", 40),
        number("cents_at_risk"),
        sa.Column("is_preview", sa.Boolean(), nullable=False),
        of("finding_entry", "evaluation", "evaluation_id"),
        key("rule_id", "evaluation_id", "number", table="finding_entry"),
    )
    op.create_table(
        "seal",
        text("tenant_id", 64),
        number("number"),
        number("leaves"),
        text("root", 64),
        text("prev_hash", 64),
        text("hash", 64),
        moment("sealed_at"),
        text("public_key"),
        text("signature"),
        of_tenant("seal"),
        key("number", table="seal"),
        sa.UniqueConstraint("tenant_id", "prev_hash", name="uq_seal_tenant_id_prev_hash"),
    )
    op.create_table(
        "seal_leaf",
        text("tenant_id", 64),
        text("evaluation_id", 40),
        number("number"),
        number("position"),
        text("hash", 64),
        of("seal_leaf", "evaluation", "evaluation_id"),
        of("seal_leaf", "seal", "number"),
        key("evaluation_id", table="seal_leaf"),
        sa.UniqueConstraint("tenant_id", "number", "position", name="uq_seal_leaf_tenant_id_number_position"),
    )
    op.create_table(
        "waiver",
        text("tenant_id", 64),
        text("waiver_id", 40),
        text("scope"),
        text("evaluation_id", 40),
        text("rule_id", 80),
        text("code"),
        text("lineage_id", 40, nullable=True),
        text("finding_key", 40, nullable=True),
        text("payer_id", 80, nullable=True),
        text("billing_npi", 20, nullable=True),
        text("reason_code"),
        text("waived_by"),
        text("on_behalf_of", nullable=True),
        moment("waived_at"),
        sa.Column("expires_on", sa.Date(), nullable=False),
        of("waiver", "evaluation", "evaluation_id"),
        key("waiver_id", table="waiver"),
    )
    op.create_table(
        "waiver_end",
        text("tenant_id", 64),
        text("waiver_id", 40),
        text("reason"),
        text("ended_by"),
        moment("ended_at"),
        of("waiver_end", "waiver", "waiver_id"),
        key("waiver_id", table="waiver_end"),
    )
    op.create_table(
        "waiver_use",
        text("tenant_id", 64),
        text("waiver_id", 40),
        text("evaluation_id", 40),
        of("waiver_use", "waiver", "waiver_id"),
        of("waiver_use", "evaluation", "evaluation_id"),
        key("waiver_id", "evaluation_id", table="waiver_use"),
    )
    for statement in create_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)
    for table in ("waiver_use", "waiver_end", "waiver", "seal_leaf", "seal", "finding_entry"):
        op.drop_table(table)
    op.drop_index("ix_evaluation_control", "evaluation")
    op.drop_column("evaluation", "control_hash")
    op.drop_column("tenant", "waivers_version")
