"""Impact: claims judged by a rule set's draft and by what is live (before it is published), or by a publication and the one before
(the past evaluations it would have changed). Each is a job; nothing of the live data is touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value, encode_json
from rules_service.engine.decide import engine_decider, oracle_decider
from rules_service.packs.workspace import laid_out
from rules_service.primitives.errors import InputError, Issue, RulesServiceError
from rules_service.services.acting import Actor, now_utc
from rules_service.services.change_control import ChangeControl
from rules_service.services.claim_comparison import Line, Sides, tally
from rules_service.services.drafts import current_draft, inspect_alone
from rules_service.services.jobs import JobRun, Jobs
from rules_service.services.snapshot import Snapshot, SnapshotRegistry
from rules_service.services.validate_claim import ENGINE_VERSION
from rules_service.storage import audit_log, blobs, drafts, evaluations, jobs
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.database import Database
from rules_service.storage.jobs import JobRecord
from rules_service.workflow.news import EvaluationsAffected

STEP = 50
MAX_SAMPLE = 200_000
Named = tuple[Mapping[str, Any], Claim | str]
"""A claim under the name it is told by, or why there is none."""


@dataclass(frozen=True, slots=True)
class Window:
    """Stored evaluations made from one instant until another: of each claim the last, and of those a sample chosen by the seed."""

    start: datetime
    end: datetime
    sample: int
    seed: int


class Impact:
    """Starts and does comparisons of many claims."""

    def __init__(
        self, database: Database, registry: SnapshotRegistry, cipher: ClaimCipher, work: Jobs, control: ChangeControl, hold: frozenset[str]
    ) -> None:
        self._database = database
        self._registry = registry
        self._cipher = cipher
        self._jobs = work
        self._control = control
        self._hold = hold
        work.handle("impact", self._impact)
        work.handle("affected_evaluations", self._affected, _those_affected)

    def of_evaluations(self, actor: Actor, rule_set_id: str, window: Window) -> str:
        """Start the impact of the draft on stored evaluations; the job's id."""
        source = {"kind": "evaluations", "from": window.start.isoformat(), "to": window.end.isoformat()}
        return self._start(actor, rule_set_id, source | {"sample": window.sample, "seed": window.seed}, ())

    def of_corpus(self, actor: Actor, rule_set_id: str, read: Sequence[Claim | RulesServiceError]) -> str:
        """Start the impact of the draft on claims that were sent; they are kept encrypted until the job ends."""
        refused = [index for index, one in enumerate(read) if not isinstance(one, Claim)]
        if len(refused) == len(read):
            issue = Issue("no_claim", "", "None of what was sent can be read as a claim.", "Send each to /v1/claims/validate to see why.")
            raise InputError("There is no claim to judge", [issue])
        return self._start(actor, rule_set_id, {"kind": "corpus", "claims": len(read), "unreadable": refused[:1_000]}, read)

    def _start(self, actor: Actor, rule_set_id: str, source: Mapping[str, Any], read: Sequence[Claim | RulesServiceError]) -> str:
        with self._database.reading() as connection:
            draft, _ = current_draft(connection, actor.tenant_id, rule_set_id)
        with laid_out(rule_set_id, draft.files, {}) as folder:
            pack, issues = inspect_alone(folder)
        if pack is None:
            raise InputError("The draft cannot be read as a pack", issues)
        live_epoch = self._registry.refresh(actor.tenant_id).epoch
        parameters = {"rule_set_id": rule_set_id, "content_sha256": draft.content_sha256, "source": source, "live_epoch": live_epoch}
        now = now_utc()
        with self._database.writing() as connection:
            # The draft may be edited while the job runs: what it began with is kept by its hash.
            blobs.store_files(connection, actor.tenant_id, draft.files)
            job_id = self._jobs.make(connection, actor.tenant_id, actor.name, "impact", parameters)
            for number, start in enumerate(range(0, len(read), STEP)):
                part = [[index, one] for index, one in enumerate(read[start : start + STEP], start) if isinstance(one, Claim)]
                sealed = self._cipher.seal(encode_json(part), actor.tenant_id, f"{job_id}/{number}")
                jobs.add_upload(connection, actor.tenant_id, job_id, number, sealed)
            event = actor.event("draft.impact_started", "rule_set", rule_set_id, content_sha256=draft.content_sha256, job_id=job_id)
            audit_log.append(connection, actor.tenant_id, now, event)
        return job_id

    def _impact(self, run: JobRun) -> Mapping[str, Any]:
        rule_set_id, content_sha256, source = (run.parameters[name] for name in ("rule_set_id", "content_sha256", "source"))
        with self._database.reading() as connection:
            files = blobs.source_files(connection, run.tenant_id, content_sha256)
            check = drafts.last_check_run(connection, run.tenant_id, rule_set_id, content_sha256)
        live = self._at(run.tenant_id, int(run.parameters["live_epoch"]))
        with laid_out(rule_set_id, files, {}) as folder:
            pack, issues = inspect_alone(folder)
        if pack is None:
            raise InputError("The draft cannot be read as a pack", issues)
        # Only what passed the gate is handed to the engine; anything else is judged by the pure evaluator.
        is_gated = check is not None and check.passed and check.engine_version == ENGINE_VERSION
        sides = Sides(
            rule_set_id, live, live.with_publication(pack.publication(), pack.editions()), self._hold,
            engine_decider if is_gated else oracle_decider,
        )  # fmt: skip
        result: dict[str, Any] = {"content_sha256": content_sha256, "source": source, "decided_by": "engine" if is_gated else "oracle"}
        if source["kind"] == "corpus":
            steps: list[Iterable[Named]] = [self._uploaded(run, number, sealed) for number, sealed in self._parts(run)]
            result |= self._compare(run, sides, steps, source["claims"]) | {"unreadable": source["unreadable"]}
        else:
            start, end = datetime.fromisoformat(source["from"]), datetime.fromisoformat(source["to"])
            population, chosen = self._chosen(run, start, end, source["sample"], source["seed"])
            steps = [self._stored(run.tenant_id, chosen[at : at + STEP]) for at in range(0, len(chosen), STEP)]
            result |= self._compare(run, sides, steps, len(chosen)) | {"population": population}
        share = Decimal(result["share_newly_blocked"])
        self._control.note_impact(run.tenant_id, run.record.created_by, rule_set_id, content_sha256, share, run.record.job_id)
        return result

    def _affected(self, run: JobRun) -> Mapping[str, Any]:
        """Past evaluations a retroactive publication would have changed."""
        rule_set_id, epoch = run.parameters["rule_set_id"], int(run.parameters["catalog_epoch"])
        sides = Sides(rule_set_id, self._registry.at(run.tenant_id, epoch - 1), self._at(run.tenant_id, epoch), self._hold, engine_decider)
        end = datetime.fromisoformat(run.parameters["published_at"])
        _, found = self._chosen(run, None, end, None, 0)
        steps = [self._stored(run.tenant_id, found[at : at + STEP]) for at in range(0, len(found), STEP)]
        return {**run.parameters, **self._compare(run, sides, steps, len(found))}

    def _chosen(self, run: JobRun, start: datetime | None, end: datetime, size: int | None, seed: int) -> tuple[int, list[str]]:
        """(how many there were, the evaluations to compare), chosen by the job's first run: a later run goes on with the same ones."""
        kept = self._parts(run)
        if not kept:
            with self._database.reading() as connection:
                found = evaluations.latest_of_claims(connection, run.tenant_id, start, end)
            chosen = found if size is None else sampled(found, size, seed)
            sealed = self._cipher.seal(msgspec.json.encode([len(found), chosen]), run.tenant_id, f"{run.record.job_id}/0")
            with self._database.writing() as connection:
                jobs.add_upload(connection, run.tenant_id, run.record.job_id, 0, sealed)
            return len(found), chosen
        (number, part), *_ = kept
        opened = self._cipher.open(part, run.tenant_id, f"{run.record.job_id}/{number}")
        return msgspec.json.decode(opened, type=tuple[int, list[str]])

    def _at(self, tenant_id: str, epoch: int) -> Snapshot:
        current = self._registry.refresh(tenant_id)
        return current if current.epoch == epoch else self._registry.at(tenant_id, epoch)

    def _compare(self, run: JobRun, sides: Sides, steps: Sequence[Iterable[Named]], total: int) -> dict[str, Any]:
        finished, done = run.finished_steps(), 0
        for number, named in enumerate(steps):
            done = min(done + STEP, total)
            if number not in finished:
                lines = [line for name, claim in named if (line := _compared(sides, name, claim)) is not None]
                run.step(number, b"\n".join(map(msgspec.json.encode, lines)), done, total)
        stored = (msgspec.json.decode(line) for _, body in run.steps() for line in body.split(b"\n") if line)
        whole = tally(stored)
        return whole.result() | {"claims": total, "outside_the_rule_set": total - whole.judged - sum(whole.not_judged.values())}

    def _stored(self, tenant_id: str, ids: Sequence[str]) -> Iterable[Named]:
        with self._database.reading() as connection:
            found = [evaluations.read_evaluation(connection, tenant_id, one) for one in ids]
        for stored in found:
            name = {"evaluation_id": stored.evaluation_id}
            if stored.sealed is None:
                yield name, "input_erased"
                continue
            body = self._cipher.open(stored.sealed, tenant_id, stored.evaluation_id)
            yield name, msgspec.json.decode(body, type=Claim, dec_hook=decode_value)

    def _parts(self, run: JobRun) -> list[tuple[int, Any]]:
        with self._database.reading() as connection:
            return jobs.uploads(connection, run.tenant_id, run.record.job_id)

    def _uploaded(self, run: JobRun, number: int, sealed: Any) -> Iterable[Named]:
        body = self._cipher.open(sealed, run.tenant_id, f"{run.record.job_id}/{number}")
        for index, claim in msgspec.json.decode(body, type=list[tuple[int, Claim]], dec_hook=decode_value):
            yield {"index": index}, claim


def _those_affected(record: JobRecord, result: Mapping[str, Any]) -> EvaluationsAffected | None:
    affected = sum(count for name, count in result["transitions"].items() if name != "unchanged")
    if not affected:
        return None
    told = {name: result[name] for name in ("rule_set_id", "number", "catalog_epoch")}
    return EvaluationsAffected(job_id=record.job_id, evaluations=affected, **told)


def _compared(sides: Sides, name: Mapping[str, Any], claim: Claim | str) -> Line | None:
    if isinstance(claim, str):
        return {**name, "not_judged": claim}
    try:
        return sides.compare(claim, name)
    except RulesServiceError as error:
        return {**name, "not_judged": type(error).__name__}


def sampled(ids: Sequence[str], size: int, seed: int) -> list[str]:
    """A sample of ids that depends on the seed and the ids alone; all of them, in order, when there are no more."""
    if len(ids) <= size:
        return list(ids)
    chosen = sorted(ids, key=lambda one: hashlib.sha256(f"{seed}:{one}".encode()).digest())[:size]
    return sorted(chosen)
