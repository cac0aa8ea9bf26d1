"""`rules-service watch`: a folder files are dropped into; findings and simulated 277CAs out."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from rules_service.cli.common import opened
from rules_service.primitives.errors import StorageUnavailable
from rules_service.services.validate_claim import open_validator
from rules_service.services.watched_folder import SETTLED_SECONDS, Folders, WatchedFolder
from rules_service.storage.clients import Principal


def watch(
    incoming: Annotated[Path, typer.Argument(help="Folder files are dropped into")],
    answers: Annotated[Path, typer.Argument(help="Folder for findings (NDJSON) and simulated 277CAs")],
    archive: Annotated[Path, typer.Argument(help="Folder files are kept in")],
    seconds: Annotated[float, typer.Option(help="How often to look")] = 2.0,
    settled: Annotated[float, typer.Option(help="Seconds a file must not have changed before it is taken")] = SETTLED_SECONDS,
    once: Annotated[bool, typer.Option(help="Look once and leave")] = False,
) -> None:
    """Judge, store and answer every file of claims that is dropped, until told to stop. Several watchers may share a folder."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with opened() as (settings, database):
        _, writer, validator = open_validator(settings, database)
        try:
            folder = WatchedFolder(
                Folders(incoming, answers, archive),
                validator,
                Principal(settings.tenant_id, "watched folder", frozenset()),
                settled,
            )
            print(f"watching {incoming}", flush=True)
            for inner in sorted(path.name for path in incoming.iterdir() if path.is_dir() and not path.name.startswith(".")):
                print(f"{inner}: a folder in it is not looked into; watch it by itself", file=sys.stderr, flush=True)
            while not stopped.is_set():
                try:
                    for one in folder.look():
                        if one.failure is not None:
                            print(f"{one.name}: not answered, tried again later: {one.failure}", file=sys.stderr, flush=True)
                        else:
                            print(f"{one.name}: {one.claims} claims, {one.refused} of them not read", flush=True)
                except StorageUnavailable as error:
                    print(f"the database is away, the file waits: {error}", file=sys.stderr, flush=True)
                if once:
                    break
                stopped.wait(seconds)
        finally:
            writer.close()
