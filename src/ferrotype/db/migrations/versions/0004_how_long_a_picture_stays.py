"""How long a picture stays, and that its bytes are gone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("assets", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("assets", sa.Column("purged_at", sa.DateTime(timezone=True), nullable=True))
    for name, column in (("expiring", "expires_at"), ("deleted", "deleted_at")):
        standing = "deleted_at IS NULL AND expires_at IS NOT NULL"
        waiting = "deleted_at IS NOT NULL AND purged_at IS NULL"
        where = sa.text(standing if name == "expiring" else waiting)
        op.create_index(f"ix_assets_{name}", "assets", [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in ("deleted", "expiring"):
        op.drop_index(f"ix_assets_{name}", table_name="assets")
    for column in ("purged_at", "expires_at"):
        op.drop_column("assets", column)
