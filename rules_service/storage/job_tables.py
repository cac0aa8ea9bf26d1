"""SQLModel tables of jobs: what is to be done, how far it is, what each item came to, and uploads that wait for it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, ForeignKeyConstraint, Index, LargeBinary
from sqlmodel import Field, SQLModel

from rules_service.storage.tables import instant


class Job(SQLModel, table=True):
    """A long work of a tenant. `parameters` and `result` are canonical JSON without PHI; the owner's lease says who runs it now.
    The request that made it, by its idempotency key and the hash of its body, makes no other."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_due", "state", "run_at"),
        Index("ix_job_request", "tenant_id", "created_by", "request_key", unique=True),
        ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"]),
    )
    tenant_id: str = Field(primary_key=True, max_length=64)
    job_id: str = Field(primary_key=True, max_length=40)
    kind: str = Field(max_length=40)
    parameters: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    state: str
    done: int
    total: int | None = None
    failure: str | None = None
    result: bytes | None = Field(default=None, sa_column=Column(LargeBinary))
    cancel_requested: bool
    run_at: datetime = Field(sa_column=instant(nullable=False))
    owner: str | None = None
    lease_until: datetime | None = Field(default=None, sa_column=instant())
    attempts: int
    created_by: str
    created_at: datetime = Field(sa_column=instant(nullable=False))
    finished_at: datetime | None = Field(default=None, sa_column=instant())
    request_key: str | None = Field(default=None, max_length=255)
    request_sha256: str | None = Field(default=None, max_length=64)


class JobItem(SQLModel, table=True):
    """What one step of a job came to: lines of JSON. Its key lets no step be done twice."""

    __tablename__ = "job_item"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "job_id"], ["job.tenant_id", "job.job_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    job_id: str = Field(primary_key=True, max_length=40)
    number: int = Field(primary_key=True)
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class JobUpload(SQLModel, table=True):
    """Claims sent for a job (PHI), encrypted as stored claims are, and erased when the job ends."""

    __tablename__ = "job_upload"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "job_id"], ["job.tenant_id", "job.job_id"]),)
    tenant_id: str = Field(primary_key=True, max_length=64)
    job_id: str = Field(primary_key=True, max_length=40)
    number: int = Field(primary_key=True)
    key_id: str
    nonce: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    ciphertext: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
