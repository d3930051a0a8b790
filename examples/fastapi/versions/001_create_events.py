"""Create the table events."""

from alembic import op

revision = "001_create_events"
down_revision = None
destructive = "the downgrade of the first revision"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE IF NOT EXISTS events
        (
            id UUID,
            name LowCardinality(String),
            at DateTime DEFAULT now()
        )
        ENGINE = MergeTree
        ORDER BY (name, at)
    """)


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS events")
