"""What a process of the service is made of, serving or working. Built once, closed once."""

from __future__ import annotations

from dataclasses import dataclass

from rules_service.services.audit import AuditTrail, signing_key
from rules_service.services.bulk import BulkValidation
from rules_service.services.change_control import ChangeControl
from rules_service.services.check_services import ServiceChecks
from rules_service.services.drafts import Drafts
from rules_service.services.edition_review import EditionReview
from rules_service.services.emergencies import Emergencies
from rules_service.services.evidence import Evidence
from rules_service.services.history import History
from rules_service.services.hook_advice import HookAdvice
from rules_service.services.hook_callers import HookCallers
from rules_service.services.impact import Impact
from rules_service.services.jobs import Jobs
from rules_service.services.outbound import Outbound
from rules_service.services.outlook import Outlook
from rules_service.services.public_keys import PublicKeys
from rules_service.services.publishing import Publishing
from rules_service.services.recurring import Recurring
from rules_service.services.replay import Replays
from rules_service.services.retention import Retention
from rules_service.services.sealing import Sealing
from rules_service.services.settings import Settings, base_url
from rules_service.services.snapshot import SnapshotRegistry
from rules_service.services.tokens import Tokens
from rules_service.services.validate_claim import ClaimValidator, open_validator
from rules_service.services.waivers import Waivers
from rules_service.services.webhook_delivery import WebhookDelivery
from rules_service.services.webhooks import Webhooks
from rules_service.storage.database import Database
from rules_service.storage.job_queue import open_queue
from rules_service.storage.writer import EvaluationWriter

LOST_JOB_SECONDS = 60.0
RETENTION_SECONDS = 300.0
"""How often it is looked whether the day's retention was run."""


@dataclass
class Parts:
    """The use cases of one process, on one database."""

    settings: Settings
    database: Database
    snapshots: SnapshotRegistry
    writer: EvaluationWriter
    validator: ClaimValidator
    service_checks: ServiceChecks
    advice: HookAdvice
    jobs: Jobs
    bulk: BulkValidation
    drafts: Drafts
    change_control: ChangeControl
    editions: EditionReview
    publishing: Publishing
    emergencies: Emergencies
    impact: Impact
    history: History
    replays: Replays
    outlook: Outlook
    audit: AuditTrail
    waivers: Waivers
    sealing: Sealing
    evidence: Evidence
    tokens: Tokens
    hook_callers: HookCallers
    retention: Retention
    webhooks: Webhooks
    recurring: tuple[Recurring, ...]

    def start_working(self) -> None:
        """Run jobs and what recurs in this process."""
        self.jobs.start()
        for one in self.recurring:
            one.start()

    def close(self) -> None:
        """Finish the step of the job that runs, store what waits, then close."""
        self.jobs.close()
        for one in self.recurring:
            one.close()
        self.writer.close()
        self.database.close()


def build_parts(settings: Settings) -> Parts:
    """Open everything a process needs. Jobs are made; they are run once `start_working` is called."""
    database = Database(settings.database_url)
    registry, writer, validator = open_validator(settings, database)
    hold = frozenset(settings.hold_severities)
    checks = ServiceChecks(registry, hold, settings.time_zone)
    work = Jobs(database, open_queue(database, settings.job_seconds), settings.job_lease_seconds)
    drafts = Drafts(database, registry, settings.reference_samples)
    control = ChangeControl(database, drafts, work, settings.time_zone)
    editions = EditionReview(database)
    key = signing_key(settings.data_dir / "audit.key")
    sealing = Sealing(database, key, work)
    retention = Retention(database, validator.cipher, work, settings.input_retention_days, settings.audit_retention_days)
    outbound = Outbound(settings.outbound_networks)
    public_keys = PublicKeys(outbound)
    return Parts(
        settings,
        database,
        registry,
        writer,
        validator,
        checks,
        HookAdvice(database, checks, settings.time_zone),
        work,
        BulkValidation(database, registry, validator, work),
        drafts,
        control,
        editions,
        Publishing(database, control, work, editions, settings.time_zone),
        Emergencies(database, work),
        Impact(database, registry, validator.cipher, work, control, hold),
        History(database),
        Replays(database, registry, validator.cipher, hold),
        Outlook(database, settings.time_zone),
        AuditTrail(database, key),
        Waivers(database, validator.cipher),
        sealing,
        Evidence(database),
        Tokens(database, public_keys, base_url(settings)),
        HookCallers(database, public_keys, base_url(settings)),
        retention,
        Webhooks(database, validator.cipher, outbound),
        (
            Recurring(settings.seal_seconds, sealing.seal_all),
            Recurring(RETENTION_SECONDS, retention.ensure_daily),
            Recurring(LOST_JOB_SECONDS, work.start_lost),
            Recurring(settings.webhook_seconds, WebhookDelivery(database, validator.cipher, outbound).run),
        ),
    )
