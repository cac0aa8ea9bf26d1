"""Parts every migration is written with: text columns, keys and foreign keys under their fixed names."""

from __future__ import annotations

import sqlalchemy as sa
from sqlmodel.sql.sqltypes import AutoString


def text(name: str, length: int | None = None, nullable: bool = False) -> sa.Column[str]:
    """A column of text."""
    return sa.Column(name, AutoString(length=length), nullable=nullable)


def number(name: str, nullable: bool = False) -> sa.Column[int]:
    """A column of whole numbers."""
    return sa.Column(name, sa.Integer(), nullable=nullable)


def moment(name: str, nullable: bool = False) -> sa.Column[object]:
    """A column of instants with their zone."""
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def binary(name: str, nullable: bool = False) -> sa.Column[bytes]:
    """A column of bytes."""
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def key(*columns: str, table: str) -> sa.PrimaryKeyConstraint:
    """The primary key: the tenant first."""
    return sa.PrimaryKeyConstraint("tenant_id", *columns, name=f"pk_{table}")


def of_tenant(table: str) -> sa.ForeignKeyConstraint:
    """The row belongs to a tenant."""
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenant.tenant_id"], name=f"fk_{table}_tenant_id")


def of(table: str, parent: str, *columns: str) -> sa.ForeignKeyConstraint:
    """The row belongs to a row of another table of the same tenant, by equally named columns."""
    names = ["tenant_id", *columns]
    return sa.ForeignKeyConstraint(names, [f"{parent}.{name}" for name in names], name=f"fk_{table}_{'_'.join(names)}")
