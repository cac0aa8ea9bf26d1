"""Load packs as a rule admin would: what is not live yet is published, a change of what is live becomes a change request."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rules_service.packs.read import Pack
from rules_service.services.acting import Actor
from rules_service.services.change_control import ChangeControl
from rules_service.services.drafts import Drafts
from rules_service.services.load_packs import LoadedPacks, export_files, publish_packs, sound_packs
from rules_service.storage import catalog, change_requests
from rules_service.storage.database import Database


@dataclass(frozen=True, slots=True)
class Proposed:
    """The change request a pack became; it waits for somebody else's review."""

    rule_set_id: str
    change_request_id: str


def load_or_propose(
    database: Database, drafts: Drafts, control: ChangeControl, actor: Actor, folders: list[Path], samples: Path
) -> tuple[LoadedPacks, list[Proposed]]:
    """(what was published for the first time, what was proposed). PackFault lists every fault, and then nothing is done."""
    packs = sound_packs(folders, samples)
    with database.reading() as connection:
        live = set()
        if catalog.has_tenant(connection, actor.tenant_id):
            epoch = catalog.current_epoch(connection, actor.tenant_id)
            live = {record.rule_set_id for record in catalog.latest_publications(connection, actor.tenant_id, epoch)}
    loaded = publish_packs(database, actor.tenant_id, [pack for pack in packs if pack.file.id not in live], actor.name)
    unchanged, proposed = list(loaded.unchanged), []
    for pack in packs:
        if pack.file.id in live:
            if export_files(database, actor.tenant_id, pack.file.id) == pack.files():
                unchanged.append(pack.file.id)
            else:
                proposed.append(_propose(database, drafts, control, actor, pack))
    return LoadedPacks(loaded.epoch, loaded.published, tuple(unchanged)), proposed


def _propose(database: Database, drafts: Drafts, control: ChangeControl, actor: Actor, pack: Pack) -> Proposed:
    """Save the pack as the rule set's draft and ask for its review, in the change request that stands if one does."""
    rule_set_id = pack.file.id
    files = {path: data.decode() for path, data in pack.files().items()}
    view = drafts.read(actor, rule_set_id)
    if not view.saved or dict(view.record.files) != files:
        drafts.save(actor, rule_set_id, files, view.record.etag)
    with database.reading() as connection:
        standing = change_requests.find_open(connection, actor.tenant_id, rule_set_id)
    if standing is None:
        standing = control.open(actor, rule_set_id, f"{pack.file.title}: loaded from files", "Loaded from the pack's files.").record
    if standing.state != "in_review":
        control.submit(actor, standing.change_request_id)
    return Proposed(rule_set_id, standing.change_request_id)
