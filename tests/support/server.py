"""A real server process on a real database, with the shipped packs and sample tables."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from rules_service.packs.read import find_packs, read_pack
from rules_service.primitives.scopes import SCOPES
from rules_service.services.load_packs import load_samples, publish_packs
from rules_service.storage import catalog
from rules_service.storage.clients import create_client
from rules_service.storage.database import Database

ROOT = Path(__file__).resolve().parents[2]
PACKS = ROOT / "payer_rules"
OPENED: list[httpx.Client] = []
"""Clients given out; a fixture closes them after each test."""


def prepare(url: str, tenant: str = "default") -> str:
    """Migrate, load the shipped packs and samples; the key of a client with every scope."""
    database = Database(url)
    try:
        database.migrate()
        load_samples(database, tenant, PACKS / "reference_samples", "tests")
        publish_packs(database, tenant, [read_pack(folder) for folder in find_packs(PACKS)], "tests")
        return new_key(database, tenant, sorted(SCOPES))
    finally:
        database.close()


def new_key(database: Database, tenant: str, scopes: list[str]) -> str:
    """A client's key."""
    now = datetime.now(UTC)
    with database.writing() as connection:
        catalog.ensure_tenant(connection, tenant, tenant, now)
        return create_client(connection, tenant, "tests", scopes, now)[1]


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A running server."""

    base_url: str
    key: str
    url: str
    data_dir: Path
    process: subprocess.Popen[bytes]

    def client(self, key: str | None = None) -> httpx.Client:
        """An HTTP client with a credential."""
        client = httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {key or self.key}"}, timeout=30, trust_env=False)
        OPENED.append(client)
        return client

    def kill(self) -> None:
        """kill -9, workers too."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def start(url: str, key: str, data_dir: Path, workers: int = 1, **environment: str) -> Server:
    """Start a server and wait until it is ready."""
    port = free_port()
    settings = {"DATABASE_URL": url, "DATA_DIR": str(data_dir), "PORT": str(port), "WORKERS": str(workers), **environment}
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rules_service.cli.main", "serve"],
            env={**os.environ, **settings},
            cwd=ROOT,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(f"http://127.0.0.1:{port}", key, url, data_dir, process)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(f"{server.base_url}/readyz", timeout=2, trust_env=False).status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {(data_dir / 'server.log').read_text()[-2000:]}")


@contextmanager
def running(url: str, key: str, data_dir: Path, workers: int = 1, **environment: str) -> Iterator[Server]:
    """A server for the length of a block; it ends as an operator ends it."""
    server = start(url, key, data_dir, workers, **environment)
    try:
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
