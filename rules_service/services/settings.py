"""Settings from the environment. Defaults make an embedded service under `data/`."""

from __future__ import annotations

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting is an environment variable of the same name, upper-case."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore")

    database_url: str = "sqlite:///data/rules.db"
    data_dir: Path = Path("data")
    claim_key: str | None = None
    """256-bit key for claim bodies, base64; without it a key file is made in `data_dir`. After a rotation, those before it follow,
    separated by commas."""
    search_key: str | None = None
    """256-bit key of the hashes by which claims are found, base64; given with `claim_key`, and never rotated."""
    port: int = 8000
    host: str = "127.0.0.1"
    workers: int = 1
    reference_samples: Path = Path("payer_rules/reference_samples")
    """Synthetic editions the cases of rules are judged with."""
    runs_jobs: bool = True
    """Whether a serving process runs jobs too. On PostgreSQL, `rules-service worker` processes may run them instead."""
    job_seconds: float = 1.0
    """How often a process looks for jobs that are due."""
    seal_seconds: float = 2.0
    """How often evaluations that no seal covers are sealed, by the processes that run jobs."""
    input_retention_days: int = 400
    """How long after its evaluation a claim is kept; the evaluation outlives it."""
    audit_retention_days: int = 3_653
    """How long an audit event is kept: ten years. Rules and evaluations are never deleted."""
    job_lease_seconds: float = 60.0
    """How long after its last step a job counts as left by a process that was killed, and is taken up by another."""
    webhook_seconds: float = 1.0
    """How often a process that runs jobs looks for events to pass on to webhook endpoints."""
    outbound_networks: tuple[str, ...] = ()
    """Private networks that webhooks may be sent to and public keys fetched from, also without TLS (JSON list of CIDR blocks).
    Otherwise only public addresses are."""
    hook_origins: tuple[str, ...] = ()
    """Origins of EHRs that call the CDS Hooks from a browser (JSON list, for instance ["https://ehr.example"]). Without any, none may."""
    public_url: str | None = None
    """How callers reach the service: the audience of client assertions is its /v1/oauth/token. Without it, HOST and PORT."""
    tenant_id: str = "default"
    """Tenant that command-line loads write to."""
    hold_severities: tuple[str, ...] = ("reject", "deny_hard", "deny_soft")
    """Severities that block release (JSON list)."""
    time_zone: str = "America/New_York"
    """Zone of the instant stamped on a claim sent without `received_at`: filing limits look at its date."""
    max_validate_bytes: int = 1 << 20
    max_batch_bytes: int = 8 << 20
    max_reference_bytes: int = 256 << 20
    max_corpus_bytes: int = 64 << 20
    """Of claims sent for an impact analysis."""
    max_bulk_bytes: int = 256 << 20
    """Of claims sent to be judged by a job."""


def base_url(settings: Settings) -> str:
    """How callers reach the service, without a slash at its end."""
    return (settings.public_url or f"http://{settings.host}:{settings.port}").rstrip("/")


def load_settings() -> Settings:
    """The settings of this process."""
    return Settings()
