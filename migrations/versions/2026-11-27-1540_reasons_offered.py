"""Which reasons for passing it over a card offered, with spaces between."""

from alembic import op
from sqlalchemy import Column
from sqlmodel import AutoString

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("advice_card", Column("override_reasons", AutoString(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("advice_card", "override_reasons")
