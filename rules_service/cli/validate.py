"""`rules-service validate FILE...`: JSON, NDJSON or 837 files against the published rules, without storing."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress

from rules_service.claim.claim import Claim
from rules_service.cli.common import opened
from rules_service.formats.native.json_claims import lines_of, read_claims
from rules_service.formats.x12.claims_837 import read_837
from rules_service.primitives.errors import RulesServiceError
from rules_service.rendering.text import error_document, evaluation_text, problem_text
from rules_service.services.validate_claim import ClaimValidator, open_validator
from rules_service.storage.clients import Principal


def claims_of_file(path: Path) -> list[Claim | RulesServiceError]:
    """The claims of a file, each read or refused alone; a file that cannot be read at all gives its one error."""
    data = path.read_bytes()
    try:
        if data.lstrip()[:3] == b"ISA" or path.suffix.lower() in (".837", ".edi", ".x12"):
            return [item.outcome for item in read_837(data)]
        texts = lines_of(data) if path.suffix.lower() in (".ndjson", ".jsonl") else [data]
    except RulesServiceError as error:
        return [error]
    return read_claims(texts)


def validate(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="JSON, NDJSON or 837 files")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a claim, a line each")] = False,
) -> None:
    """Judge every claim of the files. Exit code 0 when all are clean, 1 when any is not, 2 when any could not be read."""
    worst = 0
    with opened() as (settings, database):
        _, writer, validator = open_validator(settings, database)
        try:
            principal = Principal(settings.tenant_id, "command line", frozenset())
            with Progress(transient=True, disable=as_json or not sys.stderr.isatty()) as progress:
                task = progress.add_task("Validating", total=len(files))
                for path in files:
                    for index, item in enumerate(claims_of_file(path), 1):
                        answer = _judge(validator, item, principal)
                        worst = max(worst, _exit_code(answer))
                        progress.console.print(_shown(path, index, answer, as_json), markup=False, highlight=False, soft_wrap=True)
                    progress.advance(task)
        finally:
            writer.close()
    raise typer.Exit(worst)


def _judge(validator: ClaimValidator, item: Claim | RulesServiceError, principal: Principal) -> dict[str, Any]:
    if isinstance(item, Claim):
        try:
            return {"evaluation": msgspec.json.decode(asyncio.run(validator.dry_run(item, principal)).body)}
        except RulesServiceError as error:
            item = error
    return {"problem": error_document(item)}


def _exit_code(answer: dict[str, Any]) -> int:
    if "problem" in answer:
        return 2
    return 0 if answer["evaluation"]["outcome"] == "clean" else 1


def _shown(path: Path, index: int, answer: dict[str, Any], as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode({"file": path.name, "claim": index, **answer}).decode()
    text = evaluation_text(answer["evaluation"]) if "evaluation" in answer else problem_text(answer["problem"])
    return f"{path.name} claim {index}: {text}\n"
