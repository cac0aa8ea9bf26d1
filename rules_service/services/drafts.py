"""The working copy of a rule set: read, save, check, try."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection

from rules_service.claim.claim import Claim
from rules_service.engine.decide import oracle_decider
from rules_service.engine.evaluate import judge
from rules_service.findings.evaluation import Judgement
from rules_service.packs.analysis import Remark, analyse
from rules_service.packs.gate import Trial, run_trial
from rules_service.packs.predictions import check_predictions
from rules_service.packs.read import Pack
from rules_service.packs.workspace import files_sha256, inspect, laid_out, packs_beside, rule_set_id_is_fit, unfit_files
from rules_service.primitives.errors import InputError, Issue, NotFound, PackFault, Refused
from rules_service.reference.lookups import Lookups
from rules_service.services.acting import Actor, audited_refusal, now_utc
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, blobs, catalog, change_requests, drafts
from rules_service.storage.database import Database
from rules_service.storage.drafts import DraftRecord
from rules_service.workflow.lifecycle import after

HARD = frozenset({"PK001", "PK002", "PK005", "PK006", "PK007", "PK017", "PK018", "PK019"})
"""Faults with which a rule cannot be compiled."""
NOT_SAVED = 0
"""Lock version of a draft nobody has saved: the files of the live publication."""


@dataclass(frozen=True, slots=True)
class DraftView:
    """A draft with what is wrong with it. `saved` is false for the live publication's files seen as a draft."""

    record: DraftRecord
    saved: bool
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """Checks and cases of one content."""

    check_run_id: str
    content_sha256: str
    issues: tuple[Issue, ...]
    trial: Trial | None
    pack: Pack | None
    """The content, when it can be read."""
    remarks: tuple[Remark, ...] = ()
    """What the analysis of its rules found. Remarks refuse nothing."""

    @property
    def failed_cases(self) -> tuple[Issue, ...]:
        """Cases that came out otherwise than expected."""
        failed = self.trial.failed if self.trial is not None else ()
        return tuple(Issue("case-failed", fault["where"], fault["message"], "Mend the rule or the case.") for fault in failed)

    @property
    def passed(self) -> bool:
        """No fault, and every case as expected."""
        return not self.issues and self.trial is not None and self.trial.passed


@dataclass(frozen=True, slots=True)
class Tried:
    """A claim judged by the draft and by what is live."""

    draft: Judgement
    live: Judgement
    added: tuple[str, ...]
    removed: tuple[str, ...]


