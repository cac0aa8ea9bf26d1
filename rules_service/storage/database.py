"""The database engine, its transactions and its migrations, for SQLite and PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import InterfaceError as SqlInterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from rules_service.primitives.errors import StorageUnavailable

STATEMENT_MILLISECONDS = 120_000
BUSY_MILLISECONDS = 5_000
"""How long a write waits for another's lock before the caller is told to try again."""


def _configure_sqlite(busy_milliseconds: int, connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event below opens transactions
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "recursive_triggers=ON",
        f"busy_timeout={busy_milliseconds}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A plain BEGIN that later writes answers "database is locked" under contention; readers need no write lock.
    reading = connection.get_execution_options().get("reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


class Database:
    """One database. `url` as SQLAlchemy writes it: `sqlite:///path` or `postgresql+psycopg://...`."""

    def __init__(self, url: str, pool_size: int = 5, busy_milliseconds: int = BUSY_MILLISECONDS) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "postgresql" and parsed.get_driver_name() != "psycopg":
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed.render_as_string(hide_password=False)
        self.dialect = parsed.get_backend_name()
        if self.dialect == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            self.engine: Engine = create_engine(
                parsed, pool_size=pool_size, hide_parameters=True, connect_args={"check_same_thread": False}
            )
            event.listen(self.engine, "connect", partial(_configure_sqlite, busy_milliseconds))
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            self.engine = create_engine(
                parsed,
                pool_size=pool_size,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={
                    "connect_timeout": 5,
                    # A server that went away is noticed in seconds, and no statement holds the writer for ever.
                    "keepalives_idle": 5,
                    "keepalives_interval": 2,
                    "keepalives_count": 3,
                    "options": f"-c lock_timeout={busy_milliseconds} -c statement_timeout={STATEMENT_MILLISECONDS}",
                },
            )
        # One snapshot for all statements of a read: a head and the rows it counts are of one instant. (SQLite reads that way anyway.)
        snapshot = {} if self.dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._reader = self.engine.execution_options(reading=True, **snapshot)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction that writes; all or nothing."""
        with _mapped(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One transaction that reads."""
        with _mapped(), self._reader.begin() as connection:
            yield connection

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema to a revision (`head`, or an older one to go back)."""
        config = migration_config(self.url)
        with _mapped(), self.engine.connect() as connection:
            config.attributes["connection"] = connection
            move = command.downgrade if revision not in ("head", "heads") else command.upgrade
            move(config, revision)
            connection.commit()

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def migration_config(url: str) -> Config:
    """Alembic's configuration, with the project's migrations."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parents[2] / "migrations"))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (OperationalError, SqlInterfaceError, PoolTimeout) as error:
        raise StorageUnavailable(f"the database did not take the request ({type(error).__name__})") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StorageUnavailable("the connection to the database was lost") from error
        raise
