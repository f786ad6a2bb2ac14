"""The first tables of the home database."""

from alembic import op

from engine.system_tables import HOME

revision = "home_0001"
down_revision = None


def upgrade() -> None:
    HOME.create_all(op.get_bind())