class Drafts:
    """Working copies of rule sets."""

    def __init__(self, database: Database, registry: SnapshotRegistry, samples: Path) -> None:
        self._database = database
        self._registry = registry
        self._samples = samples

    def read(self, actor: Actor, rule_set_id: str) -> DraftView:
        """The draft, or the live publication's files as the draft they would become; NotFound when there is neither."""
        with self._database.reading() as connection:
            record, saved = current_draft(connection, actor.tenant_id, rule_set_id)
            others = live_files(connection, actor.tenant_id)
        return DraftView(record, saved, tuple(_faults(rule_set_id, record.files, others)))

    def save(self, actor: Actor, rule_set_id: str, files: Mapping[str, str], if_match: str) -> DraftView:
        """Save the draft, valid or not. A change request that stands goes back to its beginning, and its approvals are void.

        Refused `precondition-failed` when `if_match` is not the draft's tag (`"0"` for a rule set that does not exist yet).
        """
        with audited_refusal(self._database, actor, "draft.saved", "rule_set", rule_set_id):
            return self._save(actor, rule_set_id, files, if_match)

    def _save(self, actor: Actor, rule_set_id: str, files: Mapping[str, str], if_match: str) -> DraftView:
        unfit = unfit_files(files)
        if not rule_set_id_is_fit(rule_set_id):
            unfit.append(Issue("rule_set_id", "/rule_set_id", "A rule set's id is lower-case words joined by '_'.", "Choose another."))
        if unfit:
            raise InputError("These cannot be a rule set's files", unfit)
        now, sha256 = now_utc(), files_sha256(files)
        with self._database.writing() as connection:
            catalog.lock_tenant(connection, actor.tenant_id)
            try:
                before, saved = current_draft(connection, actor.tenant_id, rule_set_id, lock=True)
                tag, number, editors, base = before.etag, before.lock_version, before.editors if saved else (), before.base_number
            except NotFound:
                tag, number, editors, base = '"0"', NOT_SAVED, (), 0
            if if_match != tag:
                raise Refused("precondition-failed", "The draft was saved by somebody since you read it; read it again.")
            record = DraftRecord(rule_set_id, number + 1, base, dict(files), sha256, tuple(dict.fromkeys((*editors, actor.name))), now)
            drafts.save_draft(connection, actor.tenant_id, record)
            self._void_approvals(connection, actor, record, now)
            event = actor.event("draft.saved", "rule_set", rule_set_id, content_sha256=sha256, lock_version=record.lock_version)
            audit_log.append(connection, actor.tenant_id, now, event)
            others = live_files(connection, actor.tenant_id)
        return DraftView(record, True, tuple(_faults(rule_set_id, files, others)))

    def discard(self, actor: Actor, rule_set_id: str, if_match: str) -> None:
        """Forget the draft, so that the next one begins from what is live. Refused while a change request stands."""
        now = now_utc()
        with (
            audited_refusal(self._database, actor, "draft.discarded", "rule_set", rule_set_id),
            self._database.writing() as connection,
        ):
            catalog.lock_tenant(connection, actor.tenant_id)
            record = drafts.read_draft(connection, actor.tenant_id, rule_set_id, lock=True)
            if record is None:
                raise NotFound("no draft")
            if if_match != record.etag:
                raise Refused("precondition-failed", "The draft was saved by somebody since you read it; read it again.")
            standing = change_requests.find_open(connection, actor.tenant_id, rule_set_id)
            if standing is not None:
                raise Refused("change-request-open", f"{standing.change_request_id} stands for this draft: withdraw it first.")
            drafts.remove_draft(connection, actor.tenant_id, rule_set_id)
            event = actor.event("draft.discarded", "rule_set", rule_set_id, content_sha256=record.content_sha256)
            audit_log.append(connection, actor.tenant_id, now, event)

    def _void_approvals(self, connection: Connection, actor: Actor, draft: DraftRecord, now: datetime) -> None:
        standing = change_requests.find_open(connection, actor.tenant_id, draft.rule_set_id, lock=True)
        if standing is None or standing.content_sha256 == draft.content_sha256:
            return
        change_requests.add_author(connection, actor.tenant_id, standing.change_request_id, actor.name)
        change_requests.change(
            connection, actor.tenant_id, standing, now,
            state=after(standing.state, "edit"), review_cycle=standing.review_cycle + 1, content_sha256=draft.content_sha256,
            scheduled_for=None, failure_reason=None,
        )  # fmt: skip
        event = actor.event(
            "change_request.edited", "change_request", standing.change_request_id, content_sha256=draft.content_sha256,
            review_cycle=standing.review_cycle + 1, voids_approvals=standing.state in ("in_review", "approved", "scheduled"),
        )  # fmt: skip
        audit_log.append(connection, actor.tenant_id, now, event)

    def check(self, actor: Actor, rule_set_id: str) -> CheckReport:
        """Lint the draft, compile and run it in a throw-away process with all its cases; what came of it is stored by content."""
        with self._database.reading() as connection:
            record, _ = current_draft(connection, actor.tenant_id, rule_set_id)
            others = live_files(connection, actor.tenant_id)
            published = published_versions(connection, actor.tenant_id, rule_set_id)
        return self.check_content(actor, rule_set_id, record.files, others, published)

    def check_content(
        self,
        actor: Actor,
        rule_set_id: str,
        files: Mapping[str, str],
        others: Mapping[str, Mapping[str, str]],
        published: Mapping[tuple[str, int], str],
    ) -> CheckReport:
        """The same for any content of the rule set."""
        trial: Trial | None = None
        with laid_out(rule_set_id, files, others) as folder:
            pack, issues = inspect(folder)
            if pack is not None:
                issues += edited_versions(pack, published)
            remarks: list[Remark] = []
            if pack is not None and not any(issue.code in HARD for issue in issues):  # its rules can be compiled
                editions = self._registry.refresh(actor.tenant_id).editions
                issues += check_predictions([pack], editions, now_utc().date())
                remarks = analyse(pack, packs_beside(folder), editions)
            sha256 = files_sha256(files)
            if pack is not None and not issues:
                try:
                    trial = self._known_trial(actor, rule_set_id, sha256) or run_trial(folder, self._samples.resolve())
                except PackFault as fault:
                    issues = list(fault.issues)
        passed = trial is not None and trial.passed and not issues
        report: dict[str, Any] = {
            "issues": [issue.plain() for issue in issues],
            "trial": None if trial is None else msgspec.to_builtins(trial),
        }
        with self._database.writing() as connection:
            now = now_utc()
            run_id = drafts.add_check_run(connection, actor.tenant_id, rule_set_id, sha256, ENGINE_VERSION, report, passed, actor.name, now)
            event = actor.event("draft.checked", "rule_set", rule_set_id, content_sha256=sha256, passed=passed, check_run_id=run_id)
            audit_log.append(connection, actor.tenant_id, now, event)
        return CheckReport(run_id, sha256, tuple(issues), trial, pack, tuple(remarks))

    def _known_trial(self, actor: Actor, rule_set_id: str, sha256: str) -> Trial | None:
        """The trial of exactly this content under this engine, when there was one: it would come to the same."""
        with self._database.reading() as connection:
            run = drafts.last_check_run(connection, actor.tenant_id, rule_set_id, sha256)
        if run is None or run.engine_version != ENGINE_VERSION or run.report.get("trial") is None:
            return None
        return msgspec.convert(run.report["trial"], Trial)

    def evaluate(self, actor: Actor, rule_set_id: str, claim: Claim, hold: frozenset[str]) -> Tried:
        """Judge a claim by the draft in the place of its live publication, and by what is live. Nothing is stored.

        The pure evaluator judges both: a draft that has not passed the gate never reaches the engine.
        """
        with self._database.reading() as connection:
            record, _ = current_draft(connection, actor.tenant_id, rule_set_id)
        snapshot = self._registry.refresh(actor.tenant_id)
        with laid_out(rule_set_id, record.files, {}) as folder:
            pack, issues = inspect_alone(folder)
        if pack is None:
            raise InputError("The draft cannot be read as a pack", issues)
        candidate = snapshot.with_publication(pack.publication(), pack.editions())
        live, view = snapshot.policy_for(claim)
        judged = judge(live, view, Lookups(snapshot.editions), hold, oracle_decider).judgement
        policy, view = candidate.policy_for(claim)
        tried = judge(policy, view, Lookups(candidate.editions), hold, oracle_decider).judgement
        before = {finding.finding_key for finding in judged.findings}
        now = {finding.finding_key for finding in tried.findings}
        return Tried(
            tried,
            judged,
            tuple(one.finding_id for one in tried.findings if one.finding_key not in before),
            tuple(one.finding_id for one in judged.findings if one.finding_key not in now),
        )


