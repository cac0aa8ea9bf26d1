"""Repository of what is published: tenants, epochs, payers, rule sets, publications, rule versions, reference editions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from rules_service.engine.policy import Publication
from rules_service.primitives.canonical import canonical_bytes
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import InputError, Issue, NotFound
from rules_service.rules.rule import Manifest, RuleVersionContent
from rules_service.storage import outbox
from rules_service.storage import tables as t
from rules_service.storage.blobs import store_blob
from rules_service.workflow.news import ReferenceEditionPublished, RuleSetPublished

_tenant = t.core(t.Tenant)
_catalog_epoch = t.core(t.CatalogEpoch)
_payer = t.core(t.Payer)
_payer_alias = t.core(t.PayerAlias)
_rule_set = t.core(t.RuleSet)
_rule_version = t.core(t.RuleVersion)
_publication = t.core(t.Publication)
_publication_window = t.core(t.PublicationWindow)
_reference_edition = t.core(t.ReferenceEdition)


@dataclass(frozen=True, slots=True)
class PayerRecord:
    """A payer with the names and ids by which claims call it: alias to source (`alias`, or a clearinghouse)."""

    payer_id: str
    name: str
    line_of_business: str | None = None
    parent: str | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EditionRecord:
    """A reference edition without its bytes."""

    name: str
    edition: str
    epoch: int
    sha256: str
    coverage: EffectivePeriod
    rows: int
    sources: tuple[Mapping[str, Any], ...]
    loaded_at: datetime
    loaded_by: str

    @property
    def is_partial(self) -> bool:
        """Whether its files are an extract of the published table."""
        return any(source.get("partial") for source in self.sources)


@dataclass(frozen=True, slots=True)
class PublicationRecord:
    """A publication's identity and manifest."""

    rule_set_id: str
    number: int
    epoch: int
    sha256: str
    manifest: Manifest
    source_sha256: str
    published_at: datetime
    published_by: str


@dataclass(slots=True)
class EpochContent:
    """What one epoch publishes, all in one transaction."""

    publications: list[tuple[Publication, Mapping[str, bytes], Mapping[str, bytes]]] = field(default_factory=list)
    """(publication, tables by name, source files by path)."""
    editions: list[tuple[str, str, EffectivePeriod, bytes, int, Sequence[Mapping[str, Any]]]] = field(default_factory=list)
    """(table name, edition label, coverage, bytes, rows, sources)."""
    payers: list[PayerRecord] = field(default_factory=list)
    """Payers added or changed; those not named stay as they are."""


def ensure_tenant(connection: Connection, tenant_id: str, name: str, now: datetime) -> None:
    """The tenant, made when it does not exist."""
    if connection.execute(select(_tenant.c.tenant_id).where(_tenant.c.tenant_id == tenant_id)).first() is None:
        connection.execute(insert(_tenant).values(tenant_id=tenant_id, name=name, catalog_epoch=0, created_at=now))


def has_tenant(connection: Connection, tenant_id: str) -> bool:
    """Whether the tenant exists."""
    return connection.execute(select(_tenant.c.tenant_id).where(_tenant.c.tenant_id == tenant_id)).first() is not None


def lock_tenant(connection: Connection, tenant_id: str) -> None:
    """Hold the tenant's row until the transaction ends: others who change its catalog wait. (SQLite has one writer anyway.)"""
    connection.execute(select(_tenant.c.tenant_id).where(_tenant.c.tenant_id == tenant_id).with_for_update())


def current_epoch(connection: Connection, tenant_id: str) -> int:
    """The tenant's latest epoch; 0 before its first publication."""
    epoch = connection.execute(select(_tenant.c.catalog_epoch).where(_tenant.c.tenant_id == tenant_id)).scalar()
    if epoch is None:
        raise NotFound("no such tenant")
    return int(epoch)


def current_versions(connection: Connection, tenant_id: str) -> tuple[int, int]:
    """(epoch, version of the waivers) of a tenant, read without a lock: what a snapshot is held to."""
    row = connection.execute(select(_tenant.c.catalog_epoch, _tenant.c.waivers_version).where(_tenant.c.tenant_id == tenant_id)).first()
    if row is None:
        raise NotFound("no such tenant")
    return row.catalog_epoch, row.waivers_version


