"""What is to come: windows that begin or end, emergencies and sources that run out, scheduled changes; and what preview rules would find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from rules_service.primitives.errors import NotFound
from rules_service.primitives.money import Money
from rules_service.services.acting import Actor, now_utc
from rules_service.storage import catalog, change_requests, emergencies, evidence
from rules_service.storage.catalog import EditionRecord, PublicationRecord
from rules_service.storage.database import Database

What = Literal["window_begins", "window_ends", "source_due", "emergency_expires", "change_scheduled", "edition_ends"]
SAMPLES = 20


@dataclass(frozen=True, slots=True)
class Upcoming:
    """Something that will change how claims are judged, without anybody doing anything more."""

    on: date
    what: What
    rule_set_id: str
    rule_id: str | None
    version: int | None
    text: str


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """What a rule in preview would have found since an instant. `amount_at_risk` in dollars, as decimal text."""

    rule_id: str
    stage: str
    since: datetime
    evaluations: int
    findings: int
    by_code: dict[str, int]
    by_severity: dict[str, int]
    amount_at_risk: str
    samples: tuple[str, ...]


class Outlook:
    """Reads of what is published with the days to come in mind."""

    def __init__(self, database: Database, time_zone: str) -> None:
        self._database = database
        self._zone = ZoneInfo(time_zone)

    def upcoming(self, actor: Actor, days: int, rule_set_id: str | None) -> list[Upcoming]:
        """What changes within so many days from today, soonest first."""
        today = now_utc().astimezone(self._zone).date()
        last = min(date.max.toordinal(), today.toordinal() + days)
        with self._database.reading() as connection:
            epoch = catalog.current_epoch(connection, actor.tenant_id)
            live = [
                one for one in catalog.latest_publications(connection, actor.tenant_id, epoch) if rule_set_id in (None, one.rule_set_id)
            ]
            found = [change for record in live for change in _of_manifest(record)]
            found += [change for record in live for change in self._of_emergencies(connection, actor, record)]
            found += self._of_schedules(connection, actor, rule_set_id)
            found += _of_editions(catalog.editions(connection, actor.tenant_id, epoch), rule_set_id)
        kept = [one for one in found if today < one.on and one.on.toordinal() <= last]
        return sorted(kept, key=lambda one: (one.on, one.rule_set_id, one.rule_id or "", one.what))

    def _of_emergencies(self, connection: Connection, actor: Actor, record: PublicationRecord) -> Iterator[Upcoming]:
        for one in emergencies.of_rule_set(connection, actor.tenant_id, record.rule_set_id):
            if one.how is None:
                day = one.expires_at.astimezone(self._zone).date()
                text = f"The emergency of {one.rule_id} expires: the rule stands as before, unless a change ratifies it first."
                yield Upcoming(day, "emergency_expires", record.rule_set_id, one.rule_id, None, text)

    def _of_schedules(self, connection: Connection, actor: Actor, rule_set_id: str | None) -> list[Upcoming]:
        found = change_requests.listed(connection, actor.tenant_id, "scheduled", rule_set_id, 1_000)
        return [
            Upcoming(
                one.scheduled_for.astimezone(self._zone).date(), "change_scheduled", one.rule_set_id, None, None,
                f"Change request {one.change_request_id} is published: {one.title}",
            )
            for one in found
            if one.scheduled_for is not None
        ]  # fmt: skip

    def preview(self, actor: Actor, rule_id: str, days: int) -> PreviewReport:
        """What a rule in preview would have found in the last days; NotFound for a rule that is not published."""
        since = now_utc() - timedelta(days=days)
        with self._database.reading() as connection:
            epoch = catalog.current_epoch(connection, actor.tenant_id)
            stages = [
                publication.contents[window.sha256].stage
                for publication in catalog.live_publications(connection, actor.tenant_id, epoch)
                for window in publication.manifest.windows
                if window.rule_id == rule_id
            ]
            if not stages:
                raise NotFound("no such rule is published")
            found = evidence.preview_findings(connection, actor.tenant_id, rule_id, since)
        ids = dict.fromkeys(evaluation_id for evaluation_id, _, _, _ in found)
        return PreviewReport(
            rule_id, stages[-1], since, len(ids), len(found), dict(sorted(Counter(code for _, code, _, _ in found).items())),
            dict(sorted(Counter(severity for _, _, severity, _ in found).items())), str(Money(sum(cents for _, _, _, cents in found))),
            tuple(ids)[:SAMPLES],
        )  # fmt: skip


def _of_editions(editions: Sequence[EditionRecord], rule_set_id: str | None) -> Iterator[Upcoming]:
    """The day after the last one any edition of a table answers for: from then on its rules are not judged."""
    last: dict[str, date] = {}
    for one in editions:
        last[one.name] = max(last.get(one.name, date.min), one.coverage.last or date.max)
    for name, day in sorted(last.items()):
        target = f"{change_requests.REFERENCE}{name}"
        if day < date.max and rule_set_id in (None, target):
            text = f"No edition of {name} answers for days from then on: what needs it is not evaluated until one is loaded."
            yield Upcoming(day + timedelta(days=1), "edition_ends", target, None, None, text)


def _of_manifest(record: PublicationRecord) -> Iterator[Upcoming]:
    windows = record.manifest.windows
    begins = {(window.rule_id, window.effective_from) for window in windows}
    for window in windows:
        name = f"{window.rule_id} version {window.version}"
        yield Upcoming(
            window.effective_from, "window_begins", record.rule_set_id, window.rule_id, window.version, f"{name} begins to apply."
        )
        if window.effective_through is not None and window.effective_through < date.max:
            day = window.effective_through + timedelta(days=1)
            if (window.rule_id, day) not in begins:
                text = f"{name} applies no more, and no other version takes its place."
                yield Upcoming(day, "window_ends", record.rule_set_id, window.rule_id, window.version, text)
        if window.reverify_by is not None and window.reverify_by < date.max:
            text = f"A source of {name} was not verified again: from this day its findings are warnings."
            yield Upcoming(window.reverify_by + timedelta(days=1), "source_due", record.rule_set_id, window.rule_id, window.version, text)
