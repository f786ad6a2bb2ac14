"""Jobs that wait are read in order by their index alone."""

from alembic import op

revision = "home_0002"
down_revision = "home_0001"


def upgrade() -> None:
    op.drop_index("ix_job_queue_run_at", "job")
    op.create_index("ix_job_queue_run_at", "job", ["queue", "run_at", "id"])
