"""Alembic's entry: runs on the connection that `ferrotype.db.migrate` hands over."""

from typing import Any, Literal

from alembic import context

from ferrotype.db.schema import METADATA, Moment


def render(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """A migration must not change when our own types do."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Moment) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    render_as_batch=True,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
