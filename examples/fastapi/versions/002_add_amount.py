"""Add the amount of an event."""

from alembic import op

revision = "002_add_amount"
down_revision = "001_create_events"
destructive = "the downgrade drops the column it added"


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN IF NOT EXISTS amount Decimal(18, 2) DEFAULT 0")


def downgrade() -> None:
    op.execute("ALTER TABLE events DROP COLUMN IF EXISTS amount")
