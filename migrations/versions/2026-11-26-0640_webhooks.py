"""Webhook endpoints and deliveries."""

from alembic import op

from rules_service.storage.schema_parts import binary, key, moment, number, of, of_tenant, text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhook_endpoint",
        text("tenant_id", 64),
        text("endpoint_id", 40),
        text("url", 2_000),
        text("events"),
        text("description", 200),
        text("state"),
        text("state_reason", nullable=True),
        text("secret_key_id"),
        binary("secret_nonce"),
        binary("secret_ciphertext"),
        text("earlier_key_id", nullable=True),
        binary("earlier_nonce", nullable=True),
        binary("earlier_ciphertext", nullable=True),
        moment("earlier_until", nullable=True),
        number("lock_version"),
        text("created_by"),
        moment("created_at"),
        moment("updated_at"),
        of_tenant("webhook_endpoint"),
        key("endpoint_id", table="webhook_endpoint"),
    )
    op.create_table(
        "webhook_delivery",
        text("tenant_id", 64),
        text("endpoint_id", 40),
        text("outbox_id", 40),
        text("state"),
        number("attempts"),
        moment("due_at"),
        moment("last_attempt_at", nullable=True),
        number("last_status", nullable=True),
        text("last_failure", nullable=True),
        moment("delivered_at", nullable=True),
        of("webhook_delivery", "webhook_endpoint", "endpoint_id"),
        of("webhook_delivery", "outbox", "outbox_id"),
        key("endpoint_id", "outbox_id", table="webhook_delivery"),
    )
    op.create_index("ix_webhook_delivery_due", "webhook_delivery", ["state", "due_at"])


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook_endpoint")
