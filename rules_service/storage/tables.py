"""SQLModel tables. Every row carries its tenant; what was published or judged is never updated or deleted (see immutability.py)."""

from __future__ import annotations

from datetime import UTC, date, datetime

from sqlalchemy import (
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)
from sqlmodel import Field, SQLModel

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
SQLModel.metadata.naming_convention = MetaData(naming_convention=NAMING).naming_convention


class Instant(TypeDecorator[datetime]):
    """An instant, stored in UTC whatever its offset: SQLite would keep the wall clock and forget the offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The same instant in UTC."""
        return value.astimezone(UTC) if value is not None and value.tzinfo is not None else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The instant in UTC, with its zone: SQLite gives it back without."""
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def instant(**options: object) -> Column[datetime]:
    """A column of instants with their zone."""
    return Column(Instant(), **options)  # type: ignore[arg-type]


def core(model: type[SQLModel]) -> Table:
    """The SQLAlchemy Core table of a model: what repositories and the hot path query."""
    return model.__table__  # type: ignore[attr-defined, no-any-return]


class Tenant(SQLModel, table=True):
    """A tenant, the catalog epoch its latest publication raised, and the head of its audit chain."""

    __tablename__ = "tenant"
    tenant_id: str = Field(primary_key=True, max_length=64)
    name: str
    catalog_epoch: int = 0
    created_at: datetime = Field(sa_column=instant(nullable=False))
    audit_seq: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    audit_base_seq: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    """The last event that retention has cut off, and below its hash."""
    audit_base_hash: str = Field(default="0" * 64, sa_column=Column(String(64), nullable=False, server_default="0" * 64))
    waivers_version: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
    audit_hash: str = Field(default="0" * 64, sa_column=Column(String(64), nullable=False, server_default="0" * 64))


class CatalogEpoch(SQLModel, table=True):
    """One publishing transaction: the instant from which its content is known."""

    __tablename__ = "catalog_epoch"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    epoch: int = Field(primary_key=True)
    known_at: datetime = Field(sa_column=instant(nullable=False))
    published_by: str
    reason: str


class Payer(SQLModel, table=True):
    """The payer directory as of an epoch."""

    __tablename__ = "payer"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    epoch: int = Field(primary_key=True)
    payer_id: str = Field(primary_key=True, max_length=80)
    name: str
    line_of_business: str | None = None
    parent: str | None = None


class PayerAlias(SQLModel, table=True):
    """A name or clearinghouse id by which claims call a payer, as of an epoch. `source` is `alias` or the clearinghouse."""

    __tablename__ = "payer_alias"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "epoch", "payer_id"], ["payer.tenant_id", "payer.epoch", "payer.payer_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    epoch: int = Field(primary_key=True)
    alias: str = Field(primary_key=True, max_length=120)
    payer_id: str = Field(max_length=80)
    source: str


class RuleSet(SQLModel, table=True):
    """A rule set's identity."""

    __tablename__ = "rule_set"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_set_id: str = Field(primary_key=True, max_length=80)
    created_at: datetime = Field(sa_column=instant(nullable=False))


class RuleVersion(SQLModel, table=True):
    """A rule version's content, by its hash."""

    __tablename__ = "rule_version"
    __table_args__ = (Index("ix_rule_version_rule", "tenant_id", "rule_id"), ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]))
    tenant_id: str = Field(primary_key=True, max_length=64)
    sha256: str = Field(primary_key=True, max_length=64)
    rule_id: str = Field(max_length=80)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    created_at: datetime = Field(sa_column=instant(nullable=False))


