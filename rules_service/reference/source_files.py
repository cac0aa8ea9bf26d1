"""What a publisher's file is before and after it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rules_service.primitives.dates import EffectivePeriod


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it came."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ParsedTable:
    """The byte form of an edition and what the census check looks at."""

    blob: bytes
    rows: int
    is_partial: bool = False


Reader = Callable[[list[SourceFile], EffectivePeriod], ParsedTable]
