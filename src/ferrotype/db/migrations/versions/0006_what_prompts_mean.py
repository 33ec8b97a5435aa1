"""What prompts mean, as vectors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "prompt_vectors",
        sa.Column(
            "seq",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("generation_id", sa.String(length=36), nullable=False),
        sa.Column("account_id", sa.String(length=36), nullable=False),
        sa.Column("embedder", sa.String(length=64), nullable=False),
        sa.Column("terms", sa.String(length=64), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_prompt_vectors")),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name=op.f("fk_prompt_vectors_generation_id")
        ),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_prompt_vectors_account_id")),
        sa.UniqueConstraint("generation_id", name=op.f("uq_prompt_vectors_generation_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_prompt_vectors_account_id_seq", "prompt_vectors", ["account_id", "seq"])


def downgrade() -> None:
    op.drop_index("ix_prompt_vectors_account_id_seq", table_name="prompt_vectors")
    op.drop_table("prompt_vectors")
