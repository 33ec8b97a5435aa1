"""One way to the database: `await database.write(story)` and `await database.read(story)`.

A story is a plain synchronous function of a Transaction. It decides and writes with no await inside, so
nothing can slip between its statements, and the same story runs on both databases:

- SQLite: a single writer thread runs whole stories, one thread hop each, and commits those that are
  waiting together (group commit: one fsync for many). Readers have threads of their own.
- Postgres: the story runs on the asyncpg connection through SQLAlchemy's greenlet bridge.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, Executable

T = TypeVar("T")


class Transaction:
    """An open transaction. What is registered with `on_commit` runs on the event loop once it is
    durable, and never when it is rolled back."""

    __slots__ = ("callbacks", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.callbacks: list[Callable[[], None]] = []

    def execute(self, statement: Executable, parameters: Any = None) -> Any:
        """Run a Core statement; a `CursorResult`, or what has its methods."""
        return self.connection.execute(statement, parameters)

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the event loop after the commit; it must not raise."""
        self.callbacks.append(callback)


Story = Callable[[Transaction], T]


class Database(Protocol):
    """A database that stories run on."""

    async def write(self, story: Story[T], *, durable: bool = True) -> T:
        """Run `story` in a transaction of its own and commit; its result, or its exception after a
        roll-back. A caller that is canceled meanwhile does not stop the story.

        `durable=False` may lose the commit in a power cut, never in a crash of the process: for facts
        that can be found out again.
        """
        ...

    async def read(self, story: Story[T]) -> T:
        """Run a story that only reads, beside any writer."""
        ...

    async def close(self) -> None:
        """Finish what was handed over, then close every connection."""
        ...
