"""Identifiers: time-ordered (UUIDv7, RFC 9562), so that the primary key index grows at its end and what came later sorts later."""

from __future__ import annotations

import os
import threading
import time
from datetime import datetime

_lock = threading.Lock()
_last = 0
MAX_AHEAD = 10_000 << 12
"""How far the ids may run ahead of the clock: beyond ten seconds it was set back, and they follow it."""


def first_id_at(prefix: str, moment: datetime) -> str:
    """The least id that could be made at an instant: ids made before it are smaller, those made after it are not."""
    return f"{prefix}_{int(moment.timestamp() * 1000):012x}"


def new_id(prefix: str) -> str:
    """`prefix_` and 32 hexadecimal digits of a UUIDv7, greater than any this process made before."""
    stamp, random = _later(), int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random
    return f"{prefix}_{value:032x}"


def _later() -> int:
    """Milliseconds and 4096ths of them (RFC 9562 section 6.2, method 3), one more than the last where the clock did not go on."""
    global _last
    with _lock:
        nanoseconds = time.time_ns()
        now = nanoseconds // 1_000_000 << 12 | (nanoseconds % 1_000_000 << 12) // 1_000_000
        _last = now if now > _last or _last - now > MAX_AHEAD else _last + 1
        return _last
