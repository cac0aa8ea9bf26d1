"""A PTP edition (millions of code pairs) as one immutable byte string: a bit matrix and compressed rows.

Layout: magic, length of a JSON header, header, padding to 8 bytes, then in this order (little-endian): bit matrix of
`codes` x `stride` bytes (bit = pair occurs), row offsets (uint32, codes+1), column-two indexes (uint32), first days, last days
(int32, 2^31-1 for none), indicators (uint8). A look-up touches one bit a pair; details are read only for pairs that occur.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

MAGIC = b"RSPT1\n"
PARTIAL_MAGIC = b"RSPP1\n"
"""Of a table that is an extract of the published one; as long as the other."""
NO_LAST_DAY = 2**31 - 1
_LENGTH = struct.Struct("<I")
MAX_RECENT = 4_096
"""Codes whose place is remembered: claims keep asking for the same few hundred."""
_NUMPY_FROM = 12  # measured: below this many distinct codes plain Python is faster


class _Header(msgspec.Struct, frozen=True):
    codes: int
    code_width: int
    rows: int
    stride: int


class PairRow(msgspec.Struct, frozen=True):
    """One dated pair: column one is payable, column two is denied."""

    column_one: str
    column_two: str
    first_day: int
    last_day: int
    indicator: int


def write_pair_table(
    column_one: Sequence[str], column_two: Sequence[str], first: npt.ArrayLike, last: npt.ArrayLike, indicator: npt.ArrayLike
) -> bytes:
    """The byte form of parallel columns (day numbers as int32); equal rows in any order give equal bytes."""
    codes = (
        np.unique(np.concatenate([np.asarray(column_one, dtype="S"), np.asarray(column_two, dtype="S")]))
        if len(column_one)
        else np.array([], dtype="S1")
    )
    one = np.searchsorted(codes, np.asarray(column_one, dtype="S")).astype(np.uint32)
    two = np.searchsorted(codes, np.asarray(column_two, dtype="S")).astype(np.uint32)
    firsts, lasts = np.asarray(first, dtype=np.int32), np.asarray(last, dtype=np.int32)
    indicators = np.asarray(indicator, dtype=np.uint8)
    order = np.lexsort((indicators, lasts, firsts, two, one))
    one, two, firsts, lasts, indicators = one[order], two[order], firsts[order], lasts[order], indicators[order]
    count = len(codes)
    stride = (count + 7) // 8
    bits = np.zeros((count, stride), dtype=np.uint8)
    np.bitwise_or.at(bits, (one, two >> 3), (1 << (two & 7)).astype(np.uint8))
    offsets = np.zeros(count + 1, dtype=np.uint32)
    np.cumsum(np.bincount(one, minlength=count), out=offsets[1:])
    width = codes.dtype.itemsize
    header = msgspec.json.encode(_Header(count, width, len(one), stride))
    head = MAGIC + _LENGTH.pack(len(header)) + header + codes.tobytes()
    head += b"\x00" * (-len(head) % 8)
    body = bits.tobytes()
    body += b"\x00" * (-len(body) % 8)
    return head + body + offsets.tobytes() + two.tobytes() + firsts.tobytes() + lasts.tobytes() + indicators.tobytes()


class PairTable:
    """Reads a table written by `write_pair_table`."""

    def __init__(self, data: memoryview | bytes) -> None:
        view = memoryview(data)
        magic = bytes(view[: len(MAGIC)])
        if magic not in (MAGIC, PARTIAL_MAGIC):
            raise ValueError("not a pair table")
        self.is_partial = magic == PARTIAL_MAGIC
        at = len(MAGIC) + _LENGTH.size
        (length,) = _LENGTH.unpack(view[len(MAGIC) : at])
        header = msgspec.json.decode(view[at : at + length], type=_Header)
        at += length
        self._count, self._stride, self._rows = header.codes, header.stride, header.rows
        self._codes = np.frombuffer(view, dtype=f"S{max(1, header.code_width)}", count=header.codes, offset=at)
        at += header.codes * header.code_width
        at += -at % 8
        self._bits = view[at : at + header.codes * header.stride]
        at += len(self._bits)
        at += -at % 8
        sizes: list[tuple[int, Literal["I", "i"]]] = [(header.codes + 1, "I"), (header.rows, "I"), (header.rows, "i"), (header.rows, "i")]
        parts = []
        for count, form in sizes:
            parts.append(view[at : at + 4 * count].cast(form))
            at += 4 * count
        self._offsets, self._two, self._first, self._last = parts
        self._indicator = view[at : at + header.rows]
        if len(self._indicator) != header.rows:
            raise ValueError("the pair table is cut short")
        self._recent: dict[str, int | None] = {}
        self._matrix = np.frombuffer(self._bits, dtype=np.uint8).reshape(header.codes, header.stride)

    def __len__(self) -> int:
        return self._rows

    def codes(self) -> list[str]:
        """Every code of any pair, sorted."""
        return [bytes(code).decode("ascii") for code in self._codes]

    def columns(self) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
        """Column one, column two, first days, last days, indicators of every row, in the order of the pairs."""
        ones = np.repeat(np.arange(self._count), np.diff(np.asarray(self._offsets)))
        twos = np.asarray(self._two)
        return self._codes[ones], self._codes[twos], np.asarray(self._first), np.asarray(self._last), np.asarray(self._indicator)

    def _index(self, code: str) -> int | None:
        try:
            return self._recent[code]
        except KeyError:
            if len(self._recent) >= MAX_RECENT:
                self._recent.clear()
            found = self._recent[code] = self._search(code)
            return found

    def _search(self, code: str) -> int | None:
        if not code.isascii():
            return None
        wanted = code.encode("ascii")
        at = bisect_left(self._codes, wanted)
        return at if at < self._count and self._codes[at] == wanted else None

    def knows(self, code: str) -> bool:
        """True when the code occurs in any pair."""
        return self._index(code) is not None

    def says_nothing_of(self, code: str) -> bool:
        """Whether the table is an extract that does not hold the code: then no pair means not known, instead of none."""
        return self.is_partial and not self.knows(code)

    def pairs_among(self, codes: Iterable[str]) -> list[PairRow]:
        """Every dated row whose both codes are among these, ordered by codes and dates."""
        known = sorted([(index, code) for code in set(codes) if (index := self._index(code)) is not None])
        if len(known) < _NUMPY_FROM:
            hits = []
            for a, x in known:
                start, bits = a * self._stride, self._bits
                hits += [(a, b, x, y) for b, y in known if bits[start + (b >> 3)] >> (b & 7) & 1]
        else:
            indexes = np.array([index for index, _ in known])
            found = self._matrix[indexes[:, None], indexes[None, :] >> 3] >> (indexes[None, :] & 7) & 1
            hits = [(known[i][0], known[j][0], known[i][1], known[j][1]) for i, j in zip(*np.nonzero(found), strict=True)]
        return [row for a, b, x, y in hits for row in self._details(a, b, x, y)]

    def _details(self, one: int, two: int, code_one: str, code_two: str) -> list[PairRow]:
        start, end = self._offsets[one], self._offsets[one + 1]
        at = bisect_left(self._two, two, start, end)
        rows = []
        while at < end and self._two[at] == two:
            rows.append(PairRow(code_one, code_two, self._first[at], self._last[at], self._indicator[at]))
            at += 1
        return rows
