"""Four people and a clock act at random on one rule set; a plain model says what may happen.

Nothing is ever published without the approvals its rule set asks for, given in the current cycle to the content published, by
people whose work is not in it; and every attempt is exactly one audit event of its kind.
"""

from __future__ import annotations

import tempfile
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from rules_service.packs.read import read_pack
from rules_service.packs.workspace import files_sha256
from rules_service.primitives.errors import NotFound, Refused
from rules_service.primitives.scopes import SCOPES
from rules_service.services.acting import Actor
from rules_service.services.change_control import ChangeControl
from rules_service.services.drafts import Drafts
from rules_service.services.edition_review import EditionReview
from rules_service.services.jobs import Jobs
from rules_service.services.load_packs import publish_packs
from rules_service.services.publishing import Publishing
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, catalog, change_requests, drafts
from rules_service.storage.change_requests import Control
from rules_service.storage.database import Database
from rules_service.storage.editions import EditionFiles
from rules_service.storage.job_queue import open_queue
from tests.governance.people import run_waiting
from tests.support.governance import RULE_SET
from tests.support.server import PACKS

PEOPLE = ("ada", "ben", "cleo", "dan")
TITLES = ("One", "Two", "Three")
VERDICTS = ("approve", "approve", "approve", "request_changes", "reject")


def files_with(title: str) -> dict[str, str]:
    """The example pack under another title: a small change that passes every check."""
    files = {path: data.decode() for path, data in read_pack(PACKS / RULE_SET).files().items()}
    files["pack.yaml"] = files["pack.yaml"].replace("\ntitle: ", f"\ntitle: {title} ", 1)
    return files


CONTENTS = {title: files_with(title) for title in TITLES}


