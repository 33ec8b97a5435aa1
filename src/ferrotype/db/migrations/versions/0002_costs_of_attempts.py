"""What an attempt cost, and what later orders need to know of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("attempts", sa.Column("usd", sa.Float(), nullable=True))
    op.add_column("attempts", sa.Column("notes", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("attempts", "notes")
    op.drop_column("attempts", "usd")
