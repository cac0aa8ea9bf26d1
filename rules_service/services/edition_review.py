"""Editions of reference tables on their way into the catalog: the first of a table is published at once, every later one is reviewed."""

from __future__ import annotations

from datetime import date, datetime

import msgspec
from sqlalchemy import Connection

from rules_service.engine.crosswalk import CROSSWALK
from rules_service.packs.predictions import REMITTANCE_CODES, crosswalk_faults
from rules_service.primitives.canonical import content_hash, sha256_hex
from rules_service.primitives.errors import InputError, Issue, ReferenceFault, Refused
from rules_service.reference.code_table import CodeTable
from rules_service.reference.comparison import EditionDifference, census_issues, compare_editions
from rules_service.reference.readers import Reader, reader_of
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.load_reference import LoadedEdition, Upload, load_parsed, sources_of
from rules_service.storage import audit_log, blobs, catalog, change_requests, edition_proposals
from rules_service.storage.catalog import EditionRecord
from rules_service.storage.change_requests import REFERENCE, ChangeRequestRecord
from rules_service.storage.database import Database
from rules_service.storage.edition_proposals import ProposalRecord
from rules_service.storage.ids import new_id


class EditionReview:
    """Takes uploads, and publishes those that were approved."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, actor: Actor, upload: Upload, accept_census: bool) -> LoadedEdition | ChangeRequestRecord:
        """The edition, published, when it is the table's first or is known already; else the change request it became.

        ReferenceFault when its census does not fit that of the edition before and nobody accepts it; nothing is stored then.
        """
        target = f"{REFERENCE}{upload.name}"
        with audited_refusal(self._database, actor, "reference_edition.proposed", "reference_table", upload.name):
            with self._database.reading() as connection:
                known = self._known(connection, actor.tenant_id, upload.name)
                sha256 = sha256_hex(upload.parsed.blob)
                # The one of this label that answers: an older form of it comes back by review only.
                same = [one for one in known if one.edition == upload.label]
                is_known = bool(same) and (same[-1].sha256, same[-1].coverage) == (sha256, upload.coverage)
                before = blobs.blob(connection, actor.tenant_id, known[-1].sha256) if known and not is_known else None
                faults = self._faults(connection, actor.tenant_id, upload)
            if faults:
                raise ReferenceFault("Predicted codes are not active: nothing was stored", faults)
            if before is None:
                return load_parsed(self._database, actor.tenant_id, upload, actor.name, accept_census)
            difference = compare_editions(_reader(before), _reader(upload.parsed.blob))
            issues = census_issues(upload.name, difference)
            if issues and not accept_census:
                raise ReferenceFault("The census does not fit: nothing was stored", issues)
            with self._database.writing() as connection:
                return self._propose(connection, actor, target, upload, difference, len(known), bool(issues))

    def _known(self, connection: Connection, tenant_id: str, name: str) -> list[EditionRecord]:
        if not catalog.has_tenant(connection, tenant_id):
            return []
        epoch = catalog.current_epoch(connection, tenant_id)
        return sorted((one for one in catalog.editions(connection, tenant_id, epoch) if one.name == name), key=lambda one: one.epoch)

    def _faults(self, connection: Connection, tenant_id: str, upload: Upload) -> list[Issue]:
        """Codes the crosswalk predicts outside the days on which they are active, as far as their table is loaded."""
        codes = self._known(connection, tenant_id, REMITTANCE_CODES) if upload.name == CROSSWALK else []
        if not codes:
            return []
        return list(crosswalk_faults(CodeTable(upload.parsed.blob), CodeTable(blobs.blob(connection, tenant_id, codes[-1].sha256))))

    def _propose(
        self, connection: Connection, actor: Actor, target: str, upload: Upload, difference: EditionDifference, base: int, is_odd: bool
    ) -> ChangeRequestRecord:
        catalog.lock_tenant(connection, actor.tenant_id)
        standing = change_requests.find_open(connection, actor.tenant_id, target)
        if standing is not None:
            raise Refused("change-request-open", f"{standing.change_request_id} proposes an edition of this table: withdraw it first.")
        now = now_utc()
        sha256 = blobs.store_blob(connection, actor.tenant_id, upload.parsed.blob)
        told = [upload.name, upload.label, upload.coverage.first, upload.coverage.last, sha256]
        record = ChangeRequestRecord(
            new_id("cr"), target, "reference", f"{upload.name} {upload.label}", "A new edition of the reference table.", "draft", 1, content_hash(told), base,
            change_requests.control(connection, actor.tenant_id, target).required_approvals, None, None, None, None, None, 1, actor.name, now, now,
        )  # fmt: skip
        change_requests.create(connection, actor.tenant_id, record, [actor.name])
        proposal = ProposalRecord(
            record.change_request_id, upload.name, upload.label, upload.coverage, sha256, upload.parsed.rows, tuple(sources_of(upload)), is_odd,
            msgspec.to_builtins(difference),
        )  # fmt: skip
        edition_proposals.add(connection, actor.tenant_id, proposal)
        record = change_requests.change(connection, actor.tenant_id, record, now, state="in_review")
        event = actor.event(
            "reference_edition.proposed", "change_request", record.change_request_id, edition=f"{upload.name} {upload.label}", sha256=sha256,
            accepted_census=is_odd, content_sha256=record.content_sha256,
        )  # fmt: skip
        audit_log.append(connection, actor.tenant_id, now, event)
        return record

    def proposal(self, actor: Actor, change_request_id: str) -> ProposalRecord:
        """What a change request proposes."""
        with self._database.reading() as connection:
            return edition_proposals.find(connection, actor.tenant_id, change_request_id)

    def first_day(self, connection: Connection, actor: Actor, record: ChangeRequestRecord) -> date:
        """The first day the proposed edition answers for."""
        return edition_proposals.find(connection, actor.tenant_id, record.change_request_id).coverage.first

    def publish(self, connection: Connection, actor: Actor, record: ChangeRequestRecord, now: datetime) -> tuple[int, int]:
        """Publish an approved edition in the caller's transaction: (how many editions the table has, epoch)."""
        proposal = edition_proposals.find(connection, actor.tenant_id, record.change_request_id)
        known = self._known(connection, actor.tenant_id, proposal.name)
        if len(known) != record.base_number:
            raise Refused("base-stale", "Another edition of the table was published since this one was compared: upload it again.")
        blob = blobs.blob(connection, actor.tenant_id, proposal.sha256)
        content = catalog.EpochContent()
        content.editions.append((proposal.name, proposal.edition, proposal.coverage, blob, proposal.rows, list(proposal.sources)))
        reason = f"reference edition {proposal.name} {proposal.edition}"
        return len(known) + 1, catalog.publish(connection, actor.tenant_id, content, actor.name, reason, now)


def _reader(blob: bytes) -> Reader:
    try:
        return reader_of(blob)
    except ValueError:
        raise InputError("The edition cannot be read") from None
