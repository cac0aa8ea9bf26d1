"""The request that made a webhook endpoint, which makes no other when it is sent again."""

from alembic import op

from rules_service.storage.schema_parts import text

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("webhook_endpoint", text("request_key", 255, nullable=True))
    op.add_column("webhook_endpoint", text("request_sha256", 64, nullable=True))
    op.create_index("ix_webhook_endpoint_request", "webhook_endpoint", ["tenant_id", "created_by", "request_key"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_webhook_endpoint_request", "webhook_endpoint")
    op.drop_column("webhook_endpoint", "request_sha256")
    op.drop_column("webhook_endpoint", "request_key")
