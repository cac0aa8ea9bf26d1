"""Validate a claim: judge it with what is published now, store the answer, then give it."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from rules_service import __version__
from rules_service.claim.claim import Claim
from rules_service.claim.codec import decode_value, encode_json
from rules_service.engine.clean_change import smallest_clean_change, tried_fixes
from rules_service.engine.evaluate import SEMANTICS, Answer, judge
from rules_service.engine.explanation import explanation
from rules_service.findings.evaluation import Disposition, Evaluation, Judgement, Pins, PublicationPin, ReferencePin
from rules_service.findings.finding import SEVERITY_RANK
from rules_service.findings.waivers import Waiver, WaiverBook, with_waivers
from rules_service.primitives.canonical import canonical_bytes, content_hash, sha256_hex
from rules_service.primitives.errors import Refused, StorageUnavailable
from rules_service.reference.lookups import Edition, Lookups
from rules_service.rules.kinds import KINDS
from rules_service.services.settings import Settings
from rules_service.services.snapshot import Snapshot, SnapshotRegistry
from rules_service.storage import evaluations
from rules_service.storage.cipher import ClaimCipher
from rules_service.storage.clients import Principal
from rules_service.storage.database import Database
from rules_service.storage.editions import EditionFiles
from rules_service.storage.evaluations import EvaluationRow
from rules_service.storage.ids import new_id
from rules_service.storage.keyed_request import KeyedRequest
from rules_service.storage.writer import EvaluationWriter, KeyTaken, StaleCatalog

ENGINE_VERSION = f"{__version__}+{content_hash([SEMANTICS, sorted((kind.name, kind.semantics) for kind in KINDS.values())])[:8]}"
"""Release and semantics of the engine; pinned by every evaluation."""

MAX_STALE_RETRIES = 5
LARGE_CLAIM_LINES = 60


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer ready to be sent: its bytes are those stored."""

    body: bytes
    epoch: int
    evaluation_id: str | None
    replayed: bool = False


