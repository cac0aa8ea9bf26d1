"""Repository of API clients. A key is shown once; only its hash is stored."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select

from rules_service.storage import tables as t
from rules_service.storage.ids import new_id

_api_client = t.core(t.ApiClient)

SCOPES: dict[str, str] = {
    "claims:validate": "Validate claims and read the capabilities",
    "evaluations:read": "Read stored evaluations, their explanations and waivers, and search for them",
    "waivers:write": "Waive findings of one claim, and end waivers",
    "waivers:standing": "Waive a code for a payer and billing provider",
    "rules:read": "Read payers, rule sets, publications, kinds and facts",
    "reference:read": "Read reference-table editions",
    "reference:write": "Load reference-table editions",
    "rules:write": "Edit drafts, run their checks, open and withdraw change requests",
    "rules:review": "Review change requests of others",
    "rules:publish": "Publish approved change requests, schedule them, roll back",
    "rules:publish_retroactive": "Publish windows that begin in the past",
    "rules:emergency": "Switch a rule off or lower its severity at once, for seven days",
    "audit:read": "Read the audit log and the history of rules",
    "audit:verify": "Verify the audit log and replay evaluations",
    "jobs:read": "See jobs and what they came to",
    "jobs:cancel": "Cancel jobs",
    "metrics:read": "Read metrics",
}
ROLES: dict[str, tuple[str, ...]] = {
    "ehr_client": ("claims:validate", "evaluations:read", "waivers:write"),
    "rule_author": ("rules:read", "rules:write", "reference:read", "evaluations:read", "claims:validate", "jobs:read", "jobs:cancel"),
    "reviewer": ("rules:read", "rules:review", "reference:read", "evaluations:read", "jobs:read"),
    "publisher": (
        "rules:read",
        "rules:publish",
        "rules:publish_retroactive",
        "rules:emergency",
        "waivers:write",
        "waivers:standing",
        "evaluations:read",
        "reference:read",
        "reference:write",
        "jobs:read",
        "jobs:cancel",
    ),
    "auditor": ("rules:read", "reference:read", "evaluations:read", "audit:read", "audit:verify", "jobs:read"),
    "operator": ("metrics:read", "reference:read", "rules:read", "jobs:read", "jobs:cancel"),
}
"""Scopes by role. An auditor reads everything and changes nothing. Author and publisher may be one person; author and reviewer
of one change may not, which the database holds."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: tenant and scopes come from the credential, never from the body."""

    tenant_id: str
    client_id: str
    scopes: frozenset[str]


def hash_key(key: str) -> str:
    """SHA-256 of a key; keys have 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


def create_client(connection: Connection, tenant_id: str, name: str, scopes: Iterable[str], now: datetime) -> tuple[str, str]:
    """(client id, key) of a new client."""
    client_id, key = new_id("cl"), f"rsk_{secrets.token_urlsafe(32)}"
    connection.execute(
        insert(_api_client).values(
            tenant_id=tenant_id, client_id=client_id, name=name, key_sha256=hash_key(key), scopes=" ".join(sorted(scopes)), created_at=now
        )
    )
    return client_id, key


def find_principal(connection: Connection, key_sha256: str) -> Principal | None:
    """The client of a key's hash; None when there is none or it was revoked."""
    row = connection.execute(
        select(_api_client.c.tenant_id, _api_client.c.client_id, _api_client.c.scopes).where(
            _api_client.c.key_sha256 == key_sha256, _api_client.c.revoked_at.is_(None)
        )
    ).first()
    return None if row is None else Principal(row.tenant_id, row.client_id, frozenset(row.scopes.split()))
