"""Change control in process: a tenant on a database, and its people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import DateTime, bindparam, text

from rules_service.packs.read import read_pack
from rules_service.primitives.scopes import ROLES
from rules_service.services.acting import Actor
from rules_service.services.change_control import ChangeControl
from rules_service.services.drafts import Drafts
from rules_service.services.edition_review import EditionReview
from rules_service.services.jobs import Jobs
from rules_service.services.load_packs import publish_packs
from rules_service.services.publishing import Publishing
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.storage.database import Database
from rules_service.storage.editions import EditionFiles
from rules_service.storage.job_queue import open_queue
from rules_service.storage.jobs import JobRecord
from tests.support.governance import RULE_SET
from tests.support.server import PACKS

TENANT = "t"


def actor(name: str, role: str) -> Actor:
    """A person in a role."""
    return Actor(TENANT, name, frozenset(ROLES[role]))


AUTHOR, OTHER_AUTHOR = actor("author", "rule_author"), actor("other author", "rule_author")
REVIEWER, OTHER_REVIEWER = actor("reviewer", "reviewer"), actor("other reviewer", "reviewer")
PUBLISHER = actor("publisher", "publisher")


def run_waiting(database: Database, work: Jobs, tenant_id: str) -> list[JobRecord]:
    """Run every job of a tenant that waits, as if its time had come; what each came to."""
    of_tenant = "FROM job WHERE state = 'queued' AND tenant_id = :tenant"
    with database.writing() as connection:
        waiting = connection.execute(text(f"SELECT job_id {of_tenant} ORDER BY job_id"), {"tenant": tenant_id}).scalars().all()
        for job_id in waiting:
            come = text("UPDATE job SET run_at = :now WHERE job_id = :job").bindparams(bindparam("now", type_=DateTime(True)))
            connection.execute(come, {"now": datetime.now(UTC) - timedelta(seconds=1), "job": job_id})
    for job_id in waiting:
        assert work.run(tenant_id, job_id)
    reader = Actor(tenant_id, "reader", frozenset())
    return [work.read(reader, job_id) for job_id in waiting]


@dataclass
class Office:
    """The services over one database with one pack published."""

    database: Database
    drafts: Drafts
    control: ChangeControl
    publishing: Publishing
    jobs: Jobs

    @classmethod
    def open(cls, database: Database, folder: Path) -> Office:
        """With the example pack as publication 1."""
        publish_packs(database, TENANT, [read_pack(PACKS / RULE_SET)], "tests")
        drafts = Drafts(database, SnapshotRegistry(database, EditionFiles(folder)), PACKS / "reference_samples")
        work = Jobs(database, open_queue(database, 0.1), 60)
        control = ChangeControl(database, drafts, work, "America/New_York")
        work.handle("affected_evaluations", lambda run: {})  # impact's own tests look at what it finds
        return cls(database, drafts, control, Publishing(database, control, work, EditionReview(database), "America/New_York"), work)

    def edit(self, who: Actor, changes: dict[str, object]) -> str:
        """Save the draft with changes as tests.support.governance gives them; its content hash."""
        view = self.drafts.read(who, RULE_SET)
        files = dict(view.record.files)
        for path, what in changes.items():
            files[path] = files[path].replace(*what) if isinstance(what, tuple) else str(what)
        return self.drafts.save(who, RULE_SET, files, view.record.etag).record.content_sha256

    def let_the_time_come(self) -> list[JobRecord]:
        """Run every job that waits, whenever it is due; what each came to."""
        return run_waiting(self.database, self.jobs, TENANT)

    def approved(self) -> str:
        """A change request of the author's draft, approved; its id."""
        request = self.control.open(AUTHOR, RULE_SET, "A change", "Because").record.change_request_id
        submitted = self.control.submit(AUTHOR, request).record
        assert self.control.review(REVIEWER, request, "approve", submitted.content_sha256, None).record.state == "approved"
        return request
