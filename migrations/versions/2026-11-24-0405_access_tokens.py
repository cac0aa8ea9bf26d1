"""OAuth 2: public keys of clients, assertions used, access tokens."""

from alembic import op

from rules_service.storage.schema_parts import key, moment, of, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_client", text("jwks", nullable=True))
    op.create_index("ix_api_client_client_id", "api_client", ["client_id"], unique=True)
    op.create_table(
        "used_assertion",
        text("tenant_id", 64),
        text("client_id", 40),
        text("jti", 255),
        moment("expires_at"),
        of("used_assertion", "api_client", "client_id"),
        key("client_id", "jti", table="used_assertion"),
    )
    op.create_table(
        "access_token",
        text("tenant_id", 64),
        text("token_sha256", 64),
        text("client_id", 40),
        text("scopes"),
        moment("issued_at"),
        moment("expires_at"),
        of("access_token", "api_client", "client_id"),
        key("token_sha256", table="access_token"),
    )
    op.create_index("ix_access_token_hash", "access_token", ["token_sha256"], unique=True)


def downgrade() -> None:
    op.drop_table("access_token")
    op.drop_table("used_assertion")
    op.drop_index("ix_api_client_client_id", "api_client")
    op.drop_column("api_client", "jwks")
