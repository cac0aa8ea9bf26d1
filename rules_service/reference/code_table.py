"""A table of coded rows as one immutable byte string: sorted keys, days of effect, whole numbers and short texts.

Layout: magic, length of a JSON header, header, then `rows` fixed-width records sorted by key. A record is the key (ASCII,
padded with NUL), then one little-endian int32 a column: first day, last day (day numbers, 2^31-1 for none), then the columns;
a text column holds an index into the header's list of distinct texts. Look-up is a binary search on the bytes, so that a
memory map needs no private memory and opens at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import msgspec

MAGIC = b"RSCT1\n"
PARTIAL_MAGIC = b"RSCP1\n"
"""Of a table that is an extract of the published one; as long as the other."""
EXCERPT_MAGIC = b"RSCX1\n"
"""Of an extract that answers as a whole table does, and is told as one (`coverage.excerpts`)."""
NO_LAST_DAY = 2**31 - 1
MAX_RECENT = 4_096
"""Keys whose rows are remembered: claims keep asking for the same few hundred codes."""
_LENGTH = struct.Struct("<I")


class Column(msgspec.Struct, frozen=True):
    """A column beside the key and the two dates."""

    name: str
    type: Literal["int", "text"]
    texts: tuple[str, ...] = ()


class _Header(msgspec.Struct, frozen=True):
    rows: int
    key_width: int
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row to be written: key, first and last day (None: no known end), and a value a column."""

    key: str
    first: date
    last: date | None
    values: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row read: day numbers and values in column order."""

    key: str
    first_day: int
    last_day: int
    values: tuple[int | str, ...]

    @property
    def last(self) -> date | None:
        """The last day; None when no end is known."""
        return None if self.last_day >= date.max.toordinal() else date.fromordinal(self.last_day)


def write_code_table(rows: Iterable[Row], columns: Sequence[tuple[str, Literal["int", "text"]]]) -> bytes:
    """The byte form; equal rows in any order give equal bytes."""
    ordered = sorted(rows, key=lambda row: (row.key, row.first, row.last or date.max, tuple(map(str, row.values))))
    texts: list[list[str]] = [
        sorted({str(row.values[i]) for row in ordered}) if kind == "text" else [] for i, (_, kind) in enumerate(columns)
    ]
    numbers = [{text: n for n, text in enumerate(column)} for column in texts]
    width = max((len(row.key) for row in ordered), default=1)
    record = struct.Struct(f"<{width}s{2 + len(columns)}i")
    header = _Header(len(ordered), width, tuple(Column(name, kind, tuple(texts[i])) for i, (name, kind) in enumerate(columns)))
    encoded = msgspec.json.encode(header)
    parts = [MAGIC, _LENGTH.pack(len(encoded)), encoded]
    for row in ordered:
        values = [numbers[i][str(value)] if columns[i][1] == "text" else int(value) for i, value in enumerate(row.values)]
        last = NO_LAST_DAY if row.last is None else row.last.toordinal()
        parts.append(record.pack(row.key.encode("ascii"), row.first.toordinal(), last, *values))
    return b"".join(parts)


class CodeTable:
    """Reads a table written by `write_code_table`."""

    def __init__(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        magic = bytes(view[: len(MAGIC)])
        if magic not in (MAGIC, PARTIAL_MAGIC, EXCERPT_MAGIC):
            raise ValueError("not a code table")
        self.is_partial, self.is_excerpt = magic == PARTIAL_MAGIC, magic == EXCERPT_MAGIC
        start = len(MAGIC) + _LENGTH.size
        (length,) = _LENGTH.unpack(view[len(MAGIC) : start])
        header = msgspec.json.decode(view[start : start + length], type=_Header)
        self._texts = [column.texts if column.type == "text" else None for column in header.columns]
        self._columns = {column.name: index for index, column in enumerate(header.columns)}
        self.columns = tuple(self._columns)
        """Names of the columns, in order."""
        self._record = struct.Struct(f"<{header.key_width}s{2 + len(header.columns)}i")
        self._width = header.key_width
        self._rows = header.rows
        self._data = view[start + length :]
        self._recent: dict[str, list[Entry]] = {}
        if len(self._data) != self._rows * self._record.size:
            raise ValueError("the code table is cut short")

    def __len__(self) -> int:
        return self._rows

    def column(self, name: str) -> int:
        """Index of a column in `Entry.values`."""
        return self._columns[name]

    def _key(self, index: int) -> bytes:
        at = index * self._record.size
        return bytes(self._data[at : at + self._width]).rstrip(b"\x00")

    def _first_at_or_after(self, key: bytes) -> int:
        low, high = 0, self._rows
        while low < high:
            middle = (low + high) // 2
            if self._key(middle) < key:
                low = middle + 1
            else:
                high = middle
        return low

    def entry(self, index: int) -> Entry:
        """The row at an index in key order."""
        at = index * self._record.size
        key, first, last, *raw = self._record.unpack(self._data[at : at + self._record.size])
        values = tuple(value if (texts := self._texts[i]) is None else texts[value] for i, value in enumerate(raw))
        return Entry(key.rstrip(b"\x00").decode("ascii"), first, last, values)

    def rows_of(self, key: str) -> list[Entry]:
        """Every row of a key, in order of their first day; [] for a key that cannot be in the table."""
        found = self._recent.get(key)
        if found is None:
            found = self._rows_of(key)
            if len(self._recent) >= MAX_RECENT:
                self._recent.clear()
            self._recent[key] = found
        return found

    def _rows_of(self, key: str) -> list[Entry]:
        if not key.isascii() or len(key) > self._width:
            return []
        wanted = key.encode("ascii")
        found: list[Entry] = []
        index = self._first_at_or_after(wanted)
        while index < self._rows and self._key(index) == wanted:
            found.append(self.entry(index))
            index += 1
        return found

    def says_nothing_of(self, key: str) -> bool:
        """Whether the table is an extract that does not hold the key: then no row means not known, instead of not listed."""
        return self.is_partial and not self.rows_of(key)

    def rows_on(self, key: str, day: int) -> list[Entry]:
        """Every row of a key in effect on a day number, in order of their first day."""
        return [entry for entry in self.rows_of(key) if entry.first_day <= day <= entry.last_day]

    def texts_on(self, key: str, column: str, day: int) -> set[str]:
        """What the rows of a key in effect on a day number say in a column."""
        at = self._columns[column]
        return {str(entry.values[at]) for entry in self.rows_on(key, day)}

    def text_on(self, key: str, column: str, day: int) -> str | None:
        """What the row of a key in effect on a day number says in a column; None without such a row."""
        entry = self.on(key, day)
        return None if entry is None else str(entry.values[self._columns[column]])

    def has_text(self, column: str, text: str) -> bool:
        """Whether any row says this in a column."""
        texts = self._texts[self._columns[column]]
        return texts is not None and text in texts

    def on(self, key: str, day: int) -> Entry | None:
        """The row of a key in effect on a day number; the one that started last when several are."""
        for entry in reversed(self.rows_of(key)):
            if entry.first_day <= day <= entry.last_day:
                return entry
        return None

    def starting_with(self, prefix: str, day: int, limit: int) -> list[Entry]:
        """Up to `limit` rows in effect on a day whose key starts with the prefix (and is longer)."""
        if not prefix.isascii():
            return []
        wanted = prefix.encode("ascii")
        found: list[Entry] = []
        index = self._first_at_or_after(wanted)
        while index < self._rows and len(found) < limit and self._key(index).startswith(wanted):
            entry = self.entry(index)
            if entry.first_day <= day <= entry.last_day and entry.key != prefix:
                found.append(entry)
            index += 1
        return found

    def __iter__(self) -> Iterator[Entry]:
        for index in range(self._rows):
            yield self.entry(index)