class ClaimValidator:
    """Judges and stores. One a process; safe for any number of requests on one event loop."""

    def __init__(
        self,
        database: Database,
        registry: SnapshotRegistry,
        writer: EvaluationWriter,
        cipher: ClaimCipher,
        hold: frozenset[str],
        time_zone: str,
    ) -> None:
        self._database = database
        self._registry = registry
        self._writer = writer
        self.cipher = cipher
        self._hold = hold
        self._zone = ZoneInfo(time_zone)

    def snapshot(self, tenant_id: str) -> Snapshot:
        """What is published, as last seen by this process."""
        return self._registry.current(tenant_id)

    async def validate(self, claim: Claim, principal: Principal, idempotency_key: str | None = None) -> Answered:
        """Judge and store one claim; returns after the commit. The same idempotency key and claim give the same bytes again."""
        if idempotency_key is not None:
            # The claim as sent, before receipt is stamped on it: a repeated request must find its own fingerprint.
            request = KeyedRequest(idempotency_key, sha256_hex(encode_json(claim)))
            replayed = await asyncio.to_thread(self._replayed, principal, request)
            if replayed is not None:
                return replayed
            try:
                return (await self._validate_all([claim], principal, request))[0]
            except KeyTaken:
                again = await asyncio.to_thread(self._replayed, principal, request)
                if again is None:
                    raise
                return again
        return (await self._validate_all([claim], principal, None))[0]

    async def validate_many(self, claims: list[Claim], principal: Principal) -> list[Answered]:
        """Judge and store several claims in one transaction."""
        return await self._validate_all(claims, principal, None) if claims else []

    async def dry_run(self, claim: Claim, principal: Principal) -> Answered:
        """Judge without storing; the answer has no id."""
        snapshot = await asyncio.to_thread(self._registry.refresh, principal.tenant_id)
        evaluation, _, payer_id, _ = self._judge(self.received(claim), principal, snapshot, None)
        matched = _waived(snapshot.waivers, evaluation, payer_id, claim)
        body = encode_json(evaluation)
        return Answered(with_waivers(body, matched) if matched else body, snapshot.epoch, None)

    async def _validate_all(self, claims: list[Claim], principal: Principal, request: KeyedRequest | None) -> list[Answered]:
        claims = [self.received(claim) for claim in claims]
        snapshot = self._registry.current(principal.tenant_id)
        for _ in range(MAX_STALE_RETRIES):
            if max((len(claim.service_lines) for claim in claims), default=0) > LARGE_CLAIM_LINES:
                # A thread does not make it faster; it lets short requests be answered in between.
                rows = await asyncio.to_thread(self._rows, claims, principal, snapshot, request)
            else:
                rows = self._rows(claims, principal, snapshot, request)
            try:
                await self._writer.store(rows)
            except StaleCatalog:
                snapshot = await asyncio.to_thread(self._registry.refresh, principal.tenant_id)
                continue
            return [Answered(_answer(row, claim), row.catalog_epoch, row.evaluation_id) for row, claim in zip(rows, claims, strict=True)]
        raise StorageUnavailable("the catalog is being published faster than this claim can be judged")

    def judged(self, claim: Claim, principal: Principal, snapshot: Snapshot) -> EvaluationRow:
        """A claim's evaluation, for the caller to store in a transaction of its own; the snapshot's versions must stand there."""
        return self._row(claim, principal, snapshot, None)

    def _rows(self, claims: list[Claim], principal: Principal, snapshot: Snapshot, request: KeyedRequest | None) -> list[EvaluationRow]:
        return [self._row(claim, principal, snapshot, request) for claim in claims]

    def _row(self, claim: Claim, principal: Principal, snapshot: Snapshot, request: KeyedRequest | None) -> EvaluationRow:
        evaluation_id, book = new_id("ev"), snapshot.waivers
        evaluation, input_bytes, payer_id, preview = self._judge(claim, principal, snapshot, evaluation_id)
        pins = pin_set(evaluation.pins)
        return EvaluationRow(
            tenant_id=principal.tenant_id, evaluation_id=evaluation_id, lineage_id=evaluation.lineage_id, evaluated_at=evaluation.evaluated_at,
            client_id=principal.client_id, payer_id=payer_id, claim_type=claim.claim_type, outcome=evaluation.outcome, catalog_epoch=snapshot.epoch,
            input_sha256=evaluation.pins.input_sha256, pins_sha256=sha256_hex(pins), pins=pins, body=encode_json(msgspec.structs.replace(evaluation, patient_control_number="")), preview=preview,
            sealed=self.cipher.seal(input_bytes, principal.tenant_id, evaluation_id),
            control_hash=self.cipher.control_hash(principal.tenant_id, claim.patient_control_number), waivers_version=book.version,
            waivers=_waived(book, evaluation, payer_id, claim),
            idempotency_key=request.key if request else None, fingerprint=request.sha256 if request else None,
        )  # fmt: skip

    def _judge(
        self, claim: Claim, principal: Principal, snapshot: Snapshot, evaluation_id: str | None
    ) -> tuple[Evaluation, bytes, str, bytes | None]:
        answer, payer_id, pins, input_bytes = judge_claim(claim, snapshot, self._hold)
        judgement = answer.judgement
        lineage = self.cipher.lineage(
            principal.tenant_id, payer_id or claim.payer.payer_id, claim.providers.billing.npi or "", claim.patient_control_number
        )
        evaluation = Evaluation(
            evaluation_id=evaluation_id, lineage_id=lineage, outcome=judgement.outcome, disposition=disposition(judgement),
            highest_severity=judgement.highest_severity, total_amount_at_risk=judgement.total_amount_at_risk, earliest_fix_by=judgement.earliest_fix_by, fails_from=judgement.fails_from,
            patient_control_number=claim.patient_control_number, evaluated_at=datetime.now(UTC), findings=judgement.findings, bypassed=judgement.bypassed,
            not_evaluated=judgement.not_evaluated, coverage=judgement.coverage, pins=pins,
        )  # fmt: skip
        return evaluation, input_bytes, payer_id, encode_json(answer.preview) if answer.preview else None

    def received(self, claim: Claim) -> Claim:
        """The claim with the instant of its receipt, which becomes part of the stored input."""
        if claim.received_at is not None:
            return claim
        return msgspec.structs.replace(claim, received_at=datetime.now(self._zone).replace(microsecond=0))

    def _replayed(self, principal: Principal, request: KeyedRequest) -> Answered | None:
        with self._database.reading() as connection:
            found = evaluations.find_idempotent(connection, principal.tenant_id, principal.client_id, request.key)
            if found is None:
                return None
            sha256, evaluation_id = found
            request.must_have_sent(sha256)
            stored = evaluations.read_evaluation(connection, principal.tenant_id, evaluation_id)
        return Answered(self._whole(stored, principal.tenant_id), stored.catalog_epoch, stored.evaluation_id, replayed=True)

    def read(self, tenant_id: str, evaluation_id: str, names_the_claim: bool) -> Answered:
        """A stored evaluation, byte for byte but for the findings that are waived now; with its control number for who may know it."""
        with self._database.reading() as connection:
            stored = evaluations.read_evaluation(connection, tenant_id, evaluation_id)
        return Answered(self._whole(stored, tenant_id, names_the_claim), stored.catalog_epoch, stored.evaluation_id)

    def _whole(self, stored: evaluations.StoredEvaluation, tenant_id: str, names_the_claim: bool = True) -> bytes:
        """The bytes that were answered: the control number is kept with the encrypted claim, and goes when that is erased."""
        claim = None if stored.sealed is None else self.cipher.open(stored.sealed, tenant_id, stored.evaluation_id)
        number = None if claim is None or not names_the_claim else _few.decode(claim).patient_control_number
        whole = with_control_number(stored.body, number)
        book = self._registry.current(tenant_id).waivers
        if not book:
            return whole
        document = msgspec.json.decode(stored.body)
        findings = [(one["finding_key"], one["code"]) for one in document["findings"]]
        npi = None if claim is None else billing_npi(claim)
        matched = book.matching(findings, document["lineage_id"], stored.payer_id, npi, datetime.now(UTC).date())
        return with_waivers(whole, matched) if matched else whole

    def explain(self, tenant_id: str, evaluation_id: str) -> bytes:
        """Each condition of each rule that concerned the claim, true, false or unknown, with the facts seen (never PHI)."""
        stored, claim = self._stored_claim(tenant_id, evaluation_id)
        current = self._registry.current(tenant_id)
        snapshot = current if current.epoch == stored.catalog_epoch else self._registry.at(tenant_id, stored.catalog_epoch)
        policy, view = snapshot.policy_for(claim)
        told = explanation(policy, view, Lookups(snapshot.editions))
        return encode_json({"evaluation_id": evaluation_id, "catalog_epoch": stored.catalog_epoch, "rules": told})

    def _stored_claim(self, tenant_id: str, evaluation_id: str) -> tuple[evaluations.StoredEvaluation, Claim]:
        with self._database.reading() as connection:
            stored = evaluations.read_evaluation(connection, tenant_id, evaluation_id)
        if stored.sealed is None:
            raise Refused("input-erased", "The claim of this evaluation was erased.")
        body = self.cipher.open(stored.sealed, tenant_id, evaluation_id)
        return stored, msgspec.json.decode(body, type=Claim, dec_hook=decode_value)

    def explain_fully(self, tenant_id: str, claim: Claim, answered: Answered) -> bytes:
        """The answer with each condition of each rule, the fixes that were tried, and the smallest change that makes the claim clean.

        Made of the claim as it was stored (or judged, in a dry run) with the catalog of the answer; nothing of it is stored.
        """
        if answered.evaluation_id is not None:
            claim = self._stored_claim(tenant_id, answered.evaluation_id)[1]
        current = self._registry.current(tenant_id)
        snapshot = current if current.epoch == answered.epoch else self._registry.at(tenant_id, answered.epoch)
        policy, view = snapshot.policy_for(claim)

        def judged(changed: Claim) -> Judgement:
            return judge(*snapshot.policy_for(changed), Lookups(snapshot.editions), self._hold).judgement

        judgement = judged(claim)
        change, search = smallest_clean_change(claim, judgement, judged)
        told = {
            "rules": explanation(policy, view, Lookups(snapshot.editions)),
            "tried_fixes": tried_fixes(claim, judgement, judged),
            "smallest_clean_change": change,
            "clean_change_search": search,
        }
        return answered.body[:-1] + b',"explanation":' + encode_json(told) + b"}"