def publish(connection: Connection, tenant_id: str, content: EpochContent, who: str, reason: str, now: datetime) -> int:
    """Raise the epoch by one, store what it publishes and tell the outside. The tenant row's lock serialises publications."""
    connection.execute(update(_tenant).where(_tenant.c.tenant_id == tenant_id).values(catalog_epoch=_tenant.c.catalog_epoch + 1))
    epoch = current_epoch(connection, tenant_id)
    latest = connection.execute(select(func.max(_catalog_epoch.c.known_at)).where(_catalog_epoch.c.tenant_id == tenant_id)).scalar()
    known_at = now if latest is None else max(now, datetime.fromtimestamp(latest.timestamp() + 1e-6, UTC))
    connection.execute(insert(_catalog_epoch).values(tenant_id=tenant_id, epoch=epoch, known_at=known_at, published_by=who, reason=reason))
    for publication, pack_tables, files in content.publications:
        _store_publication(connection, tenant_id, epoch, publication, pack_tables, files, who, now)
    for name, label, coverage, blob, rows, sources in content.editions:
        sha256 = store_blob(connection, tenant_id, blob)
        connection.execute(
            insert(_reference_edition).values(
                tenant_id=tenant_id, name=name, edition=label, epoch=epoch, sha256=sha256, coverage_from=coverage.first,
                coverage_through=coverage.last, rows=rows, sources=canonical_bytes(list(sources)).decode(), loaded_at=now, loaded_by=who,
            )
        )  # fmt: skip
        outbox.send_out(connection, tenant_id, ReferenceEditionPublished(name=name, edition=label, catalog_epoch=epoch), now)
    if content.payers:
        directory = {payer.payer_id: payer for payer in payers(connection, tenant_id, epoch - 1)}
        directory.update({payer.payer_id: payer for payer in content.payers})
        _one_owner_a_name(directory)
        _store_payers(connection, tenant_id, epoch, directory)
    return epoch


def _store_publication(
    connection: Connection, tenant_id: str, epoch: int, publication: Publication, pack_tables: Mapping[str, bytes], files: Mapping[str, bytes],
    who: str, now: datetime,
) -> None:  # fmt: skip
    rule_set_id = publication.rule_set_id
    if (
        connection.execute(
            select(_rule_set.c.rule_set_id).where(_rule_set.c.tenant_id == tenant_id, _rule_set.c.rule_set_id == rule_set_id)
        ).first()
        is None
    ):
        connection.execute(insert(_rule_set).values(tenant_id=tenant_id, rule_set_id=rule_set_id, created_at=now))
    known = set(connection.execute(select(_rule_version.c.sha256).where(_rule_version.c.tenant_id == tenant_id)).scalars())
    for sha256, version in sorted(publication.contents.items()):
        if sha256 not in known:
            row = {
                "tenant_id": tenant_id,
                "sha256": sha256,
                "rule_id": version.rule_id,
                "body": canonical_bytes(version),
                "created_at": now,
            }
            connection.execute(insert(_rule_version).values(**row))
    for blob in pack_tables.values():
        store_blob(connection, tenant_id, blob)
    source = store_blob(connection, tenant_id, canonical_bytes({path: data.decode("utf-8") for path, data in files.items()}))
    last = connection.execute(
        select(func.max(_publication.c.number)).where(_publication.c.tenant_id == tenant_id, _publication.c.rule_set_id == rule_set_id)
    ).scalar()
    number = (last or 0) + 1
    connection.execute(
        insert(_publication).values(
            tenant_id=tenant_id, rule_set_id=rule_set_id, number=number, epoch=epoch, sha256=publication.sha256,
            manifest=canonical_bytes(publication.manifest), source_sha256=source, published_at=now, published_by=who,
        )
    )  # fmt: skip
    for window in publication.manifest.windows:
        connection.execute(
            insert(_publication_window).values(
                tenant_id=tenant_id, rule_set_id=rule_set_id, number=number, rule_id=window.rule_id, version=window.version,
                sha256=window.sha256, effective_from=window.effective_from, effective_through=window.effective_through,
            )
        )  # fmt: skip
    outbox.send_out(connection, tenant_id, RuleSetPublished(rule_set_id=rule_set_id, number=number, catalog_epoch=epoch), now)


def _one_owner_a_name(directory: Mapping[str, PayerRecord]) -> None:
    owners: dict[str, str] = {}
    for payer in directory.values():
        for alias in payer.aliases:
            if owners.setdefault(alias, payer.payer_id) != payer.payer_id:
                message = f"A name of {payer.payer_id} is a name of {owners[alias]} too."
                raise InputError("Two payers have one name", [Issue("PK021", "/payers", message, "Give each payer names of its own.")])


def _store_payers(connection: Connection, tenant_id: str, epoch: int, directory: Mapping[str, PayerRecord]) -> None:
    for payer in directory.values():
        connection.execute(
            insert(_payer).values(
                tenant_id=tenant_id,
                epoch=epoch,
                payer_id=payer.payer_id,
                name=payer.name,
                line_of_business=payer.line_of_business,
                parent=payer.parent,
            )
        )
    for payer in directory.values():
        for alias, source in payer.aliases.items():
            row = {"tenant_id": tenant_id, "epoch": epoch, "alias": alias, "payer_id": payer.payer_id, "source": source}
            connection.execute(insert(_payer_alias).values(**row))


