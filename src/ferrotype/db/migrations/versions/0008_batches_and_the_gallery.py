"""Batches, events of accounts and batches, and what a gallery searches and keeps."""

from __future__ import annotations

import json
from typing import Any
from unicodedata import normalize

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.String(36)
TIME = sa.DateTime(timezone=True)

INDEXES = (
    ("ix_generations_batch_id", "generations", ["batch_id", "batch_index"], "batch_id IS NOT NULL"),
    (
        "ix_generations_batch_open",
        "generations",
        ["batch_id"],
        "batch_id IS NOT NULL AND completed_at IS NULL",
    ),
    ("ix_generations_open", "generations", ["account_id", "id"], "completed_at IS NULL"),
    ("ix_generations_made", "generations", ["model", "id"], "status = 'succeeded' AND reused_from IS NULL"),
    ("ix_batch_items_waiting", "batch_items", ["batch_id", "index"], "state = 'waiting'"),
    ("ix_assets_favourite", "assets", ["account_id", "id"], "favourite_at IS NOT NULL"),
    ("ix_events_batch_id_seq", "events", ["batch_id", "seq"], "batch_id IS NOT NULL"),
    ("ix_events_failed", "events", ["created_at"], "type = 'failed'"),
)
#: They begin with what the indexes that they replace had.
GALLERY = (
    (
        "generations",
        ["account_id", "id", "model", "style", "aspect_ratio", "operation", "batch_id"],
    ),
    (
        "assets",
        [
            "account_id",
            "id",
            "generation_id",
            "state",
            "seed",
            "width",
            "height",
            "deleted_at",
            "purged_at",
            "favourite_at",
        ],
    ),
)
SEARCHED = ("prompt_folded", "style", "aspect_ratio")


def upgrade() -> None:
    _tables()
    _generations()
    _events()
    with op.batch_alter_table("idempotency_keys") as table:
        table.alter_column("generation_id", existing_type=ID, nullable=True)
        table.add_column(sa.Column("batch_id", ID, nullable=True))
        table.create_foreign_key(op.f("fk_idempotency_keys_batch_id"), "batches", ["batch_id"], ["id"])
    op.add_column("assets", sa.Column("favourite_at", TIME, nullable=True))
    for name, on, columns, condition in INDEXES:
        where = sa.text(condition)
        op.create_index(name, on, columns, sqlite_where=where, postgresql_where=where)
    for on, columns in GALLERY:
        op.create_index(f"ix_{on}_gallery", on, columns)
        op.drop_index(f"ix_{on}_account_id_id", table_name=on)


