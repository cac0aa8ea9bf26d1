"""Which edition of a reference table answers for a day, and which editions an evaluation looked at.

`cumulative` tables carry dates per row, so the latest edition published answers for every day it covers; of a `periodic` table
(MUE) the edition whose coverage holds the day answers. A day outside every coverage is unknown, never "not listed".
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar, TypeVarTuple

from rules_service.primitives.dates import EffectivePeriod
from rules_service.primitives.unknown import Unknown
from rules_service.reference.code_table import CodeTable
from rules_service.reference.pair_table import PairTable
from rules_service.reference.readers import Reader

NOTHING: frozenset[str] = frozenset()
MAX_REMEMBERED = 4_096
"""Tables and days whose edition is remembered: claims are about a few weeks."""
MAX_MADE = 32_768
"""What is remembered of codes on days; some ten things a code and day, each of a few hundred bytes."""
R = TypeVar("R", CodeTable, PairTable)
T = TypeVar("T")
Asked = TypeVarTuple("Asked")
_Asked = tuple[str, date, frozenset[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Edition:
    """One published edition. `open` gives its reader; the storage layer memory-maps it once per process. Editions are told apart by identity:
    a catalog holds each once, and hashing what they hold would cost every evaluation."""

    name: str
    edition: str
    sha256: str
    coverage: EffectivePeriod
    epoch: int
    open: Callable[[], Reader]


class EditionCatalog:
    """The editions in force at one epoch."""

    def __init__(self, editions: Iterable[Edition]) -> None:
        self._by_name: dict[str, list[Edition]] = {}
        self._found: dict[_Asked, Edition | Unknown] = {}
        self.remembered: dict[Hashable, tuple[Any, Lookups]] = {}
        """What was made of the editions alone, with the look-ups it was made by. Bounded by MAX_MADE."""
        self._alike: dict[frozenset[_Asked], Lookups] = {}
        for edition in sorted(editions, key=lambda item: (item.coverage.first, item.epoch), reverse=True):
            self._by_name.setdefault(edition.name, []).append(edition)

    def find(self, name: str, day: date, unadopted: frozenset[str] = NOTHING) -> Edition | Unknown:
        """The edition answering for a day: of those that cover it, the one whose coverage starts last, published last.

        Editions a payer has not adopted (by their labels) do not answer; where only they would, the one before them goes on.
        """
        key = (name, day, unadopted)
        found = self._found.get(key)
        if found is None:
            if len(self._found) >= MAX_REMEMBERED:
                self._found.clear()
            found = self._found[key] = self._search(name, day, unadopted)
        return found

    def _search(self, name: str, day: date, unadopted: frozenset[str]) -> Edition | Unknown:
        editions = self._by_name.get(name)
        if not editions:
            return Unknown("reference_table_missing", f"reference table {name}")
        adopted = [edition for edition in editions if edition.edition not in unadopted]
        for edition in adopted:
            if day in edition.coverage and not any(_has_ended(later, edition, day) for later in adopted):
                return edition
        if any(day in edition.coverage for edition in editions if edition.edition in unadopted):
            before = next((edition for edition in adopted if edition.coverage.first <= day), None)
            if before is not None:
                return before
        return Unknown("reference_edition_out_of_range", f"an edition of {name} for that date")

    def with_editions(self, editions: Iterable[Edition]) -> EditionCatalog:
        """The same catalog with further editions; of those of one table and coverage, the further ones answer."""
        return EditionCatalog([*editions, *(edition for known in self._by_name.values() for edition in known)])

    def remember(self, key: Hashable, value: T, made_by: Lookups) -> tuple[T, Lookups]:
        """Keep what was made of the editions alone; of look-ups that asked the same, one is kept."""
        if len(self.remembered) >= MAX_MADE:
            self.remembered.clear()
            self._alike.clear()
        kept = self.remembered[key] = value, self._alike.setdefault(made_by.asked(), made_by)
        return kept

    def names(self) -> tuple[str, ...]:
        """Names of the tables that have an edition."""
        return tuple(sorted(self._by_name))


@functools.lru_cache(maxsize=MAX_REMEMBERED)
def not_in_extract(name: str) -> Unknown:
    """What an extract says of a code it does not hold."""
    return Unknown("code_not_in_partial_edition", f"a whole edition of {name}")


def _has_ended(later: Edition, edition: Edition, day: date) -> bool:
    """Whether an edition published later took over a part of this one's coverage and ended before the day: what it replaced does not
    come back by itself."""
    if later.epoch <= edition.epoch or later.coverage.last is None or later.coverage.first < edition.coverage.first:
        return False
    reaches_further = edition.coverage.last is None or edition.coverage.last > later.coverage.last
    return reaches_further and later.coverage.last < day


class Lookups:
    """The editions one evaluation may look at; remembers those it did, for the pins."""

    def __init__(self, catalog: EditionCatalog) -> None:
        self._catalog = catalog
        self._found: dict[_Asked, Edition | Unknown] = {}
        self._readers: dict[_Asked, Reader | Unknown] = {}
        self._joined: set[Lookups] = set()

    def once(self, compute: Callable[[Lookups, *Asked], T], *asked: *Asked) -> T:
        """What a function makes of the editions and of what it is asked about, computed when that is first asked and the same for every claim.
        Whoever made it, the editions it was made of count as looked at."""
        key = (compute, asked)
        known: tuple[T, Lookups] | None = self._catalog.remembered.get(key)
        if known is None:
            own = Lookups(self._catalog)
            known = self._catalog.remember(key, compute(own, *asked), own)
        value, made_by = known
        if made_by not in self._joined:
            self._joined.add(made_by)
            self._found.update(made_by._found)
            self._readers.update(made_by._readers)
        return value

    def edition(self, name: str, day: date, unadopted: frozenset[str] = NOTHING) -> Edition | Unknown:
        """The edition for a day, remembered as used."""
        key = (name, day, unadopted)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._catalog.find(name, day, unadopted)
        return found

    def day_within(self, name: str, day: date, unadopted: frozenset[str]) -> date:
        """The day, or the last one of the edition that answers for it, when that goes on after its coverage ended."""
        found = self.edition(name, day, unadopted)
        last = None if isinstance(found, Unknown) else found.coverage.last
        return day if last is None else min(day, last)

    def codes(self, name: str, day: date, unadopted: frozenset[str] = NOTHING, of: str | None = None) -> CodeTable | Unknown:
        """The code table for a day; with `of`, Unknown when it is an extract that does not hold that key."""
        # Asked some hundred times a claim, so what was opened is looked for here.
        table = self._readers.get((name, day, unadopted))
        if table.__class__ is not CodeTable:
            table = self._read(name, day, unadopted, CodeTable)
        return not_in_extract(name) if of is not None and isinstance(table, CodeTable) and table.says_nothing_of(of) else table

    def pairs(self, name: str, day: date, unadopted: frozenset[str] = NOTHING) -> PairTable | Unknown:
        """The pair table for a day."""
        return self._read(name, day, unadopted, PairTable)

    def _read(self, name: str, day: date, unadopted: frozenset[str], kind: type[R]) -> R | Unknown:
        key = (name, day, unadopted)
        found = self._readers.get(key)
        if found is None:
            edition = self.edition(name, day, unadopted)
            found = self._readers[key] = edition if isinstance(edition, Unknown) else edition.open()
        if found.__class__ is not kind and not isinstance(found, Unknown):
            raise TypeError(f"{name} is not a {kind.__name__}")
        return found

    def asked(self) -> frozenset[_Asked]:
        """The tables and days asked for."""
        return frozenset(self._found)

    def excerpts(self) -> tuple[str, ...]:
        """Names of the tables looked at that are excerpts of published lists."""
        return tuple(sorted({name for (name, _, _), one in self._readers.items() if isinstance(one, CodeTable) and one.is_excerpt}))

    def used(self) -> tuple[Edition, ...]:
        """Editions looked at, each once, by name and edition."""
        found = {(item.name, item.edition, item.sha256): item for item in self._found.values() if isinstance(item, Edition)}
        return tuple(found[key] for key in sorted(found))