class Publication(SQLModel, table=True):
    """A rule set frozen: its manifest, and the files it came from."""

    __tablename__ = "publication"
    __table_args__ = (
        UniqueConstraint("tenant_id", "epoch", "rule_set_id"),
        ForeignKeyConstraint(["tenant_id", "rule_set_id"], ["rule_set.tenant_id", "rule_set.rule_set_id"]),
        ForeignKeyConstraint(["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_set_id: str = Field(primary_key=True, max_length=80)
    number: int = Field(primary_key=True)
    epoch: int
    sha256: str = Field(max_length=64)
    manifest: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    source_sha256: str = Field(max_length=64)
    published_at: datetime = Field(sa_column=instant(nullable=False))
    published_by: str


class PublicationWindow(SQLModel, table=True):
    """A window of a publication, for questions by rule and by date."""

    __tablename__ = "publication_window"
    __table_args__ = (
        Index("ix_publication_window_rule", "tenant_id", "rule_id"),
        ForeignKeyConstraint(
            ["tenant_id", "rule_set_id", "number"], ["publication.tenant_id", "publication.rule_set_id", "publication.number"]
        ),
        ForeignKeyConstraint(["tenant_id", "sha256"], ["rule_version.tenant_id", "rule_version.sha256"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    rule_set_id: str = Field(primary_key=True, max_length=80)
    number: int = Field(primary_key=True)
    rule_id: str = Field(primary_key=True, max_length=80)
    effective_from: date = Field(primary_key=True)
    effective_through: date | None = None
    version: int
    sha256: str = Field(max_length=64)


class Blob(SQLModel, table=True):
    """Content by its hash, compressed: reference editions, pack tables, pack sources."""

    __tablename__ = "blob"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    sha256: str = Field(primary_key=True, max_length=64)
    size: int
    compressed: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ReferenceEdition(SQLModel, table=True):
    """An edition of a reference table: declared coverage, census, source files with their hashes."""

    __tablename__ = "reference_edition"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "sha256"], ["blob.tenant_id", "blob.sha256"]),
        ForeignKeyConstraint(["tenant_id", "epoch"], ["catalog_epoch.tenant_id", "catalog_epoch.epoch"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    name: str = Field(primary_key=True, max_length=80)
    edition: str = Field(primary_key=True, max_length=80)
    epoch: int = Field(primary_key=True)
    sha256: str = Field(max_length=64)
    coverage_from: date
    coverage_through: date | None = None
    rows: int
    sources: str
    loaded_at: datetime = Field(sa_column=instant(nullable=False))
    loaded_by: str


class PinSet(SQLModel, table=True):
    """Publications, editions, epoch and engine version many evaluations share, by hash."""

    __tablename__ = "pin_set"
    __table_args__ = (ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    sha256: str = Field(primary_key=True, max_length=64)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class Evaluation(SQLModel, table=True):
    """A stored answer, byte for byte as it was given, without PHI. Append-only."""

    __tablename__ = "evaluation"
    __table_args__ = (
        Index("ix_evaluation_lineage", "tenant_id", "lineage_id"),
        Index("ix_evaluation_control", "tenant_id", "control_hash"),
        ForeignKeyConstraint(["tenant_id", "pins_sha256"], ["pin_set.tenant_id", "pin_set.sha256"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    evaluation_id: str = Field(primary_key=True, max_length=40)
    lineage_id: str = Field(max_length=40)
    evaluated_at: datetime = Field(sa_column=instant(nullable=False))
    client_id: str
    payer_id: str
    claim_type: str
    outcome: str
    catalog_epoch: int
    input_sha256: str = Field(max_length=64)
    pins_sha256: str = Field(max_length=64)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    preview: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    control_hash: str | None = Field(default=None, max_length=64)
    """Keyed hash of the patient control number, by which it can be searched for and not read."""


class ClaimBody(SQLModel, table=True):
    """The judged claim (PHI), encrypted. May be erased; the evaluation stays verifiable by its hash."""

    __tablename__ = "claim_body"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    evaluation_id: str = Field(primary_key=True, max_length=40)
    key_id: str
    nonce: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class IdempotencyRecord(SQLModel, table=True):
    """The evaluation a client's idempotency key gave; the fingerprint tells another body from the same."""

    __tablename__ = "idempotency_record"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "evaluation_id"], ["evaluation.tenant_id", "evaluation.evaluation_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(primary_key=True, max_length=40)
    key: str = Field(primary_key=True, max_length=255)
    fingerprint: str = Field(max_length=64)
    evaluation_id: str = Field(max_length=40)
    created_at: datetime = Field(sa_column=instant(nullable=False))


class ApiClient(SQLModel, table=True):
    """A caller: its key is stored as a hash, its scopes as text separated by spaces, its public keys (JWKS) as JSON or their address.
    `issuer` and `issuer_tenant` (text, or empty) are how it names itself in the JWTs it signs."""

    __tablename__ = "api_client"
    __table_args__ = (
        UniqueConstraint("key_sha256"),
        Index("ix_api_client_client_id", "client_id", unique=True),
        Index("ix_api_client_issuer", "issuer", "issuer_tenant", unique=True),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(primary_key=True, max_length=40)
    name: str
    key_sha256: str = Field(max_length=64)
    scopes: str
    created_at: datetime = Field(sa_column=instant(nullable=False))
    revoked_at: datetime | None = Field(default=None, sa_column=instant())
    jwks: str | None = None
    jwks_url: str | None = Field(default=None, max_length=2_000)
    issuer: str | None = Field(default=None, max_length=500)
    issuer_tenant: str | None = Field(default=None, max_length=255)


class UsedAssertion(SQLModel, table=True):
    """A client assertion that gave a token: its `jti` gives none again. Kept until the assertion has expired."""

    __tablename__ = "used_assertion"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "client_id"], ["api_client.tenant_id", "api_client.client_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(primary_key=True, max_length=40)
    jti: str = Field(primary_key=True, max_length=255)
    expires_at: datetime = Field(sa_column=instant(nullable=False))


class AccessToken(SQLModel, table=True):
    """A token a client was given, by its hash, with the scopes it carries."""

    __tablename__ = "access_token"
    __table_args__ = (
        Index("ix_access_token_hash", "token_sha256", unique=True),
        ForeignKeyConstraint(["tenant_id", "client_id"], ["api_client.tenant_id", "api_client.client_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    token_sha256: str = Field(primary_key=True, max_length=64)
    client_id: str = Field(max_length=40)
    scopes: str
    issued_at: datetime = Field(sa_column=instant(nullable=False))
    expires_at: datetime = Field(sa_column=instant(nullable=False))
