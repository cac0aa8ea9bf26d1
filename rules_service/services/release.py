"""The last step of every publication of rule sets: payers added, standing emergencies carried on or ratified, one epoch raised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from rules_service.engine.policy import Publication
from rules_service.packs.read import Pack
from rules_service.rules.rule import EmergencyMeasure, Manifest
from rules_service.storage import audit_log, catalog, emergencies
from rules_service.storage.catalog import PublicationRecord
from rules_service.workflow.audit_chain import Event

Release = tuple[Pack, Mapping[str, bytes]]
"""A pack and its files."""


def release(connection: Connection, tenant_id: str, packs: Sequence[Release], who: str, reason: str, now: datetime) -> int:
    """Publish packs in the caller's transaction; the epoch.

    An emergency of a rule whose content the publication changes is ratified by it and ends; every other one is carried on.
    """
    catalog.lock_tenant(connection, tenant_id)
    content = catalog.EpochContent()
    before = catalog.current_epoch(connection, tenant_id)
    live = {record.rule_set_id: record for record in catalog.latest_publications(connection, tenant_id, before)}
    payers = {payer.payer_id: payer for payer in catalog.payers(connection, tenant_id, before)}
    ratified: list[EmergencyMeasure] = []
    for pack, files in packs:
        publication = pack.publication()
        carried, ended = _emergencies(live.get(publication.rule_set_id), publication.manifest)
        ratified += ended
        content.publications.append((with_emergencies(publication, carried), pack.tables, files))
        content.payers.extend(_changed_payers(pack, payers))
    epoch = catalog.publish(connection, tenant_id, content, who, reason, now)
    for measure in ratified:
        emergencies.end(connection, tenant_id, measure.emergency_id, "ratified", who, epoch, now)
        event = Event(who, "emergency.ended", "emergency", measure.emergency_id, details={"how": "ratified", "rule_id": measure.rule_id, "catalog_epoch": epoch})  # fmt: skip
        audit_log.append(connection, tenant_id, now, event)
    return epoch


def with_emergencies(publication: Publication, measures: Sequence[EmergencyMeasure]) -> Publication:
    """The same publication under these measures."""
    manifest = msgspec.structs.replace(publication.manifest, emergencies=tuple(sorted(measures, key=lambda one: one.emergency_id)))
    return Publication(publication.rule_set_id, publication.number, manifest.sha256(), manifest, publication.contents)


def _emergencies(live: PublicationRecord | None, new: Manifest) -> tuple[list[EmergencyMeasure], list[EmergencyMeasure]]:
    """(carried on, ratified): those of rules whose content stays as it is, and those of rules it changes or leaves out."""
    if live is None:
        return [], []
    old = live.manifest
    carried: list[EmergencyMeasure] = []
    ratified: list[EmergencyMeasure] = []
    for measure in old.emergencies:
        (carried if _said(old, measure.rule_id) == _said(new, measure.rule_id) else ratified).append(measure)
    return carried, ratified


def _said(manifest: Manifest, rule_id: str) -> set[str]:
    return {window.sha256 for window in manifest.windows if window.rule_id == rule_id}


def _changed_payers(pack: Pack, known: Mapping[str, catalog.PayerRecord]) -> list[catalog.PayerRecord]:
    found = []
    for payer in pack.file.payers:
        aliases = dict.fromkeys(payer.aliases, "alias") | {identifier: house for house, identifier in payer.clearinghouse_ids.items()}
        record = catalog.PayerRecord(payer.payer_id, payer.name, payer.line_of_business, payer.parent, aliases)
        if known.get(payer.payer_id) != record:
            found.append(record)
    return found
