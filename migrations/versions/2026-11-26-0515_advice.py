"""Cards shown before a service, and what became of them."""

from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import key, moment, number, of, of_tenant, text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

IMMUTABLE = ("advice_card", "advice_feedback")


def upgrade() -> None:
    op.create_table(
        "advice_card",
        text("tenant_id", 64),
        text("card_id", 40),
        text("hook", 40),
        text("rule_id", 80),
        number("rule_version"),
        text("code", 80),
        text("indicator", 10),
        text("client_id", 40),
        moment("shown_at"),
        of_tenant("advice_card"),
        key("card_id", table="advice_card"),
    )
    op.create_index("ix_advice_card_rule", "advice_card", ["tenant_id", "rule_id"])
    op.create_table(
        "advice_feedback",
        text("tenant_id", 64),
        text("feedback_id", 40),
        text("card_id", 40),
        text("outcome", 12),
        text("reason_code", 80, nullable=True),
        text("client_id", 40),
        moment("received_at"),
        of("advice_feedback", "advice_card", "card_id"),
        key("feedback_id", table="advice_feedback"),
    )
    for statement in create_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_statements(op.get_bind().dialect.name, IMMUTABLE, ()):
        op.execute(statement)
    for table in ("advice_feedback", "advice_card"):
        op.drop_table(table)
