"""Drafts, change requests, reviews, checks, outbox; the audit chain; and the triggers that hold four eyes in the database."""

import sqlalchemy as sa
from alembic import op

from rules_service.storage.immutability import create_statements, drop_statements
from rules_service.storage.schema_parts import binary, key, moment, number, of, of_tenant, text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

IMMUTABLE = ("audit_event", "change_request_author", "check_run", "review")
OPEN_STATES = "state NOT IN ('published', 'rejected', 'withdrawn')"

# A review counts only for the content and cycle under review, and never by an author.
REVIEW_REFUSED = (
    "NOT EXISTS (SELECT 1 FROM change_request r WHERE r.tenant_id = NEW.tenant_id AND r.change_request_id = NEW.change_request_id"
    " AND r.state = 'in_review' AND r.review_cycle = NEW.review_cycle AND r.content_sha256 = NEW.content_sha256)"
    " OR EXISTS (SELECT 1 FROM change_request_author a WHERE a.tenant_id = NEW.tenant_id"
    " AND a.change_request_id = NEW.change_request_id AND a.author = NEW.reviewer)"
)
APPROVALS = (
    "(SELECT count(*) FROM review v WHERE v.tenant_id = NEW.tenant_id AND v.change_request_id = NEW.change_request_id"
    " AND v.review_cycle = NEW.review_cycle AND v.content_sha256 = NEW.content_sha256 AND v.verdict = 'approve')"
)
# What ended stays as it is; what is approved or published carries its approvals; content never changes without a new cycle.
CHANGE_REFUSED = (
    "OLD.state IN ('published', 'rejected', 'withdrawn') OR NEW.created_by <> OLD.created_by OR NEW.kind <> OLD.kind"
    " OR (NEW.content_sha256 <> OLD.content_sha256 AND NEW.review_cycle <= OLD.review_cycle)"
    f" OR (NEW.state IN ('approved', 'scheduled', 'published') AND NEW.kind = 'publish' AND {APPROVALS} < NEW.required_approvals)"
    " OR NEW.required_approvals < 1"
)


def _guards(dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER review_four_eyes BEFORE INSERT ON review WHEN {REVIEW_REFUSED} "
            "BEGIN SELECT RAISE(ABORT, 'review refused: own work, or not what is under review'); END",
            f"CREATE TRIGGER change_request_guard BEFORE UPDATE ON change_request WHEN {CHANGE_REFUSED} "
            "BEGIN SELECT RAISE(ABORT, 'change request refused: ended, or without its approvals'); END",
            "CREATE TRIGGER change_request_born BEFORE INSERT ON change_request WHEN NEW.state <> 'draft' AND NEW.kind = 'publish' "
            "BEGIN SELECT RAISE(ABORT, 'a change request begins as a draft'); END",
            "CREATE TRIGGER change_request_no_delete BEFORE DELETE ON change_request "
            "BEGIN SELECT RAISE(ABORT, 'change_request is append-only'); END",
        ]
    functions = [
        f"CREATE FUNCTION refuse_review() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {REVIEW_REFUSED} THEN "
        "RAISE EXCEPTION 'review refused: own work, or not what is under review' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
        f"CREATE FUNCTION refuse_transition() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF {CHANGE_REFUSED} THEN "
        "RAISE EXCEPTION 'change request refused: ended, or without its approvals' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
        "CREATE FUNCTION refuse_birth() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.state <> 'draft' AND NEW.kind = 'publish' THEN "
        "RAISE EXCEPTION 'a change request begins as a draft' USING ERRCODE = 'restrict_violation'; END IF; RETURN NEW; END $$",
    ]
    return [
        *functions,
        "CREATE TRIGGER review_four_eyes BEFORE INSERT ON review FOR EACH ROW EXECUTE FUNCTION refuse_review()",
        "CREATE TRIGGER change_request_guard BEFORE UPDATE ON change_request FOR EACH ROW EXECUTE FUNCTION refuse_transition()",
        "CREATE TRIGGER change_request_born BEFORE INSERT ON change_request FOR EACH ROW EXECUTE FUNCTION refuse_birth()",
        "CREATE TRIGGER change_request_no_delete BEFORE DELETE ON change_request FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        "CREATE TRIGGER change_request_no_truncate BEFORE TRUNCATE ON change_request EXECUTE FUNCTION refuse_change()",
    ]


