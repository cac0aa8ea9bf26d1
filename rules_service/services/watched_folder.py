"""A folder files are dropped into (SFTP): each is claimed once, judged and stored, answered, and archived.

A file is taken by renaming it into `.taken` of the folder, which only one of several watchers can do, once it has not changed for a while. Its answers are
written whole, then it is moved to the archive. What a killed watcher left in `.taken` is taken again after a while: its claims
carry idempotency keys of this drop and their places, so no claim is evaluated twice. A file dropped again is judged again, by the rules
of its day. One that grew after it was read (an upload that paused) goes back, and is answered anew when it is whole.
"""

from __future__ import annotations

import asyncio
import os
import secrets
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
SETTLED_SECONDS = 30.0
"""How long a file must not have changed before it is taken: an upload may still be going on."""
UNFINISHED = frozenset({".part", ".partial", ".filepart", ".tmp", ".uploading"})
"""Ends of names that programs give a file while they send it."""
GROWS_SECONDS = 3_600.0
"""How long an archived file is looked at: whoever sent it may still be writing."""
HEARTBEAT = 100
"""Claims between two signs of life."""
NAME_BYTES = 180
"""How much of a file's name is kept: its answers' names are longer, and file systems take 255 bytes."""
LEFT_SECONDS = 300.0
"""How old what lies in `.taken` must be to have been left by a watcher that is gone."""


