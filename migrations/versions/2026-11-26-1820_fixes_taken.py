"""Which suggestions of a card were taken."""

from alembic import op

from rules_service.storage.schema_parts import text

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("advice_feedback", text("fixes_taken", 80, nullable=True))


def downgrade() -> None:
    op.drop_column("advice_feedback", "fixes_taken")