def upgrade() -> None:
    op.add_column("tenant", sa.Column("audit_seq", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("tenant", sa.Column("audit_hash", sa.String(64), nullable=False, server_default="0" * 64))
    op.create_table(
        "audit_event",
        text("tenant_id", 64),
        number("seq"),
        text("actor"),
        text("action"),
        text("object_type"),
        text("object_id"),
        binary("body"),
        text("prev_hash", 64),
        text("hash", 64),
        of_tenant("audit_event"),
        key("seq", table="audit_event"),
        sa.UniqueConstraint("tenant_id", "prev_hash", name="uq_audit_event_tenant_id_prev_hash"),
    )
    op.create_index("ix_audit_event_object", "audit_event", ["tenant_id", "object_type", "object_id"])
    op.create_table(
        "draft",
        text("tenant_id", 64),
        text("rule_set_id", 80),
        number("lock_version"),
        number("base_number"),
        binary("content"),
        text("content_sha256", 64),
        text("editors"),
        moment("updated_at"),
        of_tenant("draft"),
        key("rule_set_id", table="draft"),
    )
    op.create_table(
        "rule_set_control",
        text("tenant_id", 64),
        text("rule_set_id", 80),
        number("required_approvals"),
        of_tenant("rule_set_control"),
        key("rule_set_id", table="rule_set_control"),
    )
    op.create_table(
        "change_request",
        text("tenant_id", 64),
        text("change_request_id", 40),
        text("rule_set_id", 80),
        text("kind"),
        text("title"),
        text("reason"),
        text("state"),
        number("review_cycle"),
        text("content_sha256", 64),
        number("base_number"),
        number("required_approvals"),
        sa.Column("retroactive_from", sa.Date(), nullable=True),
        moment("scheduled_for", nullable=True),
        text("failure_reason", nullable=True),
        number("published_number", nullable=True),
        number("published_epoch", nullable=True),
        number("lock_version"),
        text("created_by"),
        moment("created_at"),
        moment("updated_at"),
        of_tenant("change_request"),
        key("change_request_id", table="change_request"),
    )
    op.create_index(
        "ix_change_request_open",
        "change_request",
        ["tenant_id", "rule_set_id"],
        unique=True,
        sqlite_where=sa.text(OPEN_STATES),
        postgresql_where=sa.text(OPEN_STATES),
    )
    op.create_table(
        "change_request_author",
        text("tenant_id", 64),
        text("change_request_id", 40),
        text("author", 80),
        of("change_request_author", "change_request", "change_request_id"),
        key("change_request_id", "author", table="change_request_author"),
    )
    op.create_table(
        "review",
        text("tenant_id", 64),
        text("change_request_id", 40),
        number("review_cycle"),
        text("reviewer", 80),
        text("verdict"),
        text("content_sha256", 64),
        text("comment", nullable=True),
        moment("reviewed_at"),
        of("review", "change_request", "change_request_id"),
        key("change_request_id", "review_cycle", "reviewer", table="review"),
    )
    op.create_table(
        "check_run",
        text("tenant_id", 64),
        text("check_run_id", 40),
        text("rule_set_id", 80),
        text("content_sha256", 64),
        text("engine_version"),
        sa.Column("passed", sa.Boolean(), nullable=False),
        binary("report"),
        text("run_by"),
        moment("run_at"),
        of_tenant("check_run"),
        key("check_run_id", table="check_run"),
    )
    op.create_index("ix_check_run_content", "check_run", ["tenant_id", "content_sha256"])
    op.create_table(
        "outbox",
        text("tenant_id", 64),
        text("outbox_id", 40),
        text("event"),
        text("payload"),
        moment("created_at"),
        moment("delivered_at", nullable=True),
        of_tenant("outbox"),
        key("outbox_id", table="outbox"),
    )
    op.create_table(
        "lease",
        text("tenant_id", 64),
        text("name", 40),
        text("owner", 80),
        moment("until"),
        of_tenant("lease"),
        key("name", table="lease"),
    )
    dialect = op.get_bind().dialect.name
    for statement in [*create_statements(dialect, IMMUTABLE, ()), *_guards(dialect)]:
        op.execute(statement)


def downgrade() -> None:
    dialect = op.get_bind().dialect.name
    for statement in drop_statements(dialect, IMMUTABLE, ()):
        op.execute(statement)
    names = [("review", "review_four_eyes"), *(("change_request", f"change_request_{name}") for name in ("guard", "born", "no_delete"))]
    if dialect == "postgresql":
        names.append(("change_request", "change_request_no_truncate"))
    for table, name in names:
        op.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if dialect == "postgresql" else ""))
    if dialect == "postgresql":
        for function in ("refuse_review", "refuse_transition", "refuse_birth"):
            op.execute(f"DROP FUNCTION {function}()")
    for table in (
        "lease",
        "outbox",
        "check_run",
        "review",
        "change_request_author",
        "change_request",
        "rule_set_control",
        "draft",
        "audit_event",
    ):
        op.drop_table(table)
    op.drop_column("tenant", "audit_hash")
    op.drop_column("tenant", "audit_seq")
