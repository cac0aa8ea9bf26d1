"""`rules-service clients`: API clients and their keys."""

from __future__ import annotations

from typing import Annotated

import typer

from rules_service.cli.common import opened
from rules_service.services.add_client import add_client
from rules_service.storage.clients import ROLES, SCOPES

app = typer.Typer(help="API clients.", no_args_is_help=True)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who calls with this key")],
    scope: Annotated[list[str] | None, typer.Option(help="A scope; repeat for several. Default: all")] = None,
    role: Annotated[list[str] | None, typer.Option(help=f"A role, which bundles scopes: {', '.join(ROLES)}; repeat for several")] = None,
) -> None:
    """Create a client; its key is printed once and stored only as a hash."""
    unknown = sorted(set(role or ()) - set(ROLES))
    if unknown:
        raise typer.BadParameter(f"No such role: {', '.join(unknown)}. Known: {', '.join(ROLES)}.")
    chosen = sorted({*(scope or ()), *(one for name in role or () for one in ROLES[name])}) or sorted(SCOPES)
    unknown = sorted(set(chosen) - set(SCOPES))
    if unknown:
        raise typer.BadParameter(f"No such scope: {', '.join(unknown)}. Known: {', '.join(sorted(SCOPES))}.")
    with opened() as (settings, database):
        client_id, key = add_client(database, settings.tenant_id, name, chosen, "command line")
    print(f"client {client_id}\nkey    {key}")
