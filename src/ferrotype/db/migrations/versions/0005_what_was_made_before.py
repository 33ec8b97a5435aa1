"""What makes orders identical, whose pictures answer an order, and which uploads are the same."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_generations_reuse_key", "generations", ["reuse_key", "id"], "reuse_key IS NOT NULL"),
    ("ix_generations_reused_from", "generations", ["reused_from"], "reused_from IS NOT NULL"),
    ("ix_assets_uploaded", "assets", ["account_id", "sha256"], "generation_id IS NULL"),
)


def upgrade() -> None:
    op.add_column("generations", sa.Column("reuse_key", sa.String(length=64), nullable=True))
    op.add_column("generations", sa.Column("similarity", sa.Float(), nullable=True))
    op.add_column("generations", sa.Column("retry_of", sa.String(length=36), nullable=True))
    for name, table, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name, table, _, _ in reversed(INDEXES):
        op.drop_index(name, table_name=table)
    for column in ("retry_of", "similarity", "reuse_key"):
        op.drop_column("generations", column)
