"""Public reference data outside the project, found through one setting: PUBLIC_DATA_DIR (default ../shared/data)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = Path(os.environ.get("PUBLIC_DATA_DIR", ROOT.parent / "shared" / "data"))

needs_public_data = pytest.mark.skipif(
    not DIRECTORY.is_dir(), reason="public data is not here: set PUBLIC_DATA_DIR to the folder that holds ncci/, icd10/, x12/ ..."
)


def public(path: str) -> Path:
    """A file of the public data."""
    return DIRECTORY / path
