"""Change requests: open, submit, review, schedule, publish, withdraw; rolling back. Each transition is one transaction with its audit event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rules_service.packs.check import CODES
from rules_service.packs.read import Pack
from rules_service.packs.workspace import inspect, laid_out
from rules_service.primitives.errors import InputError, Issue, NotFound, Refused
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.drafts import Drafts, current_draft, live_files, published_versions
from rules_service.services.load_packs import pack_content
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, catalog, change_requests, drafts, leases
from rules_service.storage.catalog import PublicationRecord
from rules_service.storage.change_requests import ChangeRequestRecord, ReviewRecord
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.workflow.difference import first_difference
from rules_service.workflow.lifecycle import Action, State, Verdict, after, allowed

LEASE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to."""

    rule_set_id: str
    number: int
    epoch: int
    retroactive_from: date | None


@dataclass(frozen=True, slots=True)
class ChangeRequestView:
    """A change request with its authors, reviews and what it may do next."""

    record: ChangeRequestRecord
    authors: tuple[str, ...]
    reviews: tuple[ReviewRecord, ...]
    actions: tuple[Action, ...]


class ChangeControl:
    """The one way from a draft to a publication."""

    def __init__(self, database: Database, draft_service: Drafts, time_zone: str) -> None:
        self._database = database
        self._drafts = draft_service
        self._zone = ZoneInfo(time_zone)
        self._owner = new_id("process")

    def read(self, actor: Actor, change_request_id: str) -> ChangeRequestView:
        """One change request."""
        with self._database.reading() as connection:
            return self._view(connection, actor, change_requests.find(connection, actor.tenant_id, change_request_id))

    def listed(self, actor: Actor, state: State | None, rule_set_id: str | None, limit: int) -> list[ChangeRequestView]:
        """Change requests newest first."""
        with self._database.reading() as connection:
            found = change_requests.listed(connection, actor.tenant_id, state, rule_set_id, limit)
            return [self._view(connection, actor, record) for record in found]

    def open(self, actor: Actor, rule_set_id: str, title: str, reason: str) -> ChangeRequestView:
        """A change request for the saved draft of a rule set. Refused while another one stands."""
        now = now_utc()
        with (
            audited_refusal(self._database, actor, "change_request.opened", "rule_set", rule_set_id),
            self._database.writing() as connection,
        ):
            catalog.lock_tenant(connection, actor.tenant_id)
            draft, saved = current_draft(connection, actor.tenant_id, rule_set_id)
            if not saved:
                raise Refused("state-conflict", "The rule set has no draft: save one before asking for its publication.")
            standing = change_requests.find_open(connection, actor.tenant_id, rule_set_id)
            if standing is not None:
                raise Refused("change-request-open", f"{standing.change_request_id} stands for this rule set in state {standing.state}.")
            record = ChangeRequestRecord(
                new_id("cr"), rule_set_id, "publish", title, reason, "draft", 1, draft.content_sha256, draft.base_number,
                change_requests.required_approvals(connection, actor.tenant_id, rule_set_id), None, None, None, None, None, 1, actor.name, now, now,
            )  # fmt: skip
            change_requests.create(connection, actor.tenant_id, record, {*draft.editors, actor.name})
            event = actor.event(
                "change_request.opened", "change_request", record.change_request_id, reason, content_sha256=record.content_sha256
            )
            audit_log.append(connection, actor.tenant_id, now, event)
            return self._view(connection, actor, record)

    def submit(self, actor: Actor, change_request_id: str) -> ChangeRequestView:
        """Ask for review. The content is checked and its cases run first; faults refuse the submission."""
        with audited_refusal(self._database, actor, "change_request.submitted", "change_request", change_request_id):
            with self._database.reading() as connection:
                record = change_requests.find(connection, actor.tenant_id, change_request_id)
                _require(record, "submit")
                draft, _ = current_draft(connection, actor.tenant_id, record.rule_set_id)
                others = live_files(connection, actor.tenant_id)
                published = published_versions(connection, actor.tenant_id, record.rule_set_id)
                base = self._live(connection, actor.tenant_id, record.rule_set_id)
            report = self._drafts.check_content(actor, record.rule_set_id, draft.files, others, published)
            if not report.passed:
                raise _refusal_of(list(report.issues), report.trial.failed if report.trial is not None else ())
            with laid_out(record.rule_set_id, draft.files, others) as folder:
                pack = _whole(folder)
            changed = first_difference(base.manifest.windows if base else (), pack.publication().manifest.windows)
            with self._database.writing() as connection:
                record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
                _require(record, "submit")
                if record.content_sha256 != report.content_sha256:
                    raise Refused("state-conflict", "The draft was saved while it was being checked; submit it again.")
                now = now_utc()
                record = change_requests.change(
                    connection, actor.tenant_id, record, now, state="in_review", base_number=draft.base_number, failure_reason=None,
                    required_approvals=change_requests.required_approvals(connection, actor.tenant_id, record.rule_set_id),
                    retroactive_from=changed if changed is not None and changed < self._today(now) else None,
                )  # fmt: skip
                event = actor.event(
                    "change_request.submitted", "change_request", change_request_id, content_sha256=record.content_sha256, review_cycle=record.review_cycle,
                    check_run_id=report.check_run_id,
                )  # fmt: skip
                audit_log.append(connection, actor.tenant_id, now, event)
                return self._view(connection, actor, record)

    def review(self, actor: Actor, change_request_id: str, verdict: Verdict, content_sha256: str, comment: str | None) -> ChangeRequestView:
        """One verdict on the content the reviewer saw. Never by somebody whose work is in it."""
        with (
            audited_refusal(self._database, actor, "change_request.reviewed", "change_request", change_request_id),
            self._database.writing() as connection,
        ):
            record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
            _require(record, verdict)
            if actor.name in change_requests.authors(connection, actor.tenant_id, change_request_id):
                raise Refused("self-approval-forbidden", "Your own work is in this change request; somebody else reviews it.")
            if content_sha256 != record.content_sha256:
                raise Refused("state-conflict", "The content changed since you read it; read it again and review that.")
            given = [one for one in change_requests.reviews(connection, actor.tenant_id, change_request_id) if _counts(one, record)]
            if actor.name in {one.reviewer for one in given}:
                raise Refused("state-conflict", "You reviewed this content already.")
            now = now_utc()
            review = ReviewRecord(record.review_cycle, actor.name, verdict, content_sha256, comment, now)
            change_requests.add_review(connection, actor.tenant_id, change_request_id, review)
            approvals = sum(one.verdict == "approve" for one in [*given, review])
            if verdict != "approve" or approvals >= record.required_approvals:
                record = change_requests.change(connection, actor.tenant_id, record, now, state=after(record.state, verdict))
            event = actor.event(
                "change_request.reviewed", "change_request", change_request_id, comment, verdict=verdict, content_sha256=content_sha256,
                review_cycle=record.review_cycle, state=record.state,
            )  # fmt: skip
            audit_log.append(connection, actor.tenant_id, now, event)
            return self._view(connection, actor, record)

    def withdraw(self, actor: Actor, change_request_id: str, reason: str) -> ChangeRequestView:
        """End a change request without publishing it; the draft stays."""
        return self._simple(actor, change_request_id, "withdraw", "change_request.withdrawn", reason, {})

    def schedule(self, actor: Actor, change_request_id: str, at: datetime) -> ChangeRequestView:
        """Publish an approved change request at an instant to come."""
        if at <= now_utc():
            raise InputError("The instant has passed", [Issue("in_the_past", "/at", "The instant lies in the past.", "Name one to come.")])
        return self._simple(
            actor, change_request_id, "schedule", "change_request.scheduled", None, {"scheduled_for": at}, at=at.isoformat()
        )

    def unschedule(self, actor: Actor, change_request_id: str) -> ChangeRequestView:
        """Take an approved change request off its schedule."""
        return self._simple(actor, change_request_id, "unschedule", "change_request.unscheduled", None, {"scheduled_for": None})

    def _simple(
        self, actor: Actor, change_request_id: str, action: Action, event: str, reason: str | None, values: dict[str, Any], **details: Any
    ) -> ChangeRequestView:
        with audited_refusal(self._database, actor, event, "change_request", change_request_id), self._database.writing() as connection:
            record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
            _require(record, action)
            now = now_utc()
            record = change_requests.change(connection, actor.tenant_id, record, now, state=after(record.state, action), **values)
            told = actor.event(event, "change_request", change_request_id, reason, state=record.state, **details)
            audit_log.append(connection, actor.tenant_id, now, told)
            return self._view(connection, actor, record)

    def publish(self, actor: Actor, change_request_id: str) -> Published:
        """Publish an approved change request: epoch, manifest, request, audit event and outbox in one transaction."""
        with audited_refusal(self._database, actor, "change_request.published", "change_request", change_request_id):
            with self._database.reading() as connection:
                record = change_requests.find(connection, actor.tenant_id, change_request_id)
                if record.state in ("draft", "in_review", "changes_requested"):
                    given = change_requests.reviews(connection, actor.tenant_id, change_request_id)
                    count = sum(_counts(one, record) and one.verdict == "approve" for one in given)
                    detail = f"The change request is in state {record.state} and has {count} of {record.required_approvals} approvals."
                    raise Refused("approvals-missing", detail)
                _require(record, "publish")
                draft, _ = current_draft(connection, actor.tenant_id, record.rule_set_id)
            with laid_out(record.rule_set_id, draft.files, {}) as folder:
                pack, files = _whole(folder), {path: text.encode() for path, text in draft.files.items()}
            with self._database.writing() as connection:
                return self._publish_now(connection, actor, change_request_id, draft.content_sha256, pack, files)

    def _publish_now(
        self, connection: Connection, actor: Actor, change_request_id: str, content_sha256: str, pack: Pack, files: dict[str, bytes]
    ) -> Published:
        record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
        _require(record, "publish")
        if content_sha256 != record.content_sha256:
            raise Refused("state-conflict", "The draft is not the content that was approved.")
        counted = [one for one in change_requests.reviews(connection, actor.tenant_id, change_request_id) if _counts(one, record)]
        approvals = sum(one.verdict == "approve" for one in counted)
        if approvals < record.required_approvals:
            raise Refused("approvals-missing", f"The content has {approvals} of {record.required_approvals} approvals.")
        run = drafts.last_check_run(connection, actor.tenant_id, record.rule_set_id, content_sha256)
        if run is None or not run.passed or run.engine_version != ENGINE_VERSION:
            raise Refused(
                "checks-failed", "There is no passed check of exactly this content under the engine that runs: check the draft again."
            )
        now = now_utc()
        content = pack_content(connection, actor.tenant_id, pack, files)
        base = self._live(connection, actor.tenant_id, record.rule_set_id)
        number = base.number if base is not None else 0
        if number != record.base_number:
            raise Refused("base-stale", f"The draft was begun on publication {record.base_number}; publication {number} came since.")
        changed = first_difference(base.manifest.windows if base else (), pack.publication().manifest.windows)
        retroactive = changed if changed is not None and changed < self._today(now) else None
        if retroactive is not None and "rules:publish_retroactive" not in actor.scopes:
            raise Refused("insufficient-scope", f"The change applies from {retroactive}: this needs the scope rules:publish_retroactive.")
        epoch = catalog.publish(connection, actor.tenant_id, content, actor.name, f"change request {change_request_id}", now)
        change_requests.change(
            connection, actor.tenant_id, record, now, state="published", published_number=number + 1, published_epoch=epoch,
            retroactive_from=retroactive, scheduled_for=None,
        )  # fmt: skip
        drafts.remove_draft(connection, actor.tenant_id, record.rule_set_id)
        published = Published(record.rule_set_id, number + 1, epoch, retroactive)
        self._tell(connection, actor, published, "change_request.published", change_request_id, record.reason, now)
        return published

    def publish_due(self, now: datetime) -> list[Published]:
        """Publish what is scheduled for now or earlier; what is refused becomes publish_failed with its reason."""
        with self._database.reading() as connection:
            due = change_requests.due(connection, now)
        published = []
        for tenant_id, change_request_id in due:
            if self._leased(tenant_id, now):
                published += self._publish_scheduled(tenant_id, change_request_id)
        for tenant_id in dict.fromkeys(tenant_id for tenant_id, _ in due):
            with self._database.writing() as connection:
                leases.give_back(connection, tenant_id, "schedule", self._owner)
        return published

    def _leased(self, tenant_id: str, now: datetime) -> bool:
        with self._database.writing() as connection:
            return leases.take(connection, tenant_id, "schedule", self._owner, now, LEASE_SECONDS)

    def _publish_scheduled(self, tenant_id: str, change_request_id: str) -> list[Published]:
        actor = Actor(tenant_id, "schedule", frozenset({"rules:publish", "rules:publish_retroactive"}))
        with self._database.reading() as connection:
            if change_requests.find(connection, tenant_id, change_request_id).state != "scheduled":
                return []  # another process was faster
        try:
            return [self.publish(actor, change_request_id)]
        except (Refused, InputError) as refusal:
            reason = refusal.code if isinstance(refusal, Refused) else "content-invalid"
            values = {"failure_reason": reason, "scheduled_for": None}
            self._simple(actor, change_request_id, "fail", "change_request.publish_failed", reason, values)
            return []

    def roll_back(self, actor: Actor, rule_set_id: str, number: int, reason: str) -> Published:
        """Publish the content of an earlier publication again, under a new number. Its approvals were given when it was first published."""
        with audited_refusal(self._database, actor, "rule_set.rolled_back", "rule_set", rule_set_id):
            with self._database.reading() as connection:
                records = catalog.publications(connection, actor.tenant_id, catalog.current_epoch(connection, actor.tenant_id), rule_set_id)
                chosen = next((record for record in records if record.number == number), None)
                if chosen is None:
                    raise NotFound("no such publication")
                if chosen.number == records[-1].number:
                    raise Refused("state-conflict", f"Publication {number} is the live one.")
                texts = catalog.source_files(connection, actor.tenant_id, chosen.source_sha256)
            with laid_out(rule_set_id, texts, {}) as folder:
                pack = _whole(folder)
            with self._database.writing() as connection:
                live = self._live(connection, actor.tenant_id, rule_set_id)
                if live is None or live.number != records[-1].number:
                    raise Refused("base-stale", "Another publication came while this one was prepared.")
                now = now_utc()
                content = pack_content(connection, actor.tenant_id, pack, {path: text.encode() for path, text in texts.items()})
                changed = first_difference(live.manifest.windows, pack.publication().manifest.windows)
                retroactive = changed if changed is not None and changed < self._today(now) else None
                epoch = catalog.publish(connection, actor.tenant_id, content, actor.name, f"roll back to {number}", now)
                published = Published(rule_set_id, live.number + 1, epoch, retroactive)
                self._tell(connection, actor, published, "rule_set.rolled_back", rule_set_id, reason, now, to_number=number)
                return published

    def set_approvals(self, actor: Actor, rule_set_id: str, count: int, reason: str) -> None:
        """How many approvals a change of this rule set needs from now on."""
        now = now_utc()
        with self._database.writing() as connection:
            before = change_requests.required_approvals(connection, actor.tenant_id, rule_set_id)
            change_requests.set_required_approvals(connection, actor.tenant_id, rule_set_id, count)
            event = actor.event("rule_set.approvals_set", "rule_set", rule_set_id, reason, before=before, after=count)
            audit_log.append(connection, actor.tenant_id, now, event)

    def _tell(
        self, connection: Connection, actor: Actor, published: Published, action: str, object_id: str, reason: str, now: datetime, **details: Any
    ) -> None:  # fmt: skip
        told = {
            "rule_set_id": published.rule_set_id,
            "number": published.number,
            "catalog_epoch": published.epoch,
            "retroactive_from": published.retroactive_from.isoformat() if published.retroactive_from else None,
        }
        kind = "change_request" if action.startswith("change_request") else "rule_set"
        audit_log.append(connection, actor.tenant_id, now, actor.event(action, kind, object_id, reason, **told, **details))
        change_requests.send_out(connection, actor.tenant_id, "rule_set.published", told, now)

    def _live(self, connection: Connection, tenant_id: str, rule_set_id: str) -> PublicationRecord | None:
        records = catalog.publications(connection, tenant_id, catalog.current_epoch(connection, tenant_id), rule_set_id)
        return records[-1] if records else None

    def _today(self, now: datetime) -> date:
        return now.astimezone(self._zone).date()

    def _view(self, connection: Connection, actor: Actor, record: ChangeRequestRecord) -> ChangeRequestView:
        return ChangeRequestView(
            record,
            change_requests.authors(connection, actor.tenant_id, record.change_request_id),
            tuple(change_requests.reviews(connection, actor.tenant_id, record.change_request_id)),
            tuple(action for action in allowed(record.state) if action not in ("edit", "fail")),
        )