def _tables() -> None:
    op.create_table(
        "batches",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=True),
        sa.Column("num_items", sa.Integer(), nullable=False),
        sa.Column("num_images", sa.Integer(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("usd", sa.Float(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("cloned_from", ID, nullable=True),
        sa.Column("retry_of", ID, nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("completed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_batches_account_id")),
    )
    op.create_index("ix_batches_account_id_id", "batches", ["account_id", "id"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("custom_id", sa.String(64), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("order", sa.JSON(), nullable=False),
        sa.Column("num_images", sa.Integer(), nullable=False),
        sa.Column("credits", sa.BigInteger(), nullable=False),
        sa.Column("generation_id", ID, nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("batch_id", "index", name=op.f("pk_batch_items")),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id")),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name=op.f("fk_batch_items_generation_id")
        ),
    )
    op.create_table(
        "collections",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_collections_account_id")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_collections_account_id_name")),
    )
    op.create_table(
        "collection_assets",
        sa.Column("collection_id", ID, nullable=False),
        sa.Column("asset_id", ID, nullable=False),
        sa.Column("added_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("collection_id", "asset_id", name=op.f("pk_collection_assets")),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], name=op.f("fk_collection_assets_collection_id")
        ),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_collection_assets_asset_id")),
    )
    op.create_index("ix_collection_assets_asset_id", "collection_assets", ["asset_id"])
    op.create_table(
        "shares",
        sa.Column("id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=False),
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("asset_ids", sa.JSON(), nullable=False),
        sa.Column("show_prompt", sa.Boolean(), nullable=False, server_default=sa.text("false")),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name=op.f("fk_shares_account_id")),
    )
    op.create_index("ix_shares_account_id_id", "shares", ["account_id", "id"])


def _generations() -> None:
    op.add_column("generations", sa.Column("batch_id", ID, nullable=True))
    op.add_column("generations", sa.Column("batch_index", sa.Integer(), nullable=True))
    op.add_column("generations", sa.Column("prompt_folded", sa.Text(), nullable=False, server_default=""))
    op.add_column("generations", sa.Column("style", sa.String(64), nullable=True))
    op.add_column("generations", sa.Column("aspect_ratio", sa.String(16), nullable=True))
    connection = op.get_bind()
    table = sa.table(
        "generations",
        sa.column("id", ID),
        sa.column("input", sa.JSON()),
        sa.column("prompt_folded", sa.Text()),
        sa.column("style", sa.String(64)),
        sa.column("aspect_ratio", sa.String(16)),
    )
    learn = (
        sa.update(table)
        .where(table.c.id == sa.bindparam("of"))
        .values({name: sa.bindparam(f"new_{name}") for name in SEARCHED})
    )
    last = ""
    while True:
        page = sa.select(table.c.id, table.c.input).where(table.c.id > last).order_by(table.c.id).limit(1_000)
        rows = connection.execute(page).all()
        if not rows:
            return
        connection.execute(learn, [_searched(row.id, row.input) for row in rows])
        last = rows[-1].id


def _searched(generation_id: str, given: Any) -> dict[str, Any]:
    order = json.loads(given) if isinstance(given, str) else given
    return {
        "of": generation_id,
        "new_prompt_folded": _folded(order.get("prompt") or ""),
        "new_style": order.get("style"),
        "new_aspect_ratio": order.get("aspect_ratio"),
    }


def _folded(text: str) -> str:
    """As `domain/words.py` did when this was written."""
    return normalize("NFKC", normalize("NFKC", text).casefold())


def _events() -> None:
    with op.batch_alter_table("events") as table:
        table.add_column(sa.Column("account_id", ID, nullable=True))
        table.add_column(sa.Column("batch_id", ID, nullable=True))
        table.alter_column("generation_id", existing_type=ID, nullable=True)
    op.execute(
        "UPDATE events SET account_id ="
        " (SELECT account_id FROM generations WHERE generations.id = events.generation_id)"
    )
    with op.batch_alter_table("events") as table:
        table.alter_column("account_id", existing_type=ID, nullable=False)
        table.create_foreign_key(op.f("fk_events_account_id"), "accounts", ["account_id"], ["id"])
    op.create_index("ix_events_account_id_seq", "events", ["account_id", "seq"])


def downgrade() -> None:
    for on, _ in GALLERY:
        op.create_index(f"ix_{on}_account_id_id", on, ["account_id", "id"])
        op.drop_index(f"ix_{on}_gallery", table_name=on)
    for name, on, _, _ in reversed(INDEXES):
        op.drop_index(name, table_name=on)
    op.drop_index("ix_events_account_id_seq", table_name="events")
    op.execute("DELETE FROM events WHERE generation_id IS NULL")
    with op.batch_alter_table("events") as table:
        table.drop_constraint(op.f("fk_events_account_id"), type_="foreignkey")
        table.drop_column("account_id")
        table.drop_column("batch_id")
        table.alter_column("generation_id", existing_type=ID, nullable=False)
    op.execute("DELETE FROM idempotency_keys WHERE generation_id IS NULL")
    with op.batch_alter_table("idempotency_keys") as table:
        table.drop_constraint(op.f("fk_idempotency_keys_batch_id"), type_="foreignkey")
        table.drop_column("batch_id")
        table.alter_column("generation_id", existing_type=ID, nullable=False)
    for name in ("shares", "collection_assets", "collections", "batch_items", "batches"):
        op.drop_table(name)
    op.drop_column("assets", "favourite_at")
    for column in (*reversed(SEARCHED), "batch_index", "batch_id"):
        op.drop_column("generations", column)
