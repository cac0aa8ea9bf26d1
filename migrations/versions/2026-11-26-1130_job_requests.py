"""The request that made a job, which makes no other when it is sent again."""

from alembic import op

from rules_service.storage.schema_parts import text

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", text("request_key", 255, nullable=True))
    op.add_column("job", text("request_sha256", 64, nullable=True))
    op.create_index("ix_job_request", "job", ["tenant_id", "created_by", "request_key"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_job_request", "job")
    op.drop_column("job", "request_sha256")
    op.drop_column("job", "request_key")
