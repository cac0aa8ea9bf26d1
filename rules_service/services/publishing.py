"""Publication of approved change requests, at once or on schedule, and rolling back. One transaction each, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rules_service.packs.read import Pack
from rules_service.packs.workspace import laid_out, readable
from rules_service.primitives.errors import InputError, NotFound, Refused
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.change_control import ChangeControl, approvals, counted, require, require_impact, retroactive_from
from rules_service.services.drafts import current_draft
from rules_service.services.edition_review import EditionReview
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.release import release
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, blobs, catalog, change_requests, drafts
from rules_service.storage.change_requests import ChangeRequestRecord
from rules_service.storage.database import Database


@dataclass(frozen=True, slots=True)
class Published:
    """What a publication came to."""

    rule_set_id: str
    number: int
    epoch: int
    retroactive_from: date | None


class Publishing:
    """The one way into the catalog for what was drafted here."""

    def __init__(self, database: Database, control: ChangeControl, work: Jobs, editions: EditionReview, time_zone: str) -> None:
        self._database = database
        self._editions = editions
        self._control = control
        self._jobs = work
        self._zone = ZoneInfo(time_zone)
        work.handle("scheduled_publication", self._scheduled)

    def publish(self, actor: Actor, change_request_id: str) -> Published:
        """Publish an approved change request: epoch, manifest, request, audit event and outbox in one transaction."""
        with audited_refusal(self._database, actor, "change_request.published", "change_request", change_request_id):
            with self._database.reading() as connection:
                record = change_requests.find(connection, actor.tenant_id, change_request_id)
                _require_approvals(connection, actor, record)
            if record.kind == "reference":
                return self._publish_edition(actor, change_request_id)
            with self._database.reading() as connection:
                draft, _ = current_draft(connection, actor.tenant_id, record.rule_set_id)
            with laid_out(record.rule_set_id, draft.files, {}) as folder:
                pack, files = readable(folder), {path: text.encode() for path, text in draft.files.items()}
            with self._database.writing() as connection:
                return self._publish_now(connection, actor, change_request_id, draft.content_sha256, pack, files)

    def _publish_edition(self, actor: Actor, change_request_id: str) -> Published:
        with self._database.writing() as connection:
            record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
            _require_approvals(connection, actor, record)
            now = now_utc()
            first = self._editions.first_day(connection, actor, record)
            retroactive = first if first < now.astimezone(self._zone).date() else None
            _require_retroactive(actor, retroactive)
            number, epoch = self._editions.publish(connection, actor, record, now)
            change_requests.change(
                connection, actor.tenant_id, record, now, state="published", published_number=number, published_epoch=epoch, scheduled_for=None,
                retroactive_from=retroactive,
            )  # fmt: skip
            published = Published(record.rule_set_id, number, epoch, retroactive)
            self._tell(connection, actor, published, "change_request.published", change_request_id, record.reason, now)
            return published

    def _publish_now(
        self, connection: Connection, actor: Actor, change_request_id: str, content_sha256: str, pack: Pack, files: dict[str, bytes]
    ) -> Published:
        record = change_requests.find(connection, actor.tenant_id, change_request_id, lock=True)
        _require_approvals(connection, actor, record)
        if content_sha256 != record.content_sha256:
            raise Refused("state-conflict", "The draft is not the content that was approved.")
        run = drafts.last_check_run(connection, actor.tenant_id, record.rule_set_id, content_sha256)
        if run is None or not run.passed or run.engine_version != ENGINE_VERSION:
            raise Refused(
                "checks-failed",
                f"The change request is in state {record.state}; there is no passed check of exactly this content under the engine that runs: "
                "check the draft again.",
            )
        require_impact(connection, actor.tenant_id, record)
        now = now_utc()
        records = catalog.publications_of(connection, actor.tenant_id, record.rule_set_id)
        live = records[-1] if records else None
        number = live.number if live is not None else 0
        base = next((one for one in records if one.number == record.base_number), None)
        # An emergency publishes the same files again: what was begun before it is not stale.
        if any(base is None or one.source_sha256 != base.source_sha256 for one in records if one.number > record.base_number):
            raise Refused(
                "base-stale",
                f"The change request is in state {record.state}; its draft was begun on publication {record.base_number}, and publication {number} came since: "
                "discard the draft and begin anew.",
            )
        retroactive = retroactive_from(live, pack, now, self._zone)
        _require_retroactive(actor, retroactive)
        epoch = release(connection, actor.tenant_id, [(pack, files)], actor.name, f"change request {change_request_id}", now)
        change_requests.change(
            connection, actor.tenant_id, record, now, state="published", published_number=number + 1, published_epoch=epoch,
            retroactive_from=retroactive, scheduled_for=None,
        )  # fmt: skip
        drafts.remove_draft(connection, actor.tenant_id, record.rule_set_id)
        published = Published(record.rule_set_id, number + 1, epoch, retroactive)
        self._tell(connection, actor, published, "change_request.published", change_request_id, record.reason, now)
        return published

    def _scheduled(self, run: JobRun) -> Mapping[str, Any]:
        """Publish what is scheduled for the job's instant; what is refused becomes publish_failed with its reason."""
        change_request_id, at = str(run.parameters["change_request_id"]), datetime.fromisoformat(run.parameters["at"])
        # What whoever scheduled it might not do by hand, the schedule may not do for them.
        actor = Actor(run.tenant_id, "schedule", frozenset(run.parameters["scopes"]))
        with self._database.reading() as connection:
            record = change_requests.find(connection, run.tenant_id, change_request_id)
        if record.state == "published":  # by a run of this job that was killed before it could say so, or by hand
            return {"published": True, "number": record.published_number, "catalog_epoch": record.published_epoch}
        if record.state != "scheduled" or record.scheduled_for != at:
            return {"published": False, "because": f"the change request is {record.state}"}
        try:
            published = self.publish(actor, change_request_id)
        except (Refused, InputError) as refusal:
            reason = refusal.code if isinstance(refusal, Refused) else "content-invalid"
            values = {"failure_reason": reason, "scheduled_for": None}
            self._control.transition(actor, change_request_id, "fail", "change_request.publish_failed", reason, values)
            return {"published": False, "because": reason}
        return {"published": True, "number": published.number, "catalog_epoch": published.epoch}

    def roll_back(self, actor: Actor, rule_set_id: str, number: int, reason: str) -> Published:
        """Publish the content of an earlier publication again, under a new number. Its approvals were given when it was first published."""
        with audited_refusal(self._database, actor, "rule_set.rolled_back", "rule_set", rule_set_id):
            with self._database.reading() as connection:
                records = catalog.publications_of(connection, actor.tenant_id, rule_set_id)
                chosen = next((record for record in records if record.number == number), None)
                if chosen is None:
                    raise NotFound("no such publication")
                if chosen.number == records[-1].number:
                    raise Refused("state-conflict", f"Publication {number} is the live one.")
                texts = blobs.source_files(connection, actor.tenant_id, chosen.source_sha256)
            with laid_out(rule_set_id, texts, {}) as folder:
                pack = readable(folder)
            with self._database.writing() as connection:
                catalog.lock_tenant(connection, actor.tenant_id)  # nothing is published between this look and the epoch
                live = catalog.publications_of(connection, actor.tenant_id, rule_set_id)[-1]
                if live.number != records[-1].number:
                    raise Refused("base-stale", "Another publication came while this one was prepared.")
                now = now_utc()
                files = {path: text.encode() for path, text in texts.items()}
                retroactive = retroactive_from(live, pack, now, self._zone)
                _require_retroactive(actor, retroactive)
                epoch = release(connection, actor.tenant_id, [(pack, files)], actor.name, f"roll back to {number}", now)
                published = Published(rule_set_id, live.number + 1, epoch, retroactive)
                self._tell(connection, actor, published, "rule_set.rolled_back", rule_set_id, reason, now, to_number=number)
                return published

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
        if published.retroactive_from is not None:
            self._jobs.make(connection, actor.tenant_id, actor.name, "affected_evaluations", {**told, "published_at": now.isoformat()})


def _require_retroactive(actor: Actor, first: date | None) -> None:
    if first is not None and "rules:publish_retroactive" not in actor.scopes:
        raise Refused("insufficient-scope", f"The change applies from {first}: this needs the scope rules:publish_retroactive.")


def _require_approvals(connection: Connection, actor: Actor, record: ChangeRequestRecord) -> None:
    """Refused unless the state takes a publication and the content has its approvals; what is missing is told first."""
    count = approvals(counted(connection, actor.tenant_id, record))
    is_before_approval = record.state in ("draft", "in_review", "changes_requested")
    if not is_before_approval:
        require(record, "publish")
    if is_before_approval or count < record.required_approvals:
        detail = f"The change request is in state {record.state} and has {count} of {record.required_approvals} approvals."
        raise Refused("approvals-missing", detail)
