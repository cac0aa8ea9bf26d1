"""`rules-service`: serve, worker, migrate, validate, packs, reference, clients."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
import uvicorn

from rules_service.cli import clients, demo, keys, packs, reference, validate, watch
from rules_service.cli.common import opened
from rules_service.services.parts import build_parts
from rules_service.services.settings import load_settings

app = typer.Typer(help="Payer rules service.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(packs.app, name="packs")
app.add_typer(reference.app, name="reference")
app.add_typer(clients.app, name="clients")
app.add_typer(keys.app, name="keys")
app.command("validate")(validate.validate)
app.command("watch")(watch.watch)
app.command("demo", hidden=True)(demo.demo)


@app.command()
def migrate(revision: Annotated[str, typer.Argument(help="head, or an older revision to go back to")] = "head") -> None:
    """Bring the database schema to a revision."""
    with opened() as (_, database):
        database.migrate(revision)
    print(f"schema at {revision}")


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on (HOST)")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (PORT)")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes (WORKERS)")] = None,
) -> None:
    """Start the service. The database must be migrated."""
    settings = load_settings()
    uvicorn.run(
        "rules_service.api.app:create_app",
        factory=True,
        host=host or settings.host,
        port=port or settings.port,
        workers=workers or settings.workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        server_header=False,
        date_header=False,
        log_level="warning",
    )


@app.command()
def worker() -> None:
    """Run jobs until told to stop; as many processes on as many machines as there is work for (on PostgreSQL)."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    parts = build_parts(load_settings())
    parts.start_working()
    print("the worker runs jobs", flush=True)
    stopped.wait()
    parts.close()


if __name__ == "__main__":
    app()
