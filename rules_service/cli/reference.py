"""`rules-service reference`: editions of reference tables, from the files as their publishers ship them."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated

import typer

from rules_service.cli.common import opened
from rules_service.reference.publishers import TABLES, parse_table
from rules_service.reference.source_files import SourceFile
from rules_service.services.acting import Actor
from rules_service.services.edition_review import EditionReview
from rules_service.services.load_reference import Upload, coverage_of, icd10_upload
from rules_service.storage import catalog
from rules_service.storage.change_requests import ChangeRequestRecord

app = typer.Typer(help="Reference-table editions.", no_args_is_help=True)


@app.command("load")
def load(
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(sorted(TABLES))}")],
    files: Annotated[list[Path] | None, typer.Argument(exists=True, dir_okay=False, help="The publisher's files")] = None,
    edition: Annotated[str, typer.Option(help="Label, for instance 2026Q4")] = "",
    coverage_from: Annotated[str, typer.Option(help="First day the edition answers for, YYYY-MM-DD")] = "",
    coverage_through: Annotated[str | None, typer.Option(help="Last day, when it has one")] = None,
    icd10_package: Annotated[bool, typer.Option(help="Take ICD-10-CM from the installed package simple-icd-10-cm")] = False,
    partial: Annotated[bool, typer.Option(help="The files are an extract: of codes outside them nothing is known")] = False,
    accept_census: Annotated[bool, typer.Option(help="Accept a row count far from the edition before")] = False,
) -> None:
    """Load one edition: a table's first is published, a later one awaits review. A bad row is reported with file and line."""
    if not edition or not coverage_from:
        raise typer.BadParameter("--edition and --coverage-from are needed.")
    with opened() as (settings, database):
        coverage = coverage_of(coverage_from, coverage_through)
        if icd10_package:
            upload = icd10_upload(name, edition, coverage)
        else:
            read = [SourceFile(path.name, path.read_bytes()) for path in files or []]
            upload = Upload(name, edition, coverage, parse_table(name, read, coverage, partial), read)
        actor = Actor(settings.tenant_id, f"cli:{getpass.getuser()}", frozenset())
        loaded = EditionReview(database).take(actor, upload, accept_census)
    if isinstance(loaded, ChangeRequestRecord):
        print(f"{upload.name} has an edition: {edition} awaits review as {loaded.change_request_id}")
        return
    before = "" if loaded.rows_before is None else f" (the edition before had {loaded.rows_before})"
    print(f"{loaded.name} {loaded.edition}: {loaded.rows} rows{before}, epoch {loaded.epoch}, sha256 {loaded.sha256}")


@app.command("list")
def list_editions() -> None:
    """List the loaded editions."""
    with opened() as (settings, database), database.reading() as connection:
        for one in catalog.editions(connection, settings.tenant_id, catalog.current_epoch(connection, settings.tenant_id)):
            print(
                f"{one.name:<32} {one.edition:<14} {one.coverage.first} .. {one.coverage.last or ''!s:<12} {one.rows:>9} rows  epoch {one.epoch}{'  partial' if one.is_partial else ''}"
            )
