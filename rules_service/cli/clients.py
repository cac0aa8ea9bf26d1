"""`rules-service clients`: API clients and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rules_service.cli.common import opened
from rules_service.primitives.scopes import ROLES, SCOPES
from rules_service.services.manage_clients import add_client, listed, register_keys, revoke_client, set_scopes

app = typer.Typer(help="API clients.", no_args_is_help=True)


Scopes = Annotated[list[str] | None, typer.Option(help="A scope; repeat for several")]
Roles = Annotated[list[str] | None, typer.Option(help=f"A role, which bundles scopes: {', '.join(ROLES)}; repeat for several")]
ClientId = Annotated[str, typer.Argument(help="Client id")]


def _chosen(scope: list[str] | None, role: list[str] | None) -> list[str]:
    unknown = sorted(set(role or ()) - set(ROLES))
    if unknown:
        raise typer.BadParameter(f"No such role: {', '.join(unknown)}. Known: {', '.join(ROLES)}.")
    chosen = sorted({*(scope or ()), *(one for name in role or () for one in ROLES[name])})
    unknown = sorted(set(chosen) - set(SCOPES))
    if unknown:
        raise typer.BadParameter(f"No such scope: {', '.join(unknown)}. Known: {', '.join(sorted(SCOPES))}.")
    return chosen


@app.command("create")
def create(name: Annotated[str, typer.Argument(help="Who calls with this key")], scope: Scopes = None, role: Roles = None) -> None:
    """Create a client (with all scopes when none is named); its key is printed once and stored only as a hash."""
    chosen = _chosen(scope, role) or sorted(SCOPES)
    with opened() as (settings, database):
        client_id, key = add_client(database, settings.tenant_id, name, chosen, "command line")
    print(f"client {client_id}\nkey    {key}")


@app.command("list")
def list_() -> None:
    """Every client with its scopes."""
    with opened() as (settings, database):
        for one in listed(database, settings.tenant_id):
            state = "revoked" if one.revoked_at else "keys registered" if one.jwks else "API key"
            print(f"{one.client_id}  {one.name}  ({state})  {' '.join(one.scopes)}")


@app.command("register-keys")
def register(client_id: ClientId, jwks: Annotated[Path, typer.Argument(help="JWK Set (RFC 7517) with public keys", exists=True)]) -> None:
    """Register a client's public keys, in the place of those before: it may then ask /v1/oauth/token for access tokens."""
    with opened() as (settings, database):
        count = register_keys(database, settings.tenant_id, client_id, jwks.read_bytes(), "command line")
    print(f"{count} keys registered")


@app.command("grant")
def grant(client_id: ClientId, scope: Scopes = None, role: Roles = None) -> None:
    """Give a client these scopes in the place of those it has."""
    chosen = _chosen(scope, role)
    with opened() as (settings, database):
        set_scopes(database, settings.tenant_id, client_id, chosen, "command line")
    print(f"scopes: {' '.join(chosen) or 'none'}")


@app.command("revoke")
def revoke(client_id: ClientId) -> None:
    """End a client: its key and tokens open nothing any more."""
    with opened() as (settings, database):
        revoke_client(database, settings.tenant_id, client_id, "command line")
    print("revoked")