def open_validator(settings: Settings, database: Database) -> tuple[SnapshotRegistry, EvaluationWriter, ClaimValidator]:
    """A process's validator with what it rests on; whoever opens it closes the writer."""
    cipher = ClaimCipher.from_settings(settings.claim_key, settings.search_key, settings.data_dir)
    registry = SnapshotRegistry(database, EditionFiles(settings.data_dir / "editions"))
    writer = EvaluationWriter(database)
    validator = ClaimValidator(database, registry, writer, cipher, frozenset(settings.hold_severities), settings.time_zone)
    return registry, writer, validator


def judge_claim(claim: Claim, snapshot: Snapshot, hold: frozenset[str]) -> tuple[Answer, str, Pins, bytes]:
    """(answer, resolved payer, pins, canonical input bytes): everything of an evaluation but its identity and time."""
    policy, view = snapshot.policy_for(claim)
    lookups = Lookups(snapshot.editions)
    answer = judge(policy, view, lookups, hold)
    view.let_go()
    input_bytes = encode_json(claim)
    pins = Pins(
        catalog_epoch=snapshot.epoch,
        publications=policy.pins,
        reference_tables=_reference_pins(lookups.used()),
        engine_version=ENGINE_VERSION,
        input_sha256=sha256_hex(input_bytes),
    )
    return answer, view.payer_id, pins, input_bytes


