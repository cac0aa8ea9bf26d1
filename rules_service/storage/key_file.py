"""A secret in a file of its own, made the first time it is asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path


def kept_secret(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of the file; made once, durably and for its owner only. Of processes that make it at once, the first one's stands."""
    if not path.exists():
        temporary = _written(path, make())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
        temporary.unlink()
    return path.read_bytes()


def put_first(path: Path, line: bytes) -> None:
    """Put a line before those of the file, durably: readers see the file before or after, never in between."""
    os.replace(_written(path, line + b"\n" + path.read_bytes()), path)


def _written(path: Path, content: bytes) -> Path:
    """A file beside the path with the content, for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return temporary
