"""What the commands share: errors as plain text with exit code 1, the database of the settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rules_service.primitives.errors import InputError, RulesServiceError
from rules_service.services.settings import Settings, load_settings
from rules_service.storage.database import Database


@contextmanager
def told() -> Iterator[None]:
    """Print an error of ours and leave with exit code 1."""
    try:
        yield
    except InputError as error:
        print(error.title, file=sys.stderr)
        for issue in error.issues:
            print(f"  {issue}", file=sys.stderr)
        raise typer.Exit(1) from None
    except RulesServiceError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None


@contextmanager
def opened() -> Iterator[tuple[Settings, Database]]:
    """The settings and their database, closed at the end."""
    settings = load_settings()
    database = Database(settings.database_url)
    try:
        with told():
            yield settings, database
    finally:
        database.close()
