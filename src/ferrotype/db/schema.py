"""Every table. Migrations in `db/migrations` bring a database to exactly this (a test compares)."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC: `timestamptz` on Postgres, sortable UTC text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetimes are not stored")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


ID = String(36)
#: SQLite numbers rows by itself only where the key is plain INTEGER.
SEQUENCE = BigInteger().with_variant(Integer, "sqlite")

accounts = Table(
    "accounts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("available", BigInteger, nullable=False, server_default="0"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("spent", BigInteger, nullable=False, server_default="0"),
    Column("created_at", Moment, nullable=False),
    CheckConstraint("available >= 0 AND held >= 0 AND spent >= 0", name="not_negative"),
)

entries = Table(
    "entries",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("generation_id", ID, index=True),
    Column("kind", String(16), nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("key", String(200), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
)

generations = Table(
    "generations",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("model", String(200), nullable=False),
    Column("class", String(64), key="class_", nullable=False),
    Column("input", JSON, nullable=False),
    Column("num_images", Integer, nullable=False),
    Column("credits_each", BigInteger, nullable=False),
    Column("usd_each", Float, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("reused_from", ID),
    Column("reuse_key", String(64)),
    Column("similarity", Float),
    Column("retry_of", ID),
    Column("batch_id", ID),
    Column("batch_index", Integer),
    Column("prompt_folded", Text, nullable=False, server_default=""),
    Column("style", String(64)),
    Column("aspect_ratio", String(16)),
    Column("tags", JSON, nullable=False),
    Column("metadata", JSON, key="metadata_", nullable=False),
    Column("visibility", String(16), nullable=False, server_default="unlisted"),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    # The account's in their order, with all that a gallery filters by and counts: the rows are wide.
    Index(
        "ix_generations_gallery",
        "account_id",
        "id",
        "model",
        "style",
        "aspect_ratio",
        "operation",
        "batch_id",
    ),
)
#: What was made for an identical order, newest last; and which generations have their pictures from another.
Index(
    "ix_generations_reuse_key",
    generations.c.reuse_key,
    generations.c.id,
    sqlite_where=text("reuse_key IS NOT NULL"),
    postgresql_where=text("reuse_key IS NOT NULL"),
)
Index(
    "ix_generations_reused_from",
    generations.c.reused_from,
    sqlite_where=text("reused_from IS NOT NULL"),
    postgresql_where=text("reused_from IS NOT NULL"),
)

#: A batch's generations in their order, and those of them that have not ended.
Index(
    "ix_generations_batch_id",
    generations.c.batch_id,
    generations.c.batch_index,
    sqlite_where=text("batch_id IS NOT NULL"),
    postgresql_where=text("batch_id IS NOT NULL"),
)
Index(
    "ix_generations_batch_open",
    generations.c.batch_id,
    sqlite_where=text("batch_id IS NOT NULL AND completed_at IS NULL"),
    postgresql_where=text("batch_id IS NOT NULL AND completed_at IS NULL"),
)
#: What has not ended: a live page shows it after a reload.
Index(
    "ix_generations_open",
    generations.c.account_id,
    generations.c.id,
    sqlite_where=text("completed_at IS NULL"),
    postgresql_where=text("completed_at IS NULL"),
)

#: The newest that a model made: how long its calls take.
Index(
    "ix_generations_made",
    generations.c.model,
    generations.c.id,
    sqlite_where=text("status = 'succeeded' AND reused_from IS NULL"),
    postgresql_where=text("status = 'succeeded' AND reused_from IS NULL"),
)

batches = Table(
    "batches",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("name", String(200)),
    Column("num_items", Integer, nullable=False),
    Column("num_images", Integer, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("usd", Float, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("cloned_from", ID),
    Column("retry_of", ID),
    Column("metadata", JSON, key="metadata_", nullable=False),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
    Index("ix_batches_account_id_id", "account_id", "id"),
)

#: The orders of a batch. An item is `waiting` until it has its generation; `refused` and `canceled` ones
#: never get one.
batch_items = Table(
    "batch_items",
    METADATA,
    Column("batch_id", ID, ForeignKey("batches.id"), primary_key=True),
    Column("index", Integer, primary_key=True),
    Column("custom_id", String(64)),
    Column("state", String(16), nullable=False),
    Column("order", JSON, nullable=False),
    Column("num_images", Integer, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("generation_id", ID, ForeignKey("generations.id")),
    Column("error", JSON(none_as_null=True)),
)
Index(
    "ix_batch_items_waiting",
    batch_items.c.batch_id,
    batch_items.c.index,
    sqlite_where=text("state = 'waiting'"),
    postgresql_where=text("state = 'waiting'"),
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    Column("account_id", ID, ForeignKey("accounts.id"), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("generation_id", ID, ForeignKey("generations.id")),
    Column("batch_id", ID, ForeignKey("batches.id")),
    Column("created_at", Moment, nullable=False, index=True),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("class", String(64), key="class_", nullable=False),
    Column("account_id", ID, nullable=False),
    Column("generation_id", ID, index=True),
    Column("state", String(16), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("start_tag", Float, nullable=False),
    Column("not_before", Moment),
    Column("cancel_requested", Boolean, nullable=False, server_default=text("false")),
    Column("starts", Integer, nullable=False, server_default="0"),
    Column("max_starts", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("lease_owner", String(100)),
    Column("lease_expires_at", Moment),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("completed_at", Moment),
)
#: The claim reads these two and nothing else, however many jobs have ended.
Index(
    "ix_jobs_claim",
    jobs.c.class_,
    jobs.c.priority,
    jobs.c.start_tag,
    jobs.c.id,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)
Index(
    "ix_jobs_leased",
    jobs.c.class_,
    jobs.c.lease_expires_at,
    sqlite_where=text("state = 'running'"),
    postgresql_where=text("state = 'running'"),
)
Index(
    "ix_jobs_delayed",
    jobs.c.not_before,
    sqlite_where=text("state = 'queued' AND not_before IS NOT NULL"),
    postgresql_where=text("state = 'queued' AND not_before IS NOT NULL"),
)

#: Start-time fair queueing: how far each class has come, and the last tag each account was given in it.
class_clocks = Table(
    "class_clocks",
    METADATA,
    Column("class", String(64), key="class_", primary_key=True),
    Column("clock", Float, nullable=False),
)
account_tags = Table(
    "account_tags",
    METADATA,
    Column("class", String(64), key="class_", primary_key=True),
    Column("account_id", ID, primary_key=True),
    Column("tag", Float, nullable=False),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("job_id", ID, nullable=False, index=True),
    Column("generation_id", ID, ForeignKey("generations.id"), nullable=False, index=True),
    Column("provider", String(64), nullable=False),
    Column("target", String(300), nullable=False),
    Column("state", String(16), nullable=False),
    Column("request_id", Text),
    Column("error", JSON(none_as_null=True)),
    Column("created_at", Moment, nullable=False),
    Column("submitted_at", Moment),
    Column("completed_at", Moment),
    Column("seconds", Float),
    Column("usd", Float),
    Column("notes", JSON(none_as_null=True)),
)

assets = Table(
    "assets",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("generation_id", ID, ForeignKey("generations.id")),
    Column("index", Integer),
    Column("state", String(16), nullable=False),
    Column("seed", BigInteger),
    Column("origin", JSON(none_as_null=True)),
    Column("width", Integer),
    Column("height", Integer),
    Column("content_type", String(64)),
    Column("animated", Boolean),
    Column("has_alpha", Boolean),
    Column("bytes", BigInteger),
    Column("sha256", String(64)),
    Column("placeholder", JSON(none_as_null=True)),
    Column("source_type", String(64)),
    Column("credit", JSON(none_as_null=True)),
    Column("visibility", String(16), nullable=False, server_default="unlisted"),
    Column("created_at", Moment, nullable=False),
    Column("deleted_at", Moment),
    Column("expires_at", Moment),
    Column("purged_at", Moment),
    Column("favourite_at", Moment),
    UniqueConstraint("generation_id", "index"),
    # The account's in their order, with all that a gallery filters by and lays out: the rows are wide.
    Index(
        "ix_assets_gallery",
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
    ),
)
#: The janitor reads these two: pictures whose time has come, and those whose bytes are still to go.
Index(
    "ix_assets_expiring",
    assets.c.expires_at,
    sqlite_where=text("deleted_at IS NULL AND expires_at IS NOT NULL"),
    postgresql_where=text("deleted_at IS NULL AND expires_at IS NOT NULL"),
)
Index(
    "ix_assets_deleted",
    assets.c.deleted_at,
    sqlite_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
    postgresql_where=text("deleted_at IS NOT NULL AND purged_at IS NULL"),
)
#: The same picture uploaded once more.
Index(
    "ix_assets_uploaded",
    assets.c.account_id,
    assets.c.sha256,
    sqlite_where=text("generation_id IS NULL"),
    postgresql_where=text("generation_id IS NULL"),
)

Index(
    "ix_assets_favourite",
    assets.c.account_id,
    assets.c.id,
    sqlite_where=text("favourite_at IS NOT NULL"),
    postgresql_where=text("favourite_at IS NOT NULL"),
)

collections = Table(
    "collections",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("name", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id", "name"),
)
collection_assets = Table(
    "collection_assets",
    METADATA,
    Column("collection_id", ID, ForeignKey("collections.id"), primary_key=True),
    Column("asset_id", ID, ForeignKey("assets.id"), primary_key=True, index=True),
    Column("added_at", Moment, nullable=False),
)

#: Pages that show some pictures to whoever has their URL, until they expire or are revoked.
shares = Table(
    "shares",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("title", String(200), nullable=False),
    Column("asset_ids", JSON, nullable=False),
    Column("show_prompt", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Index("ix_shares_account_id_id", "account_id", "id"),
)

#: Where the durable copies are: one row per asset and store, written once the store has confirmed.
copies = Table(
    "copies",
    METADATA,
    Column("asset_id", ID, ForeignKey("assets.id"), primary_key=True),
    Column("store", String(64), primary_key=True),
    Column("key", Text, nullable=False),
    Column("stored_at", Moment, nullable=False),
)

#: Where imported pictures came from. A row is written before the bytes are, so that a stopped run goes
#: on under the same asset id; `imported_at` says that the asset is there. `created_at` is the asset's.
imports = Table(
    "imports",
    METADATA,
    Column("account_id", ID, ForeignKey("accounts.id"), primary_key=True),
    Column("source_hash", String(64), primary_key=True),
    Column("source", Text, nullable=False),
    Column("former_id", Text),
    Column("asset_id", ID, nullable=False, unique=True),
    Column("tags", JSON, nullable=False),
    Column("metadata", JSON, key="metadata_", nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("imported_at", Moment),
    Index("ix_imports_account_id_former_id", "account_id", "former_id"),
)

#: State events. One of a batch has no generation; one of a generation names the batch that it belongs to.
events = Table(
    "events",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("batch_id", ID),
    Column("generation_id", ID, ForeignKey("generations.id")),
    Column("type", String(32), nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    Index("ix_events_generation_id_seq", "generation_id", "seq"),
    Index("ix_events_account_id_seq", "account_id", "seq"),
)
Index(
    "ix_events_batch_id_seq",
    events.c.batch_id,
    events.c.seq,
    sqlite_where=text("batch_id IS NOT NULL"),
    postgresql_where=text("batch_id IS NOT NULL"),
)
#: What went wrong of late: the status page looks here, however much went well.
Index(
    "ix_events_failed",
    events.c.created_at,
    sqlite_where=text("type = 'failed'"),
    postgresql_where=text("type = 'failed'"),
)

#: What prompts mean, as directions (`embedding/base.py`). `seq` rises with every one that is written and is
#: never given twice, so that what is new is found behind the last one seen. `terms` is equal for orders that
#: differ in nothing but their words (`services/terms.py`).
prompt_vectors = Table(
    "prompt_vectors",
    METADATA,
    Column("seq", SEQUENCE, primary_key=True, autoincrement=True),
    Column("generation_id", ID, ForeignKey("generations.id"), nullable=False, unique=True),
    Column("account_id", ID, ForeignKey("accounts.id"), nullable=False),
    Column("embedder", String(64), nullable=False),
    Column("terms", String(64), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Index("ix_prompt_vectors_account_id_seq", "account_id", "seq"),
    sqlite_autoincrement=True,
)
