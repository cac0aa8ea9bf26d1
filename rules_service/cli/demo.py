"""`make run`: a demo service with the shipped packs, the synthetic sample tables and ICD-10-CM from its package."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from rules_service.cli.common import opened
from rules_service.packs.read import find_packs
from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.scopes import SCOPES
from rules_service.services.load_packs import load_packs, load_samples
from rules_service.services.load_reference import ICD10_TABLES, icd10_upload, load_parsed
from rules_service.services.manage_clients import add_client
from rules_service.storage.clients import find_principal, hash_key

ICD10_LABEL = "2026-04-package"
LEFT_OUT = frozenset(ICD10_TABLES)
"""Samples of tables that the demo has whole."""


def demo(
    credentials: Annotated[Path, typer.Argument()] = Path("build/demo-credentials.json"),
    root: Annotated[Path, typer.Option()] = Path("payer_rules"),
) -> None:
    """Migrate, load what ships with the project, keep a demo credential, and print a curl that validates a sample claim."""
    with opened() as (settings, database):
        database.migrate()
        tenant = settings.tenant_id
        load_samples(database, tenant, root / "reference_samples", "demo", leave_out=LEFT_OUT)
        # The package holds one release (April 2026); the demo lets it answer for every date since ICD-10-CM began.
        for name in ICD10_TABLES:
            upload = icd10_upload(name, ICD10_LABEL, EffectivePeriod(datetime(2015, 10, 1, tzinfo=UTC).date()))
            load_parsed(database, tenant, upload, "demo", accept_census=True)
        loaded = load_packs(database, tenant, find_packs(root), root / "reference_samples", "demo")
        base_url = f"http://{settings.host}:{settings.port}"
        key = _kept_key(credentials)
        with database.reading() as connection:
            known = find_principal(connection, hash_key(key), datetime.now(UTC)) if key is not None else None
        if key is None or known is None or known[0].scopes != frozenset(SCOPES):  # none yet, or one of a release with fewer scopes
            _, key = add_client(database, tenant, "demo", SCOPES, "demo")
        _keep(credentials, {"base_url": base_url, "api_key": key})
    state = f"published under epoch {loaded.epoch}" if loaded.epoch is not None else "unchanged"
    print(f"Rule packs: {', '.join(loaded.published or loaded.unchanged)} ({state}).")
    print(f"Credential: {credentials}. Try, in another terminal:\n")
    print(f"""curl -s {base_url}/v1/claims/validate -H 'Content-Type: application/json' \\
  -H "Authorization: Bearer $(python3 -c "import json; print(json.load(open('{credentials}'))['api_key'])")" \\
  -d @openapi/examples/claim-with-findings.json\n""")


def _kept_key(path: Path) -> str | None:
    try:
        return str(msgspec.json.decode(path.read_bytes())["api_key"])
    except (OSError, msgspec.DecodeError, KeyError, TypeError):
        return None


def _keep(path: Path, content: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