def payers(connection: Connection, tenant_id: str, epoch: int) -> list[PayerRecord]:
    """The payer directory as of an epoch."""
    latest = connection.execute(select(func.max(_payer.c.epoch)).where(_payer.c.tenant_id == tenant_id, _payer.c.epoch <= epoch)).scalar()
    if latest is None:
        return []
    aliases: dict[str, dict[str, str]] = {}
    for row in connection.execute(
        select(_payer_alias.c.payer_id, _payer_alias.c.alias, _payer_alias.c.source).where(
            _payer_alias.c.tenant_id == tenant_id, _payer_alias.c.epoch == latest
        )
    ):
        aliases.setdefault(row.payer_id, {})[row.alias] = row.source
    found = connection.execute(
        select(_payer.c.payer_id, _payer.c.name, _payer.c.line_of_business, _payer.c.parent)
        .where(_payer.c.tenant_id == tenant_id, _payer.c.epoch == latest)
        .order_by(_payer.c.payer_id)
    )
    return [
        PayerRecord(row.payer_id, row.name, row.line_of_business, row.parent, dict(sorted(aliases.get(row.payer_id, {}).items())))
        for row in found
    ]


def publications(connection: Connection, tenant_id: str, epoch: int, rule_set_id: str | None = None) -> list[PublicationRecord]:
    """Every publication up to an epoch, oldest first; of one rule set when named."""
    table = _publication.c
    query = select(
        table.rule_set_id, table.number, table.epoch, table.sha256, table.manifest, table.source_sha256, table.published_at, table.published_by
    ).where(table.tenant_id == tenant_id, table.epoch <= epoch)  # fmt: skip
    if rule_set_id is not None:
        query = query.where(table.rule_set_id == rule_set_id)
    return [
        PublicationRecord(
            row.rule_set_id,
            row.number,
            row.epoch,
            row.sha256,
            msgspec.json.decode(row.manifest, type=Manifest),
            row.source_sha256,
            row.published_at,
            row.published_by,
        )
        for row in connection.execute(query.order_by(table.rule_set_id, table.number))
    ]


def publications_of(connection: Connection, tenant_id: str, rule_set_id: str) -> list[PublicationRecord]:
    """Every publication of a rule set, oldest first: the last one is live."""
    return publications(connection, tenant_id, current_epoch(connection, tenant_id), rule_set_id)


def latest_publications(connection: Connection, tenant_id: str, epoch: int) -> list[PublicationRecord]:
    """The latest publication of every rule set as of an epoch, by rule set id."""
    return list({record.rule_set_id: record for record in publications(connection, tenant_id, epoch)}.values())


def live_publications(connection: Connection, tenant_id: str, epoch: int) -> list[Publication]:
    """The latest publication of every rule set as of an epoch, with its contents."""
    latest = latest_publications(connection, tenant_id, epoch)
    wanted = {window.sha256 for record in latest for window in record.manifest.windows}
    found = contents(connection, tenant_id, wanted)
    return [
        Publication(
            record.rule_set_id,
            record.number,
            record.sha256,
            record.manifest,
            {window.sha256: found[window.sha256] for window in record.manifest.windows},
        )
        for record in latest
    ]


def editions(connection: Connection, tenant_id: str, epoch: int) -> list[EditionRecord]:
    """Every reference edition published up to an epoch."""
    table = _reference_edition.c
    query = (
        select(
            table.name,
            table.edition,
            table.epoch,
            table.sha256,
            table.coverage_from,
            table.coverage_through,
            table.rows,
            table.sources,
            table.loaded_at,
            table.loaded_by,
        )
        .where(table.tenant_id == tenant_id, table.epoch <= epoch)
        .order_by(table.name, table.coverage_from, table.epoch)
    )
    return [
        EditionRecord(
            row.name,
            row.edition,
            row.epoch,
            row.sha256,
            EffectivePeriod(row.coverage_from, row.coverage_through),
            row.rows,
            tuple(msgspec.json.decode(row.sources)),
            row.loaded_at,
            row.loaded_by,
        )
        for row in connection.execute(query)
    ]


def contents(connection: Connection, tenant_id: str, hashes: set[str]) -> dict[str, RuleVersionContent]:
    """Rule versions by their hashes."""
    rows = connection.execute(select(_rule_version.c.sha256, _rule_version.c.body).where(_rule_version.c.tenant_id == tenant_id))
    return {row.sha256: msgspec.json.decode(row.body, type=RuleVersionContent) for row in rows if row.sha256 in hashes}


def ping(connection: Connection) -> None:
    """Ask the database for anything."""
    connection.execute(select(_tenant.c.tenant_id).limit(1)).first()
