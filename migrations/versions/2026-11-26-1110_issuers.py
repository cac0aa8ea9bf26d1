"""How an EHR names itself in the JWTs it signs, and the address of its keys."""

from alembic import op

from rules_service.storage.schema_parts import text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_client", text("jwks_url", 2_000, nullable=True))
    op.add_column("api_client", text("issuer", 500, nullable=True))
    op.add_column("api_client", text("issuer_tenant", 255, nullable=True))
    op.create_index("ix_api_client_issuer", "api_client", ["issuer", "issuer_tenant"], unique=True)


def downgrade() -> None:
    op.drop_index("ix_api_client_issuer", "api_client")
    op.drop_column("api_client", "issuer_tenant")
    op.drop_column("api_client", "issuer")
    op.drop_column("api_client", "jwks_url")
