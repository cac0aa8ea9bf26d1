"""Identifiers: time-ordered (UUIDv7, RFC 9562), so that the primary key index grows at its end."""

from __future__ import annotations

import os
import time
from datetime import datetime


def first_id_at(prefix: str, moment: datetime) -> str:
    """The least id that could be made at an instant: ids made before it are smaller, those made after it are not."""
    return f"{prefix}_{int(moment.timestamp() * 1000):012x}"


def new_id(prefix: str) -> str:
    """`prefix_` and 32 hexadecimal digits of a UUIDv7."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = (milliseconds << 80) | (0x7 << 76) | ((random >> 68) & 0xFFF) << 64 | (0b10 << 62) | (random & (1 << 62) - 1)
    return f"{prefix}_{value:032x}"
