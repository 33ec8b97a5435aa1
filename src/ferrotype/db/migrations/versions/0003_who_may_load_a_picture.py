"""Who may load a picture, that it was deleted, and what decides the formats that it can be sent in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("assets", "generations"):
        op.add_column(
            table, sa.Column("visibility", sa.String(16), nullable=False, server_default="unlisted")
        )
    op.add_column("assets", sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("assets", sa.Column("animated", sa.Boolean(), nullable=True))
    op.add_column("assets", sa.Column("has_alpha", sa.Boolean(), nullable=True))


def downgrade() -> None:
    for name in ("has_alpha", "animated", "deleted_at"):
        op.drop_column("assets", name)
    for table in ("generations", "assets"):
        op.drop_column(table, "visibility")
