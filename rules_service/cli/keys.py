"""`rules-service keys`: the keys claims are sealed with."""

from __future__ import annotations

import typer

from rules_service.cli.common import told
from rules_service.services.parts import build_parts
from rules_service.services.settings import load_settings
from rules_service.storage import retention, webhooks
from rules_service.storage.cipher import CLAIM_KEY_FILE, new_key_text
from rules_service.storage.key_file import put_first

app = typer.Typer(help="Keys that claims are sealed with.", no_args_is_help=True)


@app.command("status")
def status() -> None:
    """How many stored claims and webhook secrets are sealed with each key: a key nobody needs any more may leave the key file."""
    parts = build_parts(load_settings())
    try:
        with told(), parts.database.reading() as connection:
            claims, secrets = retention.bodies_by_key(connection), webhooks.counts_by_key(connection)
            for name in sorted(claims | secrets):
                current = " (current)" if name == parts.validator.cipher.key_id else ""
                print(f"{name}{current}  {claims.get(name, 0)} claims, {secrets.get(name, 0)} webhook secrets")
    finally:
        parts.close()


@app.command("rotate")
def rotate() -> None:
    """Make a new current key in DATA_DIR (with CLAIM_KEY set: put it first there yourself), and have claims and webhook secrets sealed anew by jobs."""
    settings = load_settings()
    parts = build_parts(settings)
    try:
        with told():
            if settings.claim_key is None:
                put_first(settings.data_dir / CLAIM_KEY_FILE, new_key_text())
                parts.validator.cipher.reload()
            for tenant_id, job_id in parts.retention.start_rotation("command line").items():
                print(f"{tenant_id}: {job_id}")
            print(f"current key {parts.validator.cipher.key_id}; see `keys status` when the jobs have run")
    finally:
        parts.close()
