"""Why a version's scenarios were left out stands beside its note instead of in it; what notes said so far is moved."""

import re

import sqlalchemy as sa
from alembic import op

revision = "workspace_0008"
down_revision = "workspace_0007"

_SAID = re.compile(r"(.*?)\s*\[scenarios skipped: (.*)\]", re.DOTALL)


def upgrade() -> None:
    op.add_column("version", sa.Column("unproven", sa.Text(), nullable=False, server_default=""))
    version = sa.table("version", sa.column("number"), sa.column("note"), sa.column("unproven"))
    for number, note in op.get_bind().execute(sa.select(version.c.number, version.c.note)).all():
        if said := _SAID.fullmatch(note):
            op.execute(version.update().where(version.c.number == number).values(note=said[1], unproven=said[2]))
