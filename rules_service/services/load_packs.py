"""Publish rule packs directly: check, gate, then one transaction for all of them. What is live already goes by propose_packs.py."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from rules_service.packs.check import check_packs
from rules_service.packs.gate import run_gate
from rules_service.packs.read import Pack, read_pack
from rules_service.packs.samples import read_samples
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.errors import Issue, NotFound, PackFault
from rules_service.reference.publishers import parse_table
from rules_service.services.load_reference import Upload, load_parsed
from rules_service.services.release import Release, release
from rules_service.storage import audit_log, blobs, catalog
from rules_service.storage.database import Database
from rules_service.workflow.audit_chain import Event


@dataclass(frozen=True, slots=True)
class LoadedPacks:
    """What a load published; no epoch when everything was published already."""

    epoch: int | None
    published: tuple[str, ...]
    unchanged: tuple[str, ...]


def load_packs(database: Database, tenant_id: str, folders: list[Path], samples: Path, who: str) -> LoadedPacks:
    """Publish the packs whose content is new, together under one epoch. PackFault lists every fault, and nothing is published."""
    return publish_packs(database, tenant_id, sound_packs(folders, samples), who)


def sound_packs(folders: list[Path], samples: Path) -> list[Pack]:
    """The packs of folders, checked together and passed by the gate; PackFault lists every fault."""
    packs = [read_pack(folder) for folder in folders]
    issues = check_packs(packs)
    if issues:
        raise PackFault(f"{len(issues)} faults: nothing was published", issues)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # each waits for a process of its own
        issues = [issue for faults in pool.map(partial(_gate_faults, samples), folders) for issue in faults]
    if issues:
        raise PackFault("The publish gate refused a pack: nothing was published", issues)
    return packs


def _gate_faults(samples: Path, folder: Path) -> Sequence[Issue]:
    try:
        run_gate(folder, samples)
    except PackFault as fault:
        return fault.issues
    return ()


def publish_packs(database: Database, tenant_id: str, packs: list[Pack], who: str) -> LoadedPacks:
    """Publish checked packs in one transaction."""
    now = datetime.now(UTC)
    unchanged: list[str] = []
    with database.writing() as connection:
        catalog.ensure_tenant(connection, tenant_id, tenant_id, now)
        epoch = catalog.current_epoch(connection, tenant_id)
        latest = {record.rule_set_id: record for record in catalog.latest_publications(connection, tenant_id, epoch)}
        chosen: list[Release] = []
        for pack in packs:
            before, files = latest.get(pack.file.id), pack.files()
            if before is not None and _sources(connection, tenant_id, before) == files:
                unchanged.append(pack.file.id)
            else:
                chosen.append((pack, files))
        if not chosen:
            return LoadedPacks(None, (), tuple(unchanged))
        names = tuple(pack.file.id for pack, _ in chosen)
        published = release(connection, tenant_id, chosen, who, f"packs {', '.join(names)}", now)
        for pack, _ in chosen:
            details = {"sha256": pack.publication().sha256, "catalog_epoch": published}
            audit_log.append(connection, tenant_id, now, Event(who, "rule_set.loaded", "rule_set", pack.file.id, details=details))
    return LoadedPacks(published, names, tuple(unchanged))


def _sources(connection: Connection, tenant_id: str, record: catalog.PublicationRecord) -> dict[str, bytes]:
    return {path: text.encode() for path, text in blobs.source_files(connection, tenant_id, record.source_sha256).items()}


def export_files(database: Database, tenant_id: str, rule_set_id: str) -> dict[str, bytes]:
    """The files of the latest publication of a rule set, byte for byte as they were published."""
    with database.reading() as connection:
        found = catalog.publications_of(connection, tenant_id, rule_set_id)
        if not found:
            raise NotFound(f"no publication of {rule_set_id}")
        return _sources(connection, tenant_id, found[-1])


def export_pack(database: Database, tenant_id: str, rule_set_id: str, target: Path) -> int:
    """Write those files to a folder; how many."""
    files = export_files(database, tenant_id, rule_set_id)
    for path, data in files.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_bytes(data)
    return len(files)


def load_samples(database: Database, tenant_id: str, folder: Path, who: str, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """Publish the synthetic sample editions; names of those published or known already."""
    loaded = []
    for one, files in read_samples(folder):
        if one.name not in leave_out:
            coverage = EffectivePeriod(one.coverage_from, one.coverage_through)
            upload = Upload(one.name, one.edition, coverage, parse_table(one.name, files, coverage, one.is_partial), files)
            load_parsed(database, tenant_id, upload, who, accept_census=True)
            loaded.append(one.name)
    return loaded
