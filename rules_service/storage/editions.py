"""Reference editions on local disk: written once from the database by hash, memory-mapped, shared by workers and tenants."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

from rules_service.primitives.canonical import sha256_hex
from rules_service.reference.readers import Reader, reader_of


def _mapped(path: Path) -> Reader:
    with path.open("rb") as file:
        return reader_of(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


class EditionFiles:
    """A folder of editions named by hash. Opening one maps it; nothing is copied into private memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._readers: dict[str, Reader] = {}
        self._lock = threading.Lock()

    def opener(self, sha256: str, fetch: Callable[[], bytes]) -> Callable[[], Reader]:
        """A function that gives the edition's reader; `fetch` is asked for the bytes only when no file holds them yet."""

        def open_edition() -> Reader:
            reader = self._readers.get(sha256)
            if reader is None:
                with self._lock:
                    reader = self._readers.get(sha256)
                    if reader is None:
                        reader = self._readers[sha256] = self._open(sha256, fetch)
            return reader

        return open_edition

    def _open(self, sha256: str, fetch: Callable[[], bytes]) -> Reader:
        path = self._folder / f"{sha256}.table"
        if not path.exists():
            self.write(sha256, fetch())
        try:
            return _mapped(path)
        except ValueError:  # empty, cut short or not a table: the database has it whole
            self.write(sha256, fetch())
            return _mapped(path)

    def write(self, sha256: str, data: bytes) -> None:
        """Put an edition's file in place, whole or not at all."""
        if sha256_hex(data) != sha256:
            raise ValueError(f"the content is not that of {sha256}")
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f".{sha256}.{os.getpid()}.{threading.get_ident()}"
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / f"{sha256}.table")