class Lifecycle(RuleBasedStateMachine):
    """The service and a model of it, side by side."""

    database: Database
    reports: dict[str, dict[str, object]]

    @initialize()
    def begin(self) -> None:
        self.tenant = f"t{uuid.uuid4().hex[:12]}"
        database = type(self).database
        publish_packs(database, self.tenant, [read_pack(PACKS / RULE_SET)], "tests")
        self.service = Drafts(database, SnapshotRegistry(database, EditionFiles(Path("/nonexistent"))), PACKS / "reference_samples")
        self.jobs = Jobs(database, open_queue(database, 1), 60)
        self.jobs.handle("affected_evaluations", lambda run: {})
        self.control = ChangeControl(database, self.service, self.jobs, "America/New_York")
        self.publishing = Publishing(database, self.control, self.jobs, EditionReview(database), "America/New_York")
        with database.writing() as connection:  # the trials of these contents are known; running them again would only be slow
            for title, report in type(self).reports.items():
                sha256 = files_sha256(CONTENTS[title])
                drafts.add_check_run(connection, self.tenant, RULE_SET, sha256, ENGINE_VERSION, report, True, "tests", datetime.now(UTC))
        self.state: str | None = None
        self.request = ""
        self.content = ""
        self.saved = False
        self.editors: set[str] = set()
        self.authors: set[str] = set()
        self.approvals: dict[tuple[int, str], set[str]] = {}
        self.reviewers: set[tuple[int, str, str]] = set()
        self.cycle = 0
        self.required = self.needed = 1
        self.live = self.base = 1
        self.numbers = {1}
        self.events = 1  # the pack was loaded

    def actor(self, name: str) -> Actor:
        return Actor(self.tenant, name, frozenset(SCOPES))

    def attempt(self, call, *arguments: object) -> object | None:  # type: ignore[no-untyped-def]
        """The result, or None when it was refused; either way one event."""
        self.events += 1
        try:
            return call(*arguments)
        except Refused:
            return None

    @property
    def stands(self) -> bool:
        return self.state not in (None, "published", "rejected", "withdrawn")

    @rule(who=st.sampled_from(PEOPLE), title=st.sampled_from(TITLES))
    def edit(self, who: str, title: str) -> None:
        actor = self.actor(who)
        view = self.service.read(actor, RULE_SET)
        if not self.saved:
            self.base = self.live
        saved = self.service.save(actor, RULE_SET, CONTENTS[title], view.record.etag)
        self.events += 1
        self.saved = True
        self.editors.add(who)
        self.content = saved.record.content_sha256
        if self.stands and self.content != self.under_request:
            self.events += 1  # the change request's own
            self.authors.add(who)
            self.cycle += 1
            self.state, self.under_request = "draft", self.content

    @rule(who=st.sampled_from(PEOPLE))
    def open(self, who: str) -> None:
        try:
            opened = self.attempt(self.control.open, self.actor(who), RULE_SET, "A change", "Because")
        except NotFound:
            self.events -= 1
            raise
        assert (opened is not None) == (self.saved and not self.stands)
        if opened is not None:
            self.request, self.state, self.cycle, self.under_request = opened.record.change_request_id, "draft", 1, self.content
            self.authors = {who, *self.editors}
            self.approvals, self.reviewers = {}, set()
            self.needed = self.required

    @rule(who=st.sampled_from(PEOPLE))
    def submit(self, who: str) -> None:
        if self.request:
            submitted = self.attempt(self.control.submit, self.actor(who), self.request)
            assert (submitted is not None) == (self.state in ("draft", "changes_requested", "publish_failed"))
            if submitted is not None:
                self.events += 1  # the check that comes before
                self.cycle += self.state == "changes_requested"
                self.state = "in_review"
                self.needed = self.required

    @rule(who=st.sampled_from(PEOPLE), verdict=st.sampled_from(VERDICTS), stale=st.booleans())
    def review(self, who: str, verdict: str, stale: bool) -> None:
        if self.request:
            sha256 = "0" * 64 if stale else self.under_request
            reviewed = self.attempt(self.control.review, self.actor(who), self.request, verdict, sha256, None)
            mine = (self.cycle, self.under_request, who)
            may = self.state == "in_review" and who not in self.authors and not stale and mine not in self.reviewers
            assert (reviewed is not None) == may
            if may:
                self.reviewers.add(mine)
                given = self.approvals.setdefault((self.cycle, self.under_request), set())
                if verdict == "approve":
                    given.add(who)
                    self.state = "approved" if len(given) >= self.needed else "in_review"
                else:
                    self.state = {"request_changes": "changes_requested", "reject": "rejected"}[verdict]

    @rule(who=st.sampled_from(PEOPLE))
    def publish(self, who: str) -> None:
        if self.request:
            may = self.state in ("approved", "scheduled") and self.base == self.live
            published = self.attempt(self.publishing.publish, self.actor(who), self.request)
            assert (published is not None) == may
            if published is not None:
                self.was_published(published.number)

    def was_published(self, number: int) -> None:
        given = self.approvals.get((self.cycle, self.under_request), set())
        assert len(given) >= self.needed
        assert not given & self.authors, "somebody approved their own work"
        assert number == self.live + 1
        self.state, self.saved, self.editors, self.live = "published", False, set(), number
        self.numbers.add(number)

    @rule(who=st.sampled_from(PEOPLE))
    def schedule(self, who: str) -> None:
        if self.request:
            scheduled = self.attempt(self.control.schedule, self.actor(who), self.request, datetime.now(UTC) + timedelta(days=1))
            assert (scheduled is not None) == (self.state in ("approved", "scheduled"))
            self.state = "scheduled" if scheduled is not None else self.state

    @rule()
    def the_day_comes(self) -> None:
        done = [job.result for job in run_waiting(self.database, self.jobs, self.tenant) if job.kind == "scheduled_publication"]
        mine = [one["number"] for one in done if one is not None and one["published"]]
        if self.state == "scheduled":
            self.events += 1
            if self.base == self.live:
                self.was_published(mine[-1])
            else:
                self.events += 1  # refused, and noted as failed
                self.state = "publish_failed"

    @rule(who=st.sampled_from(PEOPLE))
    def unschedule(self, who: str) -> None:
        if self.request:
            taken_off = self.attempt(self.control.unschedule, self.actor(who), self.request)
            assert (taken_off is not None) == (self.state == "scheduled")
            self.state = "approved" if taken_off is not None else self.state

    @rule(who=st.sampled_from(PEOPLE))
    def recall(self, who: str) -> None:
        if self.request:
            recalled = self.attempt(self.control.recall, self.actor(who), self.request, "Not yet")
            assert (recalled is not None) == (self.state in ("in_review", "approved", "scheduled") and who in self.authors)
            if recalled is not None:
                self.state = "draft"
                self.cycle += 1

    @rule(who=st.sampled_from(PEOPLE))
    def withdraw(self, who: str) -> None:
        if self.request:
            withdrawn = self.attempt(self.control.withdraw, self.actor(who), self.request, "Not now")
            assert (withdrawn is not None) == self.stands
            self.state = "withdrawn" if withdrawn is not None else self.state

    @rule(who=st.sampled_from(PEOPLE), number=st.integers(1, 4))
    def roll_back(self, who: str, number: int) -> None:
        if number in self.numbers:
            rolled = self.attempt(self.publishing.roll_back, self.actor(who), RULE_SET, number, "Back")
            assert (rolled is not None) == (number != self.live)
            if rolled is not None:
                self.live = rolled.number
                self.numbers.add(self.live)

    @rule(share=st.sampled_from(("0.010000", "0.030000")))
    def an_impact_is_found(self, share: str) -> None:
        if not self.request:
            return
        self.control.note_impact(self.tenant, "ada", RULE_SET, self.under_request, Decimal(share), "jb_0")
        if self.stands and share > "0.02" and self.needed < 2:
            self.events += 1
            self.needed = 2
            given = self.approvals.get((self.cycle, self.under_request), set())
            if self.state in ("approved", "scheduled") and len(given) < 2:
                self.state = "in_review"

    @rule(count=st.sampled_from((1, 1, 2)))
    def set_approvals(self, count: int) -> None:
        self.control.set_control(self.actor("ada"), RULE_SET, Control(count), "Because")
        self.events += 1
        self.required = count

    @invariant()
    def the_service_stands_where_the_model_stands(self) -> None:
        if not hasattr(self, "events"):
            return
        with type(self).database.reading() as connection:
            assert audit_log.head(connection, self.tenant)[0] == self.events
            epoch = catalog.current_epoch(connection, self.tenant)
            assert [one.number for one in catalog.publications(connection, self.tenant, epoch, RULE_SET)] == sorted(self.numbers)
            if self.request:
                record = change_requests.find(connection, self.tenant, self.request)
                assert (record.state, record.review_cycle) == (self.state, self.cycle)
                assert set(change_requests.authors(connection, self.tenant, self.request)) == self.authors


def explore(database: Database, examples: int, steps: int) -> None:
    """Run the machine on a database."""
    with tempfile.TemporaryDirectory() as folder:
        publish_packs(database, "trials", [read_pack(PACKS / RULE_SET)], "tests")
        service = Drafts(database, SnapshotRegistry(database, EditionFiles(Path(folder))), PACKS / "reference_samples")
        actor = Actor("trials", "tests", frozenset(SCOPES))
        reports = {}
        for title, files in CONTENTS.items():
            report = service.check_content(actor, RULE_SET, files, {}, {})
            assert report.passed, report
            with database.reading() as connection:
                run = drafts.last_check_run(connection, "trials", RULE_SET, report.content_sha256)
            assert run is not None
            reports[title] = dict(run.report)
    machine = type("LifecycleOnDatabase", (Lifecycle,), {"database": database, "reports": reports})
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            phases=(Phase.explicit, Phase.generate),
        ),
    )


def test_whatever_four_people_do_nothing_is_published_unapproved(database: Database) -> None:
    explore(database, examples=40, steps=40)


@pytest.mark.deep
def test_whatever_four_people_do_for_long_nothing_is_published_unapproved(database: Database) -> None:
    explore(database, examples=120, steps=60)
