"""Delimited files as publishers ship them: copyright notices before the header, header wording that varies, tab or comma.

Every bad row is reported with file and line; a file with one bad row is refused whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from rules_service.primitives.errors import Issue, ReferenceFault

MAX_REPORTED = 50


def _plain(header: str) -> str:
    """A header cell without case, line breaks and punctuation."""
    return "".join(char for char in header.lower() if char.isalnum())


@dataclass(frozen=True, slots=True)
class Field:
    """A column: our name, the beginnings of the publishers' header texts (plain form), whether a file may lack it."""

    name: str
    headers: tuple[str, ...]
    optional: bool = False


class FaultList:
    """Collects faults of one file; raises them together."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._issues: list[Issue] = []
        self._count = 0

    def add(self, code: str, line: int, message: str, mend: str) -> None:
        """One more fault."""
        self._count += 1
        if len(self._issues) < MAX_REPORTED:
            self._issues.append(Issue(code, f"{self.file}:{line}", message, mend))

    def raise_any(self) -> None:
        """ReferenceFault when there is at least one."""
        if self._count:
            more = f" (the first {MAX_REPORTED} are listed)" if self._count > MAX_REPORTED else ""
            raise ReferenceFault(f"{self._count} faults in {self.file}{more}: nothing was loaded", self._issues)


def decode_text(data: bytes, file: str) -> str:
    """UTF-8 (with or without a byte-order mark), else Windows-1252, in which CMS ships its text files."""
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ReferenceFault(
        "The file is not text",
        [Issue("not_text", file, "Neither UTF-8 nor Windows-1252.", "Unpack the archive and load the text file inside it.")],
    )


def rows(text: str, fields: tuple[Field, ...], faults: FaultList) -> Iterator[tuple[int, Mapping[str, str]]]:
    """(line number, our column name to cell) of every data row; ReferenceFault when no header is found."""
    sample = text[:200_000]
    delimiter = "\t" if sample.count("\t") > sample.count(",") // 4 else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    found: dict[str, int] | None = None
    while found is None:
        try:
            cells = next(reader)
        except (StopIteration, csv.Error):
            wanted = ", ".join(field.headers[0] for field in fields if not field.optional)
            raise ReferenceFault(
                "No header row was found",
                [
                    Issue(
                        "no_header",
                        f"{faults.file}:1",
                        f"Expected a row with the columns {wanted}.",
                        "Load the file as its publisher ships it.",
                    )
                ],
            ) from None
        found = _header(cells, fields)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, {name: cells[index].strip() if index < len(cells) else "" for name, index in found.items()}
    except csv.Error:
        faults.add("unreadable", reader.line_num, "The row cannot be split into cells.", "Check the quotes in this row.")


def _header(cells: list[str], fields: tuple[Field, ...]) -> dict[str, int] | None:
    plain = [_plain(cell) for cell in cells]
    found: dict[str, int] = {}
    for field in fields:
        for index, cell in enumerate(plain):
            if index not in found.values() and any(
                cell.startswith(header) if len(header) > 4 else cell == header for header in field.headers
            ):
                found[field.name] = index
                break
        else:
            if not field.optional:
                return None
    return found


def parse_day(text: str) -> date:
    """`20240701`, `2024-07-01`, `07/01/2024` or the ordinal form `2024183`; ValueError otherwise."""
    if not text.isascii():
        raise ValueError("not a date")
    if len(text) == 7 and text.isdigit():
        day = date(int(text[:4]), 1, 1) + timedelta(days=int(text[4:]) - 1)
    elif len(text) == 8 and text.isdigit():
        day = date(int(text[:4]), int(text[4:6]), int(text[6:]))
    elif text.count("/") == 2 and len(text) <= 10:
        month, day_of_month, year = text.split("/")
        day = date(int(year), int(month), int(day_of_month))
    else:
        day = date.fromisoformat(text)
    if not 1900 <= day.year <= 2200:
        raise ValueError("not a date of our time")
    return day


def cell_reader(faults: FaultList) -> Callable[[int, str, str, str], date | None]:
    """A function that reads a date cell and reports a bad one."""

    def read(line: int, text: str, column: str, none: str) -> date | None:
        if text in ("", none):
            return None
        try:
            return parse_day(text)
        except (ValueError, OverflowError):
            faults.add("bad_date", line, f"{column} is not a date.", "Expected YYYYMMDD or YYYY-MM-DD.")
            return None

    return read


def whole_number(text: str, digits: int) -> bool:
    """True for one to `digits` ASCII digits."""
    return 0 < len(text) <= digits and text.isascii() and text.isdigit()


def valid_code(code: str, longest: int = 7) -> bool:
    """True for 1 to `longest` upper-case ASCII letters and digits."""
    return 0 < len(code) <= longest and code.isascii() and code.isalnum() and code == code.upper()
