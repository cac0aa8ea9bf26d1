"""`rules-service validate PATH...`: files or folders of claims against the published rules, without storing. The rules are those of the
settings' database, or of a running service."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import msgspec
import typer
from rich.progress import Progress

from rules_service.claim.claim import Claim
from rules_service.claim.codec import encode_json
from rules_service.cli.common import opened, told
from rules_service.client import RulesClient, ServiceError
from rules_service.primitives.errors import RulesServiceError
from rules_service.rendering.reports import csv_report, sarif_report
from rules_service.rendering.text import error_document, evaluation_text, problem_text
from rules_service.services.claim_files import NAMES, read_claim_file
from rules_service.services.validate_claim import open_validator
from rules_service.storage.clients import Principal

Format = Literal["text", "json", "csv", "sarif"]
Judge = Callable[[Claim], dict[str, Any]]
"""Gives an evaluation, or raises RulesServiceError or ServiceError."""
KEY_VARIABLE = "RULES_SERVICE_KEY"
UNPROCESSABLE = 422


def validate(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="JSON, NDJSON, FHIR or 837 files, or folders of them")],
    form: Annotated[Format, typer.Option("--format", help="text, json (a document a claim, a line each), csv or sarif")] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json")] = False,
    server: Annotated[str | None, typer.Option(help="URL of a running service that judges instead of the database here")] = None,
    key: Annotated[str | None, typer.Option(envvar=KEY_VARIABLE, help="Its API key or access token; better in the environment")] = None,
) -> None:
    """Judge every claim of the files. Exit code 0 when all are clean, 1 when any is not, 2 when any could not be read or there is none."""
    chosen: Format = "json" if as_json else form
    files = [file for path in paths for file in (_claim_files(path) if path.is_dir() else [path])]
    if not files:
        print("No file of claims was found: nothing was judged.", file=sys.stderr)
        raise typer.Exit(2)
    worst, kept = 0, list[dict[str, Any]]()
    with (
        _here() if server is None else _there(server, key) as judge,
        Progress(transient=True, disable=chosen != "text" or not sys.stderr.isatty()) as progress,
    ):
        task = progress.add_task("Validating")
        for number, path in enumerate(files, 1):
            claims = read_claim_file(path.name, path.read_bytes()).claims
            progress.reset(task, total=len(claims), description=f"File {number} of {len(files)}")
            for index, item in enumerate(claims, 1):
                said = _judged(judge, item.outcome)
                answer = {"file": path.as_posix(), "claim": index} | said | item.stands(said.get("evaluation"))
                worst = max(worst, _exit_code(answer))
                if chosen in ("csv", "sarif"):
                    kept.append(answer)
                else:
                    progress.console.print(_shown(answer, chosen), markup=False, highlight=False, soft_wrap=True)
                progress.advance(task)
    if chosen == "csv":
        print(csv_report(kept), end="")
    elif chosen == "sarif":
        print(msgspec.json.format(msgspec.json.encode(sarif_report(kept))).decode())
    raise typer.Exit(worst)


@contextmanager
def _here() -> Iterator[Judge]:
    """Judges by the rules of the settings' database."""
    with opened() as (settings, database):
        _, writer, validator = open_validator(settings, database)
        principal = Principal(settings.tenant_id, "command line", frozenset())
        try:
            yield lambda claim: msgspec.json.decode(asyncio.run(validator.dry_run(claim, principal)).body)
        finally:
            writer.close()


@contextmanager
def _there(server: str, key: str | None) -> Iterator[Judge]:
    """Judges by the rules of a running service; leaves with exit code 2 when it cannot be asked."""
    if not key:
        raise typer.BadParameter(f"--server needs a credential: set {KEY_VARIABLE}.")
    try:
        with told(), RulesClient(server, key) as client:
            yield lambda claim: msgspec.json.decode(encode_json(client.validate(claim, dry_run=True)))
    except ServiceError as error:
        print(f"The service refused: {error.problem.title}. {error.problem.detail}".rstrip(), file=sys.stderr)
        raise typer.Exit(2) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        print(f"The service was not reached: {type(error).__name__}.", file=sys.stderr)
        raise typer.Exit(2) from None


def _claim_files(folder: Path) -> list[Path]:
    """The files of a folder, and of those in it, whose names say that they may hold claims; the others are told."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    for path in found:
        if path.suffix.lower() not in NAMES:
            print(f"{path.as_posix()} is passed over: its name does not say that it holds claims.", file=sys.stderr)
    return [path for path in found if path.suffix.lower() in NAMES]


def _judged(judge: Judge, item: Claim | RulesServiceError) -> dict[str, Any]:
    if isinstance(item, Claim):
        try:
            return {"evaluation": judge(item)}
        except RulesServiceError as error:
            item = error
        except ServiceError as error:
            if error.problem.status != UNPROCESSABLE:  # it is not about the claim
                raise
            return {"problem": {"title": error.problem.title, "errors": list(error.problem.errors)}}
    return {"problem": error_document(item)}


def _exit_code(answer: dict[str, Any]) -> int:
    if "problem" in answer:
        return 2
    return 0 if answer["evaluation"]["outcome"] == "clean" else 1


def _shown(answer: dict[str, Any], form: Format) -> str:
    if form == "json":
        return msgspec.json.encode(answer).decode()
    text = evaluation_text(answer["evaluation"]) if "evaluation" in answer else problem_text(answer["problem"])
    return f"{answer['file']} claim {answer['claim']}: {text}\n"