@functools.lru_cache(maxsize=256)
def _reference_pins(used: tuple[Edition, ...]) -> tuple[ReferencePin, ...]:
    return tuple(ReferencePin(name=one.name, edition=one.edition, sha256=one.sha256) for one in used if "/" not in one.name)


class _Billing(msgspec.Struct):
    npi: str | None = None


class _Providers(msgspec.Struct):
    billing: _Billing


class _Few(msgspec.Struct):
    """The few members of a stored claim that overlays need."""

    patient_control_number: str
    providers: _Providers


_few = msgspec.json.Decoder(_Few)
_NO_NUMBER = b'"patient_control_number":""'


def billing_npi(claim: bytes) -> str | None:
    """The billing provider's NPI of a claim's bytes."""
    return _few.decode(claim).providers.billing.npi


def _waived(book: WaiverBook, evaluation: Evaluation, payer_id: str, claim: Claim) -> dict[str, Waiver]:
    if not book:
        return {}
    findings = [(finding.finding_key, finding.code) for finding in evaluation.findings]
    day = evaluation.evaluated_at.date()
    return book.matching(findings, evaluation.lineage_id, payer_id, claim.providers.billing.npi, day)


def _answer(row: EvaluationRow, claim: Claim) -> bytes:
    body = with_control_number(row.body, claim.patient_control_number)
    return with_waivers(body, row.waivers) if row.waivers else body


def with_control_number(stored: bytes, number: str | None) -> bytes:
    """The bytes of an evaluation as answered, from those stored, which hold no control number."""
    return stored.replace(_NO_NUMBER, b'"patient_control_number":' + encode_json(number), 1)


@functools.lru_cache(maxsize=1024)
def _shared_pins(epoch: int, publications: tuple[PublicationPin, ...], references: tuple[ReferencePin, ...], engine_version: str) -> bytes:
    return canonical_bytes(
        {"catalog_epoch": epoch, "publications": publications, "reference_tables": references, "engine_version": engine_version}
    )


def pin_set(pins: Pins) -> bytes:
    """The pins many evaluations share: all but the input's hash."""
    return _shared_pins(pins.catalog_epoch, pins.publications, pins.reference_tables, pins.engine_version)


def disposition(judgement: Judgement) -> Disposition:
    """hold when a finding blocks, review when a person should look, release otherwise."""
    if any(finding.blocking for finding in judgement.findings):
        return "hold"
    looks = any(SEVERITY_RANK[finding.severity] >= SEVERITY_RANK["warn"] for finding in judgement.findings)
    return "review" if looks or judgement.outcome in ("incomplete", "not_covered") else "release"
