"""What was published when: which versions apply on a day as known at an instant, a rule's history, the difference of two publications."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from rules_service.packs.workspace import laid_out, readable
from rules_service.primitives.errors import InputError, Issue, NotFound
from rules_service.rules.rule import Manifest, RuleVersionContent
from rules_service.services.acting import Actor
from rules_service.services.drafts import current_draft
from rules_service.storage import blobs, catalog, change_requests, publication_history
from rules_service.storage.catalog import PublicationRecord
from rules_service.storage.change_requests import ReviewRecord
from rules_service.storage.database import Database
from rules_service.storage.publication_history import ResolvedWindow
from rules_service.workflow.difference import Change, differences

MAX_TEXT_LINES = 5_000


@dataclass(frozen=True, slots=True)
class Difference:
    """Two states of a rule set: changes in words, and the files' difference as text."""

    rule_set_id: str
    changes: tuple[Change, ...]
    text: str


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A rule in one publication: its windows there, its content's citation, who published and who approved."""

    record: PublicationRecord
    windows: tuple[ResolvedWindow, ...]
    emergency: str | None
    titles: Mapping[str, str]
    citations: Mapping[str, tuple[str, ...]]
    change_request_id: str | None
    authors: tuple[str, ...]
    approvals: tuple[ReviewRecord, ...]


class History:
    """Reads of the publication history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def resolve(
        self, actor: Actor, rule_set_id: str, policy_date: date, known_at: datetime | None, epoch: int | None
    ) -> tuple[int, list[ResolvedWindow], dict[str, str]]:
        """(epoch, rule versions that apply on a policy date, what emergencies do to rules by their ids), all as known then."""
        with self._database.reading() as connection:
            known = self._epoch(connection, actor.tenant_id, known_at, epoch)
            if not catalog.publications_of(connection, actor.tenant_id, rule_set_id):
                raise NotFound("no such rule set")
            records = catalog.publications(connection, actor.tenant_id, known, rule_set_id)
            windows = publication_history.resolve(connection, actor.tenant_id, rule_set_id, policy_date, known)
            return known, windows, records[-1].manifest.measures() if records else {}

    def _epoch(self, connection: Connection, tenant_id: str, known_at: datetime | None, epoch: int | None) -> int:
        current = catalog.current_epoch(connection, tenant_id)
        if epoch is not None:
            if not 0 <= epoch <= current:
                raise InputError("No such epoch", [Issue("epoch", "/epoch", f"Epochs run from 0 to {current}.", "Name one of these.")])
            return epoch
        return current if known_at is None else publication_history.epoch_at(connection, tenant_id, known_at)

    def difference(self, actor: Actor, rule_set_id: str, start: int | None, end: int | None) -> Difference:
        """From one publication (none: from nothing) to another (none: to the draft)."""
        with self._database.reading() as connection:
            records = {record.number: record for record in catalog.publications_of(connection, actor.tenant_id, rule_set_id)}
            before = self._state(connection, actor.tenant_id, rule_set_id, records, start) if start is not None else (None, {}, {})
            if end is not None:
                after = self._state(connection, actor.tenant_id, rule_set_id, records, end)
            else:
                after = _draft_state(rule_set_id, current_draft(connection, actor.tenant_id, rule_set_id)[0].files)
        manifest = after[0]
        if manifest is None:
            raise NotFound("no such state")
        changes = tuple(differences(before[0], before[1], manifest, after[1]))
        return Difference(rule_set_id, changes, _text_difference(before[2], after[2]))

    def _state(
        self, connection: Connection, tenant_id: str, rule_set_id: str, records: Mapping[int, PublicationRecord], number: int
    ) -> tuple[Manifest | None, Mapping[str, RuleVersionContent], Mapping[str, str]]:
        record = records.get(number)
        if record is None:
            raise NotFound(f"no publication {number} of {rule_set_id}")
        contents = catalog.contents(connection, tenant_id, {window.sha256 for window in record.manifest.windows})
        return record.manifest, contents, blobs.source_files(connection, tenant_id, record.source_sha256)

    def rule(self, actor: Actor, rule_id: str) -> list[HistoryEntry]:
        """Every publication that says something of a rule otherwise than the one before it, oldest first."""
        with self._database.reading() as connection:
            epoch = catalog.current_epoch(connection, actor.tenant_id)
            windows = publication_history.windows_of_rule(connection, actor.tenant_id, rule_id)
            if not windows:
                raise NotFound("no such rule")
            contents = catalog.contents(connection, actor.tenant_id, {window.sha256 for window in windows})
            entries: list[HistoryEntry] = []
            last: dict[str, tuple[object, ...]] = {}
            for record in catalog.publications(connection, actor.tenant_id, epoch):
                mine = tuple(one for one in windows if (one.rule_set_id, one.number) == (record.rule_set_id, record.number))
                said = (
                    tuple((one.version, one.sha256, one.effective_from, one.effective_through) for one in mine),
                    record.manifest.measures().get(rule_id),
                )
                if said == last.get(record.rule_set_id, ((), None)):
                    continue
                last[record.rule_set_id] = said
                entries.append(self._entry(connection, actor.tenant_id, record, mine, contents))
        return sorted(entries, key=lambda entry: entry.record.epoch)

    def _entry(
        self, connection: Connection, tenant_id: str, record: PublicationRecord, windows: tuple[ResolvedWindow, ...], contents: Mapping[str, RuleVersionContent]
    ) -> HistoryEntry:  # fmt: skip
        request = change_requests.of_publication(connection, tenant_id, record)
        reviews = change_requests.reviews(connection, tenant_id, request.change_request_id) if request is not None else []
        return HistoryEntry(
            record,
            windows,
            record.manifest.measures().get(windows[0].rule_id) if windows else None,
            {window.sha256: contents[window.sha256].title for window in windows},
            {window.sha256: tuple(citation.title for citation in contents[window.sha256].citations) for window in windows},
            request.change_request_id if request is not None else None,
            change_requests.authors(connection, tenant_id, request.change_request_id) if request is not None else (),
            tuple(
                one for one in reviews if request is not None and one.verdict == "approve" and one.content_sha256 == request.content_sha256
            ),
        )


def _draft_state(rule_set_id: str, files: Mapping[str, str]) -> tuple[Manifest | None, Mapping[str, RuleVersionContent], Mapping[str, str]]:
    with laid_out(rule_set_id, files, {}) as folder:
        publication = readable(folder).publication()
    return publication.manifest, publication.contents, files


def _text_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """A unified diff of the files, cut after MAX_TEXT_LINES."""
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new and len(lines) < MAX_TEXT_LINES:
            lines += difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines[:MAX_TEXT_LINES])
