"""`rules-service clients`: API clients and their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rules_service.cli.common import opened
from rules_service.primitives.scopes import ROLES, SCOPES
from rules_service.services.manage_clients import (
    add_client,
    listed,
    register_issuer,
    register_keys,
    register_keys_address,
    revoke_client,
    set_scopes,
)
from rules_service.services.outbound import Outbound
from rules_service.services.public_keys import PublicKeys

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
            keys = one.jwks or one.jwks_url
            state = "revoked" if one.revoked_at else "keys registered" if keys else "API key"
            state += f", signs as {one.issuer}" if one.issuer else ""
            print(f"{one.client_id}  {one.name}  ({state})  {' '.join(one.scopes)}")


@app.command("register-keys")
def register(
    client_id: ClientId,
    jwks: Annotated[Path | None, typer.Argument(help="JWK Set (RFC 7517) with public keys", exists=True)] = None,
    url: Annotated[str | None, typer.Option(help="Where the client publishes its JWK Set, instead of the file")] = None,
) -> None:
    """Register a client's public keys, in the place of those before: it may then ask /v1/oauth/token for access tokens, and sign its
    calls of CDS Hooks."""
    if (jwks is None) == (url is None):
        raise typer.BadParameter("Give a file with a JWK Set, or --url.")
    with opened() as (settings, database):
        if jwks is not None:
            print(f"{register_keys(database, settings.tenant_id, client_id, jwks.read_bytes(), 'command line')} keys registered")
        elif url is not None:
            keys = PublicKeys(Outbound(settings.outbound_networks))
            found = register_keys_address(database, keys, settings.tenant_id, client_id, url, "command line")
            now = f"{len(found.keys)} usable keys there now" if found.failure is None else f"no keys there now: {found.failure}"
            print(f"address registered; {now}")


@app.command("register-issuer")
def issuer(
    client_id: ClientId,
    iss: Annotated[str, typer.Argument(metavar="ISS", help="The iss of the JWTs the EHR signs, a URI")],
    tenant: Annotated[str, typer.Option(help="Their tenant, where the EHR sends one")] = "",
) -> None:
    """Register how an EHR names itself when it calls CDS Hooks; without this, iss is the client's id."""
    with opened() as (settings, database):
        register_issuer(database, settings.tenant_id, client_id, iss, tenant, "command line")
    print("issuer registered")


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
