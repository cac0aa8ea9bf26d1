"""Editions of reference tables are reviewed like rules: the proposal, and four eyes for every kind of change request."""

import sqlalchemy as sa
from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import binary, key, number, of, text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

IMMUTABLE = ("edition_proposal",)
APPROVALS = (
    "(SELECT count(*) FROM review v WHERE v.tenant_id = NEW.tenant_id AND v.change_request_id = NEW.change_request_id"
    " AND v.review_cycle = NEW.review_cycle AND v.content_sha256 = NEW.content_sha256 AND v.verdict = 'approve')"
)


def _change_refused(which: str) -> str:
    return (
        "OLD.state IN ('published', 'rejected', 'withdrawn') OR NEW.created_by <> OLD.created_by OR NEW.kind <> OLD.kind"
        " OR (NEW.content_sha256 <> OLD.content_sha256 AND NEW.review_cycle <= OLD.review_cycle)"
        f" OR (NEW.state IN ('approved', 'scheduled', 'published'){which} AND {APPROVALS} < NEW.required_approvals)"
        " OR NEW.required_approvals < 1"
    )


def _guards(dialect: str, which: str) -> list[str]:
    """The guards of change requests for all kinds (an empty `which`), or for those it names."""
    if dialect == "sqlite":
        return [
            "DROP TRIGGER change_request_guard",
            "DROP TRIGGER change_request_born",
            f"CREATE TRIGGER change_request_guard BEFORE UPDATE ON change_request WHEN {_change_refused(which)} "
            "BEGIN SELECT RAISE(ABORT, 'change request refused: ended, or without its approvals'); END",
            f"CREATE TRIGGER change_request_born BEFORE INSERT ON change_request WHEN NEW.state <> 'draft'{which} "
            "BEGIN SELECT RAISE(ABORT, 'a change request begins as a draft'); END",
        ]
    return [
        f"CREATE OR REPLACE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {_change_refused(which)} THEN "
        "RAISE EXCEPTION 'change request refused: ended, or without its approvals' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
        f"CREATE OR REPLACE FUNCTION refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.state <> 'draft'{which} THEN "
        "RAISE EXCEPTION 'a change request begins as a draft' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
    ]


def upgrade() -> None:
    op.create_table(
        "edition_proposal",
        text("tenant_id", 64),
        text("change_request_id", 40),
        text("name", 80),
        text("edition", 80),
        sa.Column("coverage_from", sa.Date(), nullable=False),
        sa.Column("coverage_through", sa.Date(), nullable=True),
        text("sha256", 64),
        number("rows"),
        text("sources"),
        sa.Column("accepted_census", sa.Boolean(), nullable=False),
        binary("report"),
        of("edition_proposal", "change_request", "change_request_id"),
        of("edition_proposal", "blob", "sha256"),
        key("change_request_id", table="edition_proposal"),
    )
    dialect = op.get_bind().dialect.name
    for statement in [*create_statements(dialect, IMMUTABLE, ()), *_guards(dialect, "")]:
        op.execute(statement)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in [*drop_statements(dialect, IMMUTABLE, ()), *_guards(dialect, " AND NEW.kind = 'publish'")]:
        op.execute(statement)
    op.drop_table("edition_proposal")
