"""Many rows of one table in few statements.

A statement a row hands the interpreter lock over once a row, and each hand-over can cost the writer a whole switch interval
while requests are being judged. Here a batch is one statement, or a handful, whose text is made once. PostgreSQL takes the rows as one array a
column: a statement with a thousand placeholders would be read anew by the driver and planned anew by the server each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table

_SIZES = (64, 16, 4, 1)
"""Rows of one statement where rows are placeholders; a batch is cut into these, so that there are few texts for a driver to prepare."""


class BulkInsert:
    """Inserts into one table. Rows are sequences of values in the order of `columns`."""

    def __init__(self, table: Table) -> None:
        self.columns = tuple(column.name for column in table.columns)
        self._table = table
        self._prepared: dict[str, Callable[[Connection, Sequence[Sequence[Any]]], None]] = {}

    def __call__(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert in the caller's transaction; errors are SQLAlchemy's."""
        dialect = connection.dialect
        if dialect.name not in self._prepared:
            self._prepared[dialect.name] = self._of_arrays(dialect) if dialect.name == "postgresql" else self._of_placeholders(dialect)
        if rows:
            self._prepared[dialect.name](connection, rows)

    def _head(self, dialect: Any) -> str:
        quote = dialect.identifier_preparer.quote
        return f"INSERT INTO {quote(self._table.name)} ({', '.join(map(quote, self.columns))}) "

    def _processors(self, dialect: Any) -> list[Any]:
        return [column.type.dialect_impl(dialect).bind_processor(dialect) for column in self._table.columns]

    def _of_arrays(self, dialect: Any) -> Callable[[Connection, Sequence[Sequence[Any]]], None]:
        arrays = ", ".join([f"%b::{column.type.compile(dialect)}[]" for column in self._table.columns])
        text, processors = f"{self._head(dialect)}SELECT * FROM unnest({arrays})", self._processors(dialect)  # noqa: S608  names of our own tables

        def insert(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
            columns = zip(*rows, strict=True)
            values = [
                list(column) if process is None else list(map(process, column)) for process, column in zip(processors, columns, strict=True)
            ]
            connection.exec_driver_sql(text, tuple(values))

        return insert

    def _of_placeholders(self, dialect: Any) -> Callable[[Connection, Sequence[Sequence[Any]]], None]:
        row = "(" + ", ".join(["?"] * len(self.columns)) + ")"
        texts = {size: f"{self._head(dialect)}VALUES {', '.join([row] * size)}" for size in _SIZES}
        processors = self._processors(dialect)

        def insert(connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
            at = 0
            for size in _SIZES:
                while len(rows) - at >= size:
                    values: list[Any] = []
                    for one in rows[at : at + size]:
                        values += [value if process is None else process(value) for process, value in zip(processors, one, strict=True)]
                    connection.exec_driver_sql(texts[size], tuple(values))
                    at += size

        return insert