def _require(record: ChangeRequestRecord, action: Action) -> None:
    if after(record.state, action) is None:
        possible = ", ".join(one for one in allowed(record.state) if one != "fail") or "nothing: it has ended"
        raise Refused("state-conflict", f"The change request is in state {record.state}, which takes: {possible}.")


def _counts(review: ReviewRecord, record: ChangeRequestRecord) -> bool:
    return review.review_cycle == record.review_cycle and review.content_sha256 == record.content_sha256


def _whole(folder: Any) -> Pack:
    pack, issues = inspect(folder)
    if pack is None:
        raise InputError("The content cannot be read as a pack", issues)
    return pack


def _refusal_of(issues: list[Issue], failed: Any) -> Refused:
    """Why a content may not be reviewed: an edited published version, windows that overlap, other faults, cases that fail."""
    codes = {issue.code for issue in issues}
    if codes & {"published-version-changed", "PK012"}:
        return Refused("published-version-changed", "A published version was edited; write a new version instead.", issues)
    if "PK005" in codes:
        return Refused("effective-range-conflict", CODES["PK005"], issues)
    if not issues:
        found = [Issue("case-failed", fault["where"], fault["message"], "Mend the rule or the case.") for fault in failed]
        return Refused("checks-failed", "Cases fail.", found)
    return Refused("content-invalid", f"The content has {len(issues)} faults.", issues)
