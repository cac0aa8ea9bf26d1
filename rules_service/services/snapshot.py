"""The catalog of a tenant at one epoch, ready to judge with; swapped whole when the epoch moves on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date
from functools import partial

from rules_service.claim.claim import Claim
from rules_service.engine.policy import Policy, Publication, SliceCache
from rules_service.facts.view import ClaimView
from rules_service.findings.evaluation import UndecidedRuleSet
from rules_service.findings.waivers import WaiverBook
from rules_service.primitives.codes import spelled
from rules_service.primitives.dates import EffectivePeriod
from rules_service.reference.lookups import Edition, EditionCatalog
from rules_service.reference.readers import Reader
from rules_service.rules.selection import ScopeKey, scope_matches, undecided_for_want_of
from rules_service.storage import blobs, catalog, waivers
from rules_service.storage.catalog import EditionRecord, PayerRecord
from rules_service.storage.database import Database
from rules_service.storage.editions import EditionFiles

MAX_POLICIES = 512


class PayerDirectory:
    """Payer ids, aliases and clearinghouse ids, each to one payer."""

    def __init__(self, records: list[PayerRecord]) -> None:
        self.records = {record.payer_id: record for record in records}
        self._names: dict[str, str] = {}
        for record in records:
            for alias in record.aliases:
                self._names[spelled(alias)] = record.payer_id
        for record in records:
            self._names[spelled(record.payer_id)] = record.payer_id
        names: dict[str, set[str]] = {}
        for name, payer_id in self._names.items():
            names.setdefault(payer_id, set()).add(name)
        self._of_payer = {payer_id: frozenset(found) for payer_id, found in names.items()}
        self._of_parent: dict[str, frozenset[str]] = {}
        for record in records:
            if record.parent is not None:
                self._of_parent[record.parent] = self._of_parent.get(record.parent, frozenset()) | self.names(record.payer_id)

    def named(self, name: str) -> PayerRecord | None:
        """The payer of an id or alias."""
        payer_id = self._names.get(spelled(name))
        return None if payer_id is None else self.records[payer_id]

    def resolve(self, claim: Claim) -> PayerRecord | None:
        """The payer a claim names by id, else by name; None when nobody knows it (never a silent default)."""
        for name in (claim.payer.payer_id, claim.payer.name):
            if name and (payer_id := self._names.get(spelled(name))) is not None:
                return self.records[payer_id]
        return None

    def names(self, payer_id: str) -> frozenset[str]:
        """Every id and name of a payer, as `spelled` gives them; none of a payer nobody knows."""
        return self._of_payer.get(payer_id, frozenset())

    def family_names(self, payer_id: str) -> frozenset[str]:
        """Those of the payers that have the same parent, too (Medicare's Parts A and B)."""
        record = self.records.get(payer_id)
        parent = record.parent if record is not None else None
        return self.names(payer_id) if parent is None else self._of_parent[parent]


class Snapshot:
    """Everything published up to an epoch. Immutable but for its cache of policies and the waivers that lie over it."""

    def __init__(
        self,
        epoch: int,
        publications: list[Publication],
        editions: EditionCatalog,
        records: list[EditionRecord],
        payers: PayerDirectory,
        cache: SliceCache,
        waivers: WaiverBook,
    ) -> None:
        self.epoch = epoch
        self.publications = publications
        self.editions = editions
        self.edition_records = records
        self.payers = payers
        self.waivers = waivers
        self._cache = cache
        self._policies: dict[ScopeKey, Policy] = {}

    def policy_for(self, claim: Claim) -> tuple[Policy, ClaimView]:
        """(policy, view) of a claim, of the payer it names; that payer's id is "" when unknown, and then only national rules stand."""
        payer = self.payers.resolve(claim)
        named = claim.payer
        key = ScopeKey(
            payer.payer_id if payer else "", named.line_of_business or (payer.line_of_business if payer else None), named.state, named.plan_id,
            named.product, claim.claim_type,
        )  # fmt: skip
        policy = self._policies.get(key)
        if policy is None:
            chosen = [publication for publication in self.publications if scope_matches(publication.manifest.scope, key)]
            undecided = [
                UndecidedRuleSet(publication.rule_set_id, fields)
                for publication in self.publications
                if (fields := undecided_for_want_of(publication.manifest.scope, key))
            ]
            if len(self._policies) >= MAX_POLICIES:
                self._policies.clear()  # the compiled slices stay in the shared cache; only their index is rebuilt
            policy = self._policies[key] = Policy(chosen, claim.claim_type, self._cache, undecided)
        return policy, ClaimView(claim, key.payer_id, self.payers.names(key.payer_id), self.payers.family_names(key.payer_id))

    def with_publication(self, publication: Publication, tables: list[Edition]) -> Snapshot:
        """The same catalog with one rule set as it would be published; for trying, never for answering."""
        others = [one for one in self.publications if one.rule_set_id != publication.rule_set_id]
        editions = self.editions.with_editions(tables)
        return Snapshot(self.epoch, [*others, publication], editions, self.edition_records, self.payers, SliceCache(64), self.waivers)


class SnapshotRegistry:
    """Snapshots of all tenants of a process; a refresh replaces one reference, so requests in flight keep what they began with."""

    def __init__(self, database: Database, files: EditionFiles) -> None:
        self._database = database
        self._files = files
        self._cache = SliceCache()
        self._current: dict[str, Snapshot] = {}
        self._lock = threading.Lock()

    def current(self, tenant_id: str) -> Snapshot:
        """The snapshot last loaded; loads it the first time."""
        return self._current.get(tenant_id) or self.refresh(tenant_id)

    def refresh(self, tenant_id: str) -> Snapshot:
        """The snapshot of the tenant's epoch in the database now."""
        with self._lock:
            with self._database.reading() as connection:
                epoch, version = catalog.current_versions(connection, tenant_id)
            known = self._current.get(tenant_id)
            if known is None or known.epoch != epoch:
                known = self._current[tenant_id] = self.at(tenant_id, epoch)
            if known.waivers.version != version:
                with self._database.reading() as connection:
                    known.waivers = waivers.book(connection, tenant_id)
            return known

    def at(self, tenant_id: str, epoch: int) -> Snapshot:
        """The snapshot of any epoch."""
        with self._database.reading() as connection:
            publications = catalog.live_publications(connection, tenant_id, epoch)
            records = catalog.editions(connection, tenant_id, epoch)
            payers = catalog.payers(connection, tenant_id, epoch)
        found = [
            Edition(record.name, record.edition, record.sha256, record.coverage, record.epoch, self._opener(tenant_id, record.sha256))
            for record in records
        ]
        for publication in publications:
            for pin in publication.manifest.tables:
                found.append(
                    Edition(pin.name, pin.sha256[:12], pin.sha256, EffectivePeriod(date.min), 0, self._opener(tenant_id, pin.sha256))
                )
        return Snapshot(epoch, publications, EditionCatalog(found), records, PayerDirectory(payers), self._cache, WaiverBook(0))

    def _opener(self, tenant_id: str, sha256: str) -> Callable[[], Reader]:
        return self._files.opener(sha256, partial(self._fetch, tenant_id, sha256))

    def _fetch(self, tenant_id: str, sha256: str) -> bytes:
        with self._database.reading() as connection:
            return blobs.blob(connection, tenant_id, sha256)
