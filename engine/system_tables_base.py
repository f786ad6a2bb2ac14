"""What the fixed tables are made with: the two sets they belong to, and tables whose ids are never given again."""

import sqlalchemy as sa
from sqlalchemy import Column, MetaData, Table

from engine.storage import Key

HOME = MetaData()
WORKSPACE = MetaData()


def key_column() -> Column[int]:
    """The primary key of a numbered table."""
    return Column("id", Key, primary_key=True, autoincrement=True)


def numbered(name: str, holder: MetaData, *items: sa.schema.SchemaItem) -> Table:
    """A table; one with an id never gives the id of a removed row again."""
    return Table(name, holder, *items, sqlite_autoincrement=any(isinstance(item, Column) and item.name == "id" for item in items))
