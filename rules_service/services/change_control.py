"""Change requests: open, submit, review, schedule, withdraw. Each transition is one transaction with its audit event; publishing.py publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rules_service.packs.check import CODES
from rules_service.packs.read import Pack
from rules_service.primitives.errors import InputError, Issue, Refused
from rules_service.reference.publishers import TABLES
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.drafts import Drafts, current_draft, live_files, published_versions
from rules_service.services.jobs import Jobs
from rules_service.storage import audit_log, catalog, change_requests, jobs
from rules_service.storage.catalog import PublicationRecord
from rules_service.storage.change_requests import ChangeRequestRecord, Control, ReviewRecord
from rules_service.storage.database import Database
from rules_service.storage.ids import new_id
from rules_service.workflow.difference import first_difference
from rules_service.workflow.lifecycle import Action, State, Verdict, after, allowed


@dataclass(frozen=True, slots=True)
class ChangeRequestView:
    """A change request with its authors, reviews and what it may do next."""

    record: ChangeRequestRecord
    authors: tuple[str, ...]
    reviews: tuple[ReviewRecord, ...]
    actions: tuple[Action, ...]


class ChangeControl:
    """The way from a draft to its approval."""

    def __init__(self, database: Database, draft_service: Drafts, work: Jobs, time_zone: str) -> None:
        self._database = database
        self._drafts = draft_service
        self._jobs = work
        self._zone = ZoneInfo(time_zone)

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
                needed_approvals(connection, actor.tenant_id, rule_set_id, draft.content_sha256), None, None, None, None, None, 1, actor.name, now, now,
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
                require(record, "submit")
                if record.kind == "reference":
                    raise Refused("state-conflict", "An edition is reviewed as it was uploaded: withdraw this, and upload another.")
                draft, _ = current_draft(connection, actor.tenant_id, record.rule_set_id)
                others = live_files(connection, actor.tenant_id)
                published = published_versions(connection, actor.tenant_id, record.rule_set_id)
                records = catalog.publications_of(connection, actor.tenant_id, record.rule_set_id)
            report = self._drafts.check_content(actor, record.rule_set_id, draft.files, others, published)
            if not report.passed or report.pack is None:
                raise _refusal_of(list(report.issues), report.failed_cases)
            with self._database.writing() as connection:
                record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
                require(record, "submit")
                if record.content_sha256 != report.content_sha256:
                    raise Refused("state-conflict", "The draft was saved while it was being checked; submit it again.")
                now = now_utc()
                # What a reviewer sent back is looked at anew: a new cycle, also when the content stayed as it was.
                again = 1 if record.state == "changes_requested" else 0
                record = change_requests.change(
                    connection, actor.tenant_id, record, now, state="in_review", base_number=draft.base_number, failure_reason=None,
                    review_cycle=record.review_cycle + again,
                    required_approvals=needed_approvals(connection, actor.tenant_id, record.rule_set_id, record.content_sha256),
                    retroactive_from=retroactive_from(records[-1] if records else None, report.pack, now, self._zone),
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
            require(record, verdict)
            if actor.name in change_requests.authors(connection, actor.tenant_id, change_request_id):
                raise Refused(
                    "self-approval-forbidden",
                    f"The change request is in state {record.state}; your own work is in it, and somebody else reviews it.",
                )
            if content_sha256 != record.content_sha256:
                raise Refused("state-conflict", "The content changed since you read it; read it again and review that.")
            given = counted(connection, actor.tenant_id, record)
            if actor.name in {one.reviewer for one in given}:
                raise Refused("state-conflict", "You reviewed this content already.")
            now = now_utc()
            review = ReviewRecord(record.review_cycle, actor.name, verdict, content_sha256, comment, now)
            change_requests.add_review(connection, actor.tenant_id, change_request_id, review)
            if verdict != "approve" or approvals([*given, review]) >= record.required_approvals:
                record = change_requests.change(connection, actor.tenant_id, record, now, state=after(record.state, verdict))
            event = actor.event(
                "change_request.reviewed", "change_request", change_request_id, comment, verdict=verdict, content_sha256=content_sha256,
                review_cycle=record.review_cycle, state=record.state,
            )  # fmt: skip
            audit_log.append(connection, actor.tenant_id, now, event)
            return self._view(connection, actor, record)

    def withdraw(self, actor: Actor, change_request_id: str, reason: str) -> ChangeRequestView:
        """End a change request without publishing it; the draft stays."""
        return self.transition(actor, change_request_id, "withdraw", "change_request.withdrawn", reason, {})

    def schedule(self, actor: Actor, change_request_id: str, at: datetime) -> ChangeRequestView:
        """Publish an approved change request at an instant to come. It is published with the scopes of who schedules it."""

        def have_it_run(connection: Connection) -> None:
            scopes = sorted(actor.scopes & {"rules:publish", "rules:publish_retroactive"})
            parameters = {"change_request_id": change_request_id, "at": at.isoformat(), "scopes": scopes}
            self._jobs.make(connection, actor.tenant_id, actor.name, "scheduled_publication", parameters, at)

        def refuse_the_past(_: Connection, record: ChangeRequestRecord) -> None:
            if at <= now_utc():
                raise InputError(
                    "The instant has passed", [Issue("in_the_past", "/at", "The instant lies in the past.", "Name one to come.")]
                )
            if record.retroactive_from is not None and "rules:publish_retroactive" not in actor.scopes:
                detail = f"The change applies from {record.retroactive_from}: this needs the scope rules:publish_retroactive."
                raise Refused("insufficient-scope", detail)

        values = {"scheduled_for": at}
        return self.transition(
            actor, change_request_id, "schedule", "change_request.scheduled", None, values, have_it_run, refuse_the_past, at=at.isoformat()
        )

    def recall(self, actor: Actor, change_request_id: str, reason: str) -> ChangeRequestView:
        """Take a change request back from review: the approvals given are void, and it is submitted again when it is ready."""

        def its_authors(connection: Connection, record: ChangeRequestRecord) -> None:
            if record.kind == "reference":
                raise Refused("state-conflict", "An edition is reviewed as it was uploaded: withdraw this, and upload another.")
            if actor.name not in change_requests.authors(connection, actor.tenant_id, change_request_id):
                raise Refused("state-conflict", "Only those whose work is in a change request recall it; a reviewer asks for changes.")

        return self.transition(
            actor,
            change_request_id,
            "recall",
            "change_request.recalled",
            reason,
            {"scheduled_for": None},
            check=its_authors,
            new_cycle=True,
        )

    def unschedule(self, actor: Actor, change_request_id: str) -> ChangeRequestView:
        """Take an approved change request off its schedule."""
        return self.transition(actor, change_request_id, "unschedule", "change_request.unscheduled", None, {"scheduled_for": None})

    def transition(
        self, actor: Actor, change_request_id: str, action: Action, event: str, reason: str | None, values: dict[str, Any],
        also: Callable[[Connection], None] | None = None, check: Callable[[Connection, ChangeRequestRecord], None] | None = None,
        new_cycle: bool = False, **details: Any,
    ) -> ChangeRequestView:  # fmt: skip
        """Take a change request along one action, with its audit event and what `also` belongs to it, unless `check` refuses it.
        With a new cycle the reviews given so far count no more."""
        with audited_refusal(self._database, actor, event, "change_request", change_request_id), self._database.writing() as connection:
            record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
            require(record, action)
            if check is not None:
                check(connection, record)
            now = now_utc()
            if new_cycle:
                values = values | {"review_cycle": record.review_cycle + 1}
            record = change_requests.change(connection, actor.tenant_id, record, now, state=after(record.state, action), **values)
            told = actor.event(event, "change_request", change_request_id, reason, state=record.state, **details)
            audit_log.append(connection, actor.tenant_id, now, told)
            if also is not None:
                also(connection)
            return self._view(connection, actor, record)

    def note_impact(self, tenant_id: str, who: str, rule_set_id: str, content_sha256: str, share: Decimal, job_id: str) -> None:
        """Hold a change request of this content to the second approval its impact calls for: back to review when one is missing."""
        actor = Actor(tenant_id, who, frozenset())
        with self._database.writing() as connection:
            record = change_requests.find_open(connection, tenant_id, rule_set_id, lock=True)
            if record is None or record.content_sha256 != content_sha256:
                return
            needed = needed_approvals(connection, tenant_id, rule_set_id, content_sha256, share)
            if needed <= record.required_approvals:
                return
            now = now_utc()
            state = after(record.state, "ask_again") or record.state
            if approvals(counted(connection, tenant_id, record)) >= needed:
                state = record.state
            record = change_requests.change(
                connection, tenant_id, record, now, required_approvals=needed, state=state, scheduled_for=record.scheduled_for if state == "scheduled" else None
            )  # fmt: skip
            event = actor.event(
                "change_request.second_approval_needed", "change_request", record.change_request_id, None, state=state, share=str(share), job_id=job_id
            )  # fmt: skip
            audit_log.append(connection, tenant_id, now, event)

    def set_control(self, actor: Actor, rule_set_id: str, wanted: Control, reason: str) -> None:
        """What a change of this rule set, or of a reference table (by `reference:` and its name), needs from now on."""
        now = now_utc()
        with self._database.writing() as connection:
            if rule_set_id.removeprefix(change_requests.REFERENCE) not in TABLES:
                current_draft(connection, actor.tenant_id, rule_set_id)  # NotFound for a rule set that does not exist
            before = change_requests.control(connection, actor.tenant_id, rule_set_id)
            change_requests.set_control(connection, actor.tenant_id, rule_set_id, wanted)
            event = actor.event("rule_set.approvals_set", "rule_set", rule_set_id, reason, before=_plain(before), after=_plain(wanted))
            audit_log.append(connection, actor.tenant_id, now, event)

    def _view(self, connection: Connection, actor: Actor, record: ChangeRequestRecord) -> ChangeRequestView:
        return ChangeRequestView(
            record,
            change_requests.authors(connection, actor.tenant_id, record.change_request_id),
            tuple(change_requests.reviews(connection, actor.tenant_id, record.change_request_id)),
            tuple(action for action in allowed(record.state) if action not in ("edit", "fail", "ask_again")),
        )


def needed_approvals(connection: Connection, tenant_id: str, rule_set_id: str, content_sha256: str, share: Decimal = Decimal(0)) -> int:
    """How many approvals a content needs: those of its rule set, and a second one when any impact found of it lies above the share."""
    wanted = change_requests.control(connection, tenant_id, rule_set_id)
    found = [
        Decimal(str(job.result["share_newly_blocked"]))
        for job in jobs.succeeded(connection, tenant_id, "impact")
        if job.result is not None and job.parameters["content_sha256"] == content_sha256
    ]
    return max(wanted.required_approvals, 2) if max([share, *found]) > wanted.second_above_share else wanted.required_approvals


def require_impact(connection: Connection, tenant_id: str, record: ChangeRequestRecord) -> None:
    """Refused `impact-missing` where the rule set asks for an impact analysis and none of this content has succeeded."""
    if not change_requests.control(connection, tenant_id, record.rule_set_id).impact_required:
        return
    if not any(job.parameters["content_sha256"] == record.content_sha256 for job in jobs.succeeded(connection, tenant_id, "impact")):
        raise Refused("impact-missing", "The rule set is not published without an impact analysis of exactly this content: run one.")


def _plain(control: Control) -> dict[str, Any]:
    return {
        "required_approvals": control.required_approvals,
        "second_above_share": str(control.second_above_share),
        "impact_required": control.impact_required,
    }


def require(record: ChangeRequestRecord, action: Action) -> None:
    """Refused `state-conflict` when the state does not take the action."""
    if after(record.state, action) is None:
        possible = ", ".join(one for one in allowed(record.state) if one not in ("fail", "ask_again")) or "nothing: it has ended"
        raise Refused("state-conflict", f"The change request is in state {record.state}, which takes: {possible}.")


def counted(connection: Connection, tenant_id: str, record: ChangeRequestRecord) -> list[ReviewRecord]:
    """The reviews that count: of this cycle, on this content."""
    given = change_requests.reviews(connection, tenant_id, record.change_request_id)
    return [one for one in given if one.review_cycle == record.review_cycle and one.content_sha256 == record.content_sha256]


def approvals(reviews: Iterable[ReviewRecord]) -> int:
    """How many of them approve."""
    return sum(one.verdict == "approve" for one in reviews)


def retroactive_from(live: PublicationRecord | None, pack: Pack, now: datetime, zone: ZoneInfo) -> date | None:
    """The first past day on which the pack would apply another version than what is live; None when it changes no past day."""
    changed = first_difference(live.manifest.windows if live is not None else (), pack.publication().manifest.windows)
    return changed if changed is not None and changed < now.astimezone(zone).date() else None


def _refusal_of(issues: list[Issue], failed: Sequence[Issue]) -> Refused:
    """Why a content may not be reviewed: an edited published version, windows that overlap, other faults, cases that fail."""
    codes = {issue.code for issue in issues}
    if codes & {"published-version-changed", "PK012"}:
        return Refused("published-version-changed", "A published version was edited; write a new version instead.", issues)
    if "PK005" in codes:
        return Refused("effective-range-conflict", CODES["PK005"], issues)
    if not issues:
        return Refused("checks-failed", "Cases fail.", failed)
    return Refused("content-invalid", f"The content has {len(issues)} faults.", issues)
