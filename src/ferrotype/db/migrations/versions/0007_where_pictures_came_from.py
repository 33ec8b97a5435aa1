"""Where imported pictures came from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("account_id", sa.String(36), nullable=False),
        sa.Column("source_hash", sa.String(64), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("former_id", sa.Text(), nullable=True),
        sa.Column("asset_id", sa.String(36), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("account_id", "source_hash", name=op.f("pk_imports")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_imports_account_id")),
        sa.UniqueConstraint("asset_id", name=op.f("uq_imports_asset_id")),
    )
    op.create_index("ix_imports_account_id_former_id", "imports", ["account_id", "former_id"])


def downgrade() -> None:
    op.drop_index("ix_imports_account_id_former_id", table_name="imports")
    op.drop_table("imports")
