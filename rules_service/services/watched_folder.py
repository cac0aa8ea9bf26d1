"""A folder files are dropped into (SFTP): each is claimed once, judged and stored, answered, and archived.

A file is taken by renaming it into `.taken` of the folder, which only one of several watchers can do, once it has not changed for a while. Its answers are
written whole, then it is moved to the archive. What a killed watcher left in `.taken` is taken again after a while: its claims
carry idempotency keys of the file's hash and their places, so no claim is evaluated twice.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from rules_service.claim.claim import Claim
from rules_service.formats.x12.acknowledgment import Answered, acknowledgment
from rules_service.primitives.canonical import sha256_hex
from rules_service.primitives.errors import EngineFault, InputError, StateConflict
from rules_service.rendering.text import error_document
from rules_service.services.claim_files import ClaimFile, FileClaim, read_claim_file
from rules_service.services.validate_claim import ClaimValidator
from rules_service.storage.clients import Principal

TAKEN = ".taken"
NAMED, RESERVED = "~", "="
"""Before the name of a taken file: as it came in, or as the archive keeps a place for it."""
SETTLED_SECONDS = 2.0
"""How long a file must not have changed before it is taken: an upload may still be going on."""
HEARTBEAT = 100
"""Claims between two signs of life."""
NAME_BYTES = 180
"""How much of a file's name is kept: its answers' names are longer, and file systems take 255 bytes."""
LEFT_SECONDS = 300.0
"""How old what lies in `.taken` must be to have been left by a watcher that is gone."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where files come in, answers go out, and files are kept."""

    incoming: Path
    answers: Path
    archive: Path


@dataclass(frozen=True, slots=True)
class Handled:
    """A file that was answered; with a `failure` (of the file system, or a claim that could not be judged) it lies in `.taken` and is
    tried again."""

    name: str
    claims: int = 0
    refused: int = 0
    failure: str | None = None


class WatchedFolder:
    """Looks into a folder and handles what is there."""

    def __init__(
        self,
        folders: Folders,
        validator: ClaimValidator,
        principal: Principal,
        settled: float = SETTLED_SECONDS,
        left: float = LEFT_SECONDS,
    ) -> None:
        self._folders, self._validator, self._principal = folders, validator, principal
        self._settled, self._left = settled, left
        for folder in (folders.incoming, folders.answers, folders.archive, folders.incoming / TAKEN):
            folder.mkdir(parents=True, exist_ok=True)

    def look(self) -> list[Handled]:
        """Handle every file that is ready; those handled. StorageUnavailable leaves the file where it is taken, for later."""
        handled = []
        for path in [*self._left_behind(), *self._ready()]:
            try:
                taken = self._take(path)
                if taken is not None:
                    handled.append(self._handle(taken))
            except OSError as error:  # of this file: the others are answered all the same
                handled.append(Handled(_name(path), failure=error.strerror or type(error).__name__))
            except (EngineFault, StateConflict) as error:
                handled.append(Handled(_name(path), failure=str(error)))
        return handled

    def _ready(self) -> list[Path]:
        found = [path for path in sorted(self._folders.incoming.iterdir()) if not path.name.startswith(".")]
        return [path for path in found if (stat := _stat(path)) is not None and time.time() - stat.st_mtime >= self._settled]

    def _left_behind(self) -> list[Path]:
        found = sorted((self._folders.incoming / TAKEN).iterdir())
        return [path for path in found if (stat := _stat(path)) is not None and time.time() - stat.st_ctime >= self._left]

    def _take(self, path: Path) -> Path | None:
        """The file under a name that only this watcher has; None when another was first."""
        taken = self._folders.incoming / TAKEN / f"{os.getpid()}-{time.monotonic_ns()}{_mark(path)}{_name(path)}"
        try:
            path.rename(taken)
        except FileNotFoundError:
            return None
        return taken

    def _handle(self, path: Path) -> Handled:
        name, data = _name(path), path.read_bytes()
        read = read_claim_file(name, data)
        answers = asyncio.run(self._judged(path, read.claims, sha256_hex(data)))
        if _mark(path) == RESERVED:  # by a watcher that was stopped before it had answered
            kept = self._folders.archive / name
        else:
            kept = self._kept(name)
            path = path.rename(path.with_name(path.name.partition(NAMED)[0] + RESERVED + kept.name))
        self._answer(kept.name, read, answers)
        path.replace(kept)
        return Handled(kept.name, len(answers), sum("problem" in one for one in answers))

    def _answer(self, name: str, read: ClaimFile, answers: Sequence[dict[str, Any]]) -> None:
        lines = [{"file": name, "claim": number} | one for number, one in enumerate(answers, 1)]
        self._write(f"{name}.findings.ndjson", b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
        if read.is_x12 and any(one.segment is not None for one in read.claims):
            told = [
                Answered(one.outcome, answer.get("evaluation"), one.segment or 0, one.patient_control_number)
                for one, answer in zip(read.claims, answers, strict=True)
            ]
            self._write(f"{name}.277ca", acknowledgment(told, datetime.now(UTC)))

    async def _judged(self, path: Path, claims: Sequence[FileClaim], file_sha256: str) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for number, one in enumerate(claims):
            if number % HEARTBEAT == 0:
                os.utime(path)  # still at it: nobody else is to take the file for left behind
            error = one.outcome
            if isinstance(error, Claim):
                try:
                    answered = await self._validator.validate(error, self._principal, f"file/{file_sha256}/{number}")
                    answers.append({"evaluation": msgspec.json.decode(answered.body)})
                    continue
                except InputError as refusal:  # any other fault is not the claim's: the file stays where it is, for later
                    error = refusal
            answers.append({"problem": error_document(error)})
        return answers

    def _write(self, name: str, data: bytes) -> None:
        """A whole file or none."""
        temporary = self._folders.answers / f".{name}.{os.getpid()}"
        temporary.write_bytes(data)
        temporary.replace(self._folders.answers / name)

    def _kept(self, name: str) -> Path:
        """A place in the archive, reserved; a second file of the same name is kept and answered beside the first."""
        target, number = self._folders.archive / name, 1
        while True:
            try:
                target.touch(exist_ok=False)
            except FileExistsError:
                number += 1
                target = self._folders.archive / f"{number}-{name}"
            else:
                return target


def _mark(path: Path) -> str:
    """What stands before the name of a taken file; NAMED for one that was not taken before."""
    return path.name.lstrip("0123456789-")[:1] if path.parent.name == TAKEN else NAMED


def _name(path: Path) -> str:
    """The name of a file, taken or not, as Unicode and with room for what is added to it; its end, which tells the format, stays."""
    mark = _mark(path)
    name = path.name.partition(mark)[2] if path.parent.name == TAKEN else path.name
    if mark == RESERVED:
        return name
    return name.encode(errors="replace")[-NAME_BYTES:].decode(errors="ignore")


def _stat(path: Path) -> os.stat_result | None:
    """What is known of a file; None for what is none, or was taken by another watcher meanwhile."""
    try:
        return path.stat() if path.is_file() else None
    except FileNotFoundError:
        return None
