"""First tables, and the triggers that keep published and judged rows as they are."""

import sqlalchemy as sa
import sqlmodel
from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Frozen here: a later migration that adds a protected table names it itself.
IMMUTABLE = (
    "blob",
    "catalog_epoch",
    "evaluation",
    "idempotency_record",
    "payer",
    "payer_alias",
    "pin_set",
    "publication",
    "publication_window",
    "reference_edition",
    "rule_set",
    "rule_version",
)
ERASABLE = ("claim_body",)


def upgrade() -> None:
    op.create_table(
        "tenant",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("catalog_epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant")),
    )
    op.create_table(
        "api_client",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("key_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("scopes", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_api_client_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name=op.f("pk_api_client")),
        sa.UniqueConstraint("key_sha256", name=op.f("uq_api_client_key_sha256")),
    )
    op.create_table(
        "blob",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("compressed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_blob_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name=op.f("pk_blob")),
    )
    op.create_table(
        "catalog_epoch",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("known_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("reason", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_catalog_epoch_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "epoch", name=op.f("pk_catalog_epoch")),
    )
    op.create_table(
        "pin_set",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_pin_set_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name=op.f("pk_pin_set")),
    )
    op.create_table(
        "rule_set",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("rule_set_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_rule_set_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "rule_set_id", name=op.f("pk_rule_set")),
    )
    op.create_table(
        "rule_version",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("rule_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=op.f("fk_rule_version_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "sha256", name=op.f("pk_rule_version")),
    )
    op.create_index("ix_rule_version_rule", "rule_version", ["tenant_id", "rule_id"], unique=False)
    op.create_table(
        "evaluation",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("evaluation_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("lineage_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("payer_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("claim_type", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("outcome", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("catalog_epoch", sa.Integer(), nullable=False),
        sa.Column("input_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("pins_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("preview", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "pins_sha256"], ["pin_set.tenant_id", "pin_set.sha256"], name=op.f("fk_evaluation_tenant_id_pins_sha256")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "evaluation_id", name=op.f("pk_evaluation")),
    )
    op.create_index("ix_evaluation_lineage", "evaluation", ["tenant_id", "lineage_id"], unique=False)
    op.create_table(
        "payer",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("payer_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("line_of_business", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.Column("parent", sqlmodel.sql.sqltypes.AutoString(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"], name=op.f("fk_payer_tenant_id_epoch")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "epoch", "payer_id", name=op.f("pk_payer")),
    )
    op.create_table(
        "publication",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("rule_set_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("manifest", sa.LargeBinary(), nullable=False),
        sa.Column("source_sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"], name=op.f("fk_publication_tenant_id_epoch")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_set_id"], ["rule_set.tenant_id", "rule_set.rule_set_id"], name=op.f("fk_publication_tenant_id_rule_set_id")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "rule_set_id", "number", name=op.f("pk_publication")),
        sa.UniqueConstraint("tenant_id", "epoch", "rule_set_id", name=op.f("uq_publication_tenant_id_epoch_rule_set_id")),
    )
    op.create_table(
        "reference_edition",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("name", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("edition", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("coverage_from", sa.Date(), nullable=False),
        sa.Column("coverage_through", sa.Date(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("sources", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("loaded_by", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"], name=op.f("fk_reference_edition_tenant_id_epoch")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sha256"], ["blob.tenant_id", "blob.sha256"], name=op.f("fk_reference_edition_tenant_id_sha256")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", "edition", "epoch", name=op.f("pk_reference_edition")),
    )
    op.create_table(
        "claim_body",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("evaluation_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("key_id", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "evaluation_id"],
            ["evaluation.tenant_id", "evaluation.evaluation_id"],
            name=op.f("fk_claim_body_tenant_id_evaluation_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "evaluation_id", name=op.f("pk_claim_body")),
    )
    op.create_table(
        "idempotency_record",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("client_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("key", sqlmodel.sql.sqltypes.AutoString(length=255), nullable=False),
        sa.Column("fingerprint", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("evaluation_id", sqlmodel.sql.sqltypes.AutoString(length=40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "evaluation_id"],
            ["evaluation.tenant_id", "evaluation.evaluation_id"],
            name=op.f("fk_idempotency_record_tenant_id_evaluation_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", "key", name=op.f("pk_idempotency_record")),
    )
    op.create_table(
        "payer_alias",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("alias", sqlmodel.sql.sqltypes.AutoString(length=120), nullable=False),
        sa.Column("payer_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("source", sqlmodel.sql.sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "epoch", "payer_id"],
            ["payer.tenant_id", "payer.epoch", "payer.payer_id"],
            name=op.f("fk_payer_alias_tenant_id_epoch_payer_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "epoch", "alias", name=op.f("pk_payer_alias")),
    )
    op.create_table(
        "publication_window",
        sa.Column("tenant_id", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.Column("rule_set_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rule_id", sqlmodel.sql.sqltypes.AutoString(length=80), nullable=False),
        sa.Column("effective_from", sa.Date(), nullable=False),
        sa.Column("effective_through", sa.Date(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sqlmodel.sql.sqltypes.AutoString(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_set_id", "number"],
            ["publication.tenant_id", "publication.rule_set_id", "publication.number"],
            name=op.f("fk_publication_window_tenant_id_rule_set_id_number"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "sha256"], ["rule_version.tenant_id", "rule_version.sha256"], name=op.f("fk_publication_window_tenant_id_sha256")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "rule_set_id", "number", "rule_id", "effective_from", name=op.f("pk_publication_window")),
    )
    op.create_index("ix_publication_window_rule", "publication_window", ["tenant_id", "rule_id"], unique=False)
    for statement in create_statements(op.get_bind().dialect.name, IMMUTABLE, ERASABLE, first=True):
        op.execute(statement)


def downgrade() -> None:
    for statement in drop_statements(op.get_bind().dialect.name, IMMUTABLE, ERASABLE, first=True):
        op.execute(statement)
    op.drop_index("ix_publication_window_rule", table_name="publication_window")
    op.drop_table("publication_window")
    op.drop_table("payer_alias")
    op.drop_table("idempotency_record")
    op.drop_table("claim_body")
    op.drop_table("reference_edition")
    op.drop_table("publication")
    op.drop_table("payer")
    op.drop_index("ix_evaluation_lineage", table_name="evaluation")
    op.drop_table("evaluation")
    op.drop_index("ix_rule_version_rule", table_name="rule_version")
    op.drop_table("rule_version")
    op.drop_table("rule_set")
    op.drop_table("pin_set")
    op.drop_table("catalog_epoch")
    op.drop_table("blob")
    op.drop_table("api_client")
    op.drop_table("tenant")
