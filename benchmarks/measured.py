"""What was measured: each figure printed when it is known and kept for build/bench.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ROUNDS = 5
RESULTS: list[dict[str, Any]] = []


def note(name: str, value: float, unit: str, against: str = "", target: str = "") -> None:
    """One result; a ratio names what it was measured against."""
    RESULTS.append({"name": name, "value": round(value, 4), "unit": unit, "measured_against": against, "target": target})
    print(f"{name:<62} {value:>12,.3f} {unit:<14} {('against ' + against) if against else '':<52} {target}", flush=True)


def private_kilobytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(("Private_Clean", "Private_Dirty")))
