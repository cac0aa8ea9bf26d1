"""Many rows of one table in few statements.

A statement a row hands the interpreter lock over once a row, and each hand-over can cost the writer a whole switch interval
while requests are being judged. Here a batch is a handful of statements, whose text is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table

_SIZES = (64, 16, 4, 1)
"""Rows of one statement; a batch is cut into these, so that there are few texts for a driver to prepare."""


class BulkInsert:
    """Inserts into one table. Rows are sequences of values in the order of `columns`."""

    def __init__(self, table: Table) -> None:
        self.columns = tuple(column.name for column in table.columns)
        self._table = table
        self._prepared: dict[str, tuple[dict[int, str], list[Any]]] = {}

    def __call__(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert in the caller's transaction; errors are SQLAlchemy's."""
        dialect = connection.dialect
        if dialect.name not in self._prepared:
            self._prepared[dialect.name] = self._prepare(dialect)
        texts, processors = self._prepared[dialect.name]
        at = 0
        for size in _SIZES:
            while len(rows) - at >= size:
                values: list[Any] = []
                for row in rows[at : at + size]:
                    values += [value if process is None else process(value) for process, value in zip(processors, row, strict=True)]
                connection.exec_driver_sql(texts[size], tuple(values))
                at += size

    def _prepare(self, dialect: Any) -> tuple[dict[int, str], list[Any]]:
        quote = dialect.identifier_preparer.quote
        mark = "?" if dialect.paramstyle == "qmark" else "%s"
        row = "(" + ", ".join([mark] * len(self.columns)) + ")"
        head = f"INSERT INTO {quote(self._table.name)} ({', '.join(map(quote, self.columns))}) VALUES "  # noqa: S608  names of our own tables
        processors = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in self._table.columns]
        return {size: head + ", ".join([row] * size) for size in _SIZES}, processors
