<%
def body(text):
    """What Alembic rendered; a place for SQL where it rendered nothing."""
    if down_revision is not None and not isinstance(down_revision, str):
        return text or "pass"
    return text if text and "op." in text else 'op.execute("""\n    """)'
%>\
"""${message}"""
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${body(upgrades)}


def downgrade() -> None:
    ${body(downgrades)}