GREW = "the file grew while it was read"


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
        self._archived = self._archived_before()
        """Size read and time (monotonic) of files that were archived not long ago."""

    def look(self) -> list[Handled]:
        """Handle every file that is ready; those handled. StorageUnavailable leaves the file where it is taken, for later."""
        handled = self._grown()
        for path in [*self._left_behind(), *self._ready()]:
            try:
                taken = self._take(path)
                if taken is not None:
                    handled.append(self._handle(taken))
            except OSError as error:  # of this file: the others are answered all the same
                handled.append(Handled(_parts(path)[2], failure=error.strerror or type(error).__name__))
            except (EngineFault, StateConflict) as error:
                handled.append(Handled(_parts(path)[2], failure=str(error)))
        return handled

    def _ready(self) -> list[Path]:
        found = [
            path for path in sorted(self._folders.incoming.iterdir())
            if not path.name.startswith(".") and path.suffix.lower() not in UNFINISHED
        ]  # fmt: skip
        return [path for path in found if (stat := _stat(path)) is not None and time.time() - stat.st_mtime >= self._settled]

    def _left_behind(self) -> list[Path]:
        found = sorted((self._folders.incoming / TAKEN).iterdir())
        return [path for path in found if (stat := _stat(path)) is not None and time.time() - stat.st_ctime >= self._left]

    def _archived_before(self) -> dict[Path, tuple[int, float]]:
        """What watchers before this one archived not long ago: one that was written to after it was answered has grown."""
        found: dict[Path, tuple[int, float]] = {}
        for path in self._folders.archive.iterdir():
            kept = _stat(path)
            if kept is None or time.time() - kept.st_mtime >= GROWS_SECONDS:
                continue
            answered = _stat(self._folders.answers / f"{path.name}.findings.ndjson")
            if answered is not None:
                read = kept.st_size if kept.st_mtime <= answered.st_mtime else -1
                found[path] = (read, time.monotonic())
        return found

    def _grown(self) -> list[Handled]:
        """Archived files that grew since they were read; they lie in the incoming folder again, unless the system did not let them."""
        now = time.monotonic()
        self._archived = {path: one for path, one in self._archived.items() if now - one[1] < GROWS_SECONDS}
        grown = [path for path, (size, _) in self._archived.items() if (stat := _stat(path)) is not None and stat.st_size > size]
        told = []
        for path in grown:
            try:
                self._give_back(path, path.name)
            except OSError as error:
                told.append(Handled(path.name, failure=f"{GREW}, and stays in the archive: {error.strerror or type(error).__name__}"))
            else:
                told.append(Handled(path.name, failure=GREW))
            del self._archived[path]
        return told

    def _give_back(self, path: Path, name: str) -> None:
        """The file into the incoming folder, beside one of the same name."""
        target = self._folders.incoming / name
        while True:
            try:
                os.link(path, target)
            except FileExistsError:
                target = self._folders.incoming / f"{secrets.token_hex(4)}-{name}"
            else:
                path.unlink()
                return

    def _take(self, path: Path) -> Path | None:
        """The file under a name that only this watcher has; None when another was first."""
        mark, drop, name = _parts(path)
        taken = self._folders.incoming / TAKEN / f"{os.getpid()}-{time.monotonic_ns()}{mark}{drop}{mark}{name}"
        try:
            path.rename(taken)
        except FileNotFoundError:
            return None
        return taken

    def _handle(self, path: Path) -> Handled:
        (mark, drop, name), data = _parts(path), path.read_bytes()
        read = read_claim_file(name, data)
        answers = asyncio.run(self._judged(path, read.claims, f"drop/{drop}/{sha256_hex(data)}"))
        if mark == NAMED and path.stat().st_size != len(data):
            self._give_back(path, name)
            return Handled(name, failure=GREW)
        if mark == RESERVED:  # by a watcher that was stopped before it had answered
            kept = self._folders.archive / name
        else:
            kept = self._kept(name)
            taken = path.name.partition(NAMED)[0]
            path = path.rename(path.with_name(f"{taken}{RESERVED}{drop}{RESERVED}{kept.name}"))
        self._answer(kept.name, read, answers)
        path.replace(kept)
        self._archived[kept] = (len(data), time.monotonic())
        return Handled(kept.name, len(answers), sum("problem" in one for one in answers))

    def _answer(self, name: str, read: ClaimFile, answers: Sequence[dict[str, Any]]) -> None:
        lines = [
            {"file": name, "claim": number} | answer | one.stands(answer.get("evaluation"))
            for number, (one, answer) in enumerate(zip(read.claims, answers, strict=True), 1)
        ]
        self._write(f"{name}.findings.ndjson", b"\n".join(map(msgspec.json.encode, lines)) + b"\n")
        if read.is_x12 and any(one.read is not None for one in read.claims):
            told = [
                Answered(one.read, answer.get("evaluation"))
                for one, answer in zip(read.claims, answers, strict=True)
                if one.read is not None
            ]
            self._write(f"{name}.277ca", acknowledgment(told, datetime.now(UTC)))

    async def _judged(self, path: Path, claims: Sequence[FileClaim], key: str) -> list[dict[str, Any]]:
        answers: list[dict[str, Any]] = []
        for number, one in enumerate(claims):
            if number % HEARTBEAT == 0:
                os.utime(path)  # still at it: nobody else is to take the file for left behind
            error = one.outcome
            if isinstance(error, Claim):
                try:
                    answered = await self._validator.validate(error, self._principal, f"{key}/{number}")
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


def _parts(path: Path) -> tuple[str, str, str]:
    """Mark, drop and name of a file. One that was not taken before gets the mark NAMED, a new drop, and its name as Unicode with room for
    what is added to it; the end of the name, which tells the format, stays."""
    name, mark = path.name, NAMED
    if path.parent.name == TAKEN:
        mark = RESERVED if name.lstrip("0123456789-")[:1] == RESERVED else NAMED
        parts = name.split(mark, 2)
        if len(parts) == 3:
            return mark, parts[1], parts[2]
        mark = NAMED  # put here by somebody else
    return mark, secrets.token_hex(8), name.encode(errors="replace")[-NAME_BYTES:].decode(errors="ignore")


def _stat(path: Path) -> os.stat_result | None:
    """What is known of a file; None for what is none, or was taken by another watcher meanwhile."""
    try:
        return path.stat() if path.is_file() else None
    except FileNotFoundError:
        return None
