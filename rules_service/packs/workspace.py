"""A pack's files in memory, laid out in a temporary folder beside the other packs, so that what reads folders reads them too."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rules_service.packs.check import check_packs
from rules_service.packs.read import PACK_SUFFIXES, Pack, read_pack
from rules_service.primitives.canonical import content_hash
from rules_service.primitives.errors import InputError, Issue, PackFault

MAX_FILES = 2_000
MAX_BYTES = 6 << 20
MAX_PATH = 200
_PATH = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*\Z")
_RULE_SET = re.compile(r"[a-z][a-z0-9_]{0,79}\Z")


def files_sha256(files: Mapping[str, str]) -> str:
    """The hash of a pack's files: paths and texts, in no order."""
    return content_hash(dict(files))


def unfit_files(files: Mapping[str, str]) -> list[Issue]:
    """Why these cannot be a pack's files at all; such a draft is not even saved."""
    issues = []
    if len(files) > MAX_FILES or sum(len(text) for text in files.values()) > MAX_BYTES:
        issues.append(
            Issue("too_large", "/files", f"A pack has at most {MAX_FILES} files and {MAX_BYTES} characters.", "Split the rule set.")
        )
    for path in files:
        if len(path) > MAX_PATH or not _PATH.match(path) or not path.endswith(PACK_SUFFIXES):
            issues.append(
                Issue(
                    "file_path",
                    "/files",
                    f"A path is not one of a pack: {', '.join(PACK_SUFFIXES)} files by relative paths of letters, digits, '_', '-' and '.'.",
                    "Rename the file.",
                )
            )
    return issues


def rule_set_id_is_fit(rule_set_id: str) -> bool:
    """True for lower-case words joined by underscores, which is also a folder's name."""
    return bool(_RULE_SET.match(rule_set_id))


@contextmanager
def laid_out(rule_set_id: str, files: Mapping[str, str], others: Mapping[str, Mapping[str, str]]) -> Iterator[Path]:
    """The folder of the pack, with the other packs beside it, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="pack") as name:
        root = Path(name)
        for pack, texts in {**others, rule_set_id: files}.items():
            for path, text in texts.items():
                target = root / pack / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text, encoding="utf-8", newline="")
        (root / rule_set_id).mkdir(exist_ok=True)
        yield root / rule_set_id


def readable(folder: Path) -> Pack:
    """The pack, whatever the linter says of it; InputError with its faults of form when it cannot be read."""
    try:
        return read_pack(folder)
    except PackFault as fault:
        raise InputError("The content cannot be read as a pack", fault.issues) from None


def inspect(folder: Path) -> tuple[Pack | None, list[Issue]]:
    """(the pack, unless it cannot be read; its faults as `packs check` finds them among the packs beside it)."""
    try:
        pack = read_pack(folder)
    except PackFault as fault:
        return None, list(fault.issues)
    issues = []
    if pack.file.id != folder.name:
        issues.append(
            Issue("PK003", pack.positions.where("/id"), "The pack has another id than its rule set.", f"Write id: {folder.name}.")
        )
    own = [issue for issue in check_packs([pack], packs_beside(folder)) if issue.where.split("/")[0] == folder.name]
    return pack, [*issues, *own]


def packs_beside(folder: Path) -> list[Pack]:
    """The other packs of the folder's parent that can be read."""
    others: list[Pack] = []
    for other in sorted(folder.parent.glob("*/pack.yaml")):
        if other.parent != folder:
            try:
                others.append(read_pack(other.parent))
            except InputError:
                continue  # published long ago under older rules of form; it is not what is being checked
    return others