def inspect_alone(folder: Path) -> tuple[Pack | None, list[Issue]]:
    """The pack when every rule of it can be compiled; what it overrides elsewhere does not matter here."""
    pack, issues = inspect(folder)
    hard = [issue for issue in issues if issue.code in HARD]
    return (None if hard else pack), hard


def current_draft(connection: Connection, tenant_id: str, rule_set_id: str, lock: bool = False) -> tuple[DraftRecord, bool]:
    """(the draft, whether it was saved): an unsaved one holds the live publication's files; NotFound without either."""
    found = drafts.read_draft(connection, tenant_id, rule_set_id, lock)
    if found is not None:
        return found, True
    records = catalog.publications_of(connection, tenant_id, rule_set_id)
    if not records:
        raise NotFound("no such rule set")
    live = records[-1]
    files = blobs.source_files(connection, tenant_id, live.source_sha256)
    return DraftRecord(rule_set_id, NOT_SAVED, live.number, files, files_sha256(files), (), live.published_at), False


def live_files(connection: Connection, tenant_id: str) -> dict[str, dict[str, str]]:
    """The files of every rule set's live publication: a draft's references are checked against them."""
    epoch = catalog.current_epoch(connection, tenant_id)
    return {
        record.rule_set_id: blobs.source_files(connection, tenant_id, record.source_sha256)
        for record in catalog.latest_publications(connection, tenant_id, epoch)
    }


def published_versions(connection: Connection, tenant_id: str, rule_set_id: str) -> dict[tuple[str, int], str]:
    """The content hash of every (rule id, version) ever published in a rule set."""
    return {
        (window.rule_id, window.version): window.sha256
        for record in catalog.publications_of(connection, tenant_id, rule_set_id)
        for window in record.manifest.windows
    }


def edited_versions(pack: Pack, published: Mapping[tuple[str, int], str]) -> list[Issue]:
    """Published versions whose content was edited: a change is a new version."""
    found = []
    for rule, version, content in pack.contents():
        known = published.get((content.rule_id, version.version))
        if known is not None and known != content.sha256():
            newest = max(one.version for one in rule.file.versions)
            found.append(
                Issue(
                    "published-version-changed",
                    rule.positions.where("/versions"),
                    f"{content.rule_id} version {version.version} is published, and its content changed.",
                    f"Restore it and write version {newest + 1}.",
                )
            )
    return found


def _faults(rule_set_id: str, files: Mapping[str, str], others: Mapping[str, Mapping[str, str]]) -> list[Issue]:
    with laid_out(rule_set_id, files, others) as folder:
        return inspect(folder)[1]
