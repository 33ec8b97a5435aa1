"""The short way to SQLite gives what SQLAlchemy's gives: same rows, same conversions, same errors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, bindparam, create_engine, func, insert, null, select, update
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound, StatementError

from ferrotype.db.database import Transaction
from ferrotype.db.direct import MAX_REMEMBERED, Direct, DirectTransaction, Result
from ferrotype.db.schema import METADATA, accounts, attempts, events, generations

NOW = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)
ADD = insert(accounts)
ADD_ONCE = sqlite.insert(accounts).on_conflict_do_nothing()
BY_ID = select(accounts).where(accounts.c.id == bindparam("account"))
COUNT = select(func.count()).select_from(accounts)
NAMES = select(accounts.c.name).order_by(accounts.c.id).limit(bindparam("most"))
SPEND = update(accounts).where(accounts.c.id == bindparam("account"))
PLUS = (
    update(accounts)
    .where(accounts.c.id == bindparam("account"))
    .values(spent=accounts.c.spent + 1)
    .returning(accounts.c.id, accounts.c.spent, accounts.c.created_at)
)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    METADATA.create_all(engine)
    with engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        yield connection
    engine.dispose()


@pytest.fixture
def ways(connection: Connection) -> tuple[Transaction, DirectTransaction]:
    return Transaction(connection), DirectTransaction(connection, Direct(connection.dialect))


def run(tx: DirectTransaction, statement: Any, parameters: dict[str, Any] | None = None) -> Result:
    """As the second and third time: by the short way."""
    tx._direct.find(statement, tuple(parameters or {}))
    result = tx.execute(statement, parameters)
    assert isinstance(result, Result)
    return result


def add(tx: DirectTransaction, name: str) -> Result:
    return run(tx, ADD, {"id": name, "name": name, "created_at": NOW})


def test_rows_are_the_same(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    add(fast, "ada")
    rows = [tx.execute(BY_ID, {"account": "ada"}).one() for tx in ways]
    assert isinstance(run(fast, BY_ID, {"account": "ada"}), Result)
    assert tuple(rows[0]) == tuple(rows[1]) == tuple(run(fast, BY_ID, {"account": "ada"}).one())
    assert rows[0].created_at == NOW
    assert run(fast, BY_ID, {"account": "ada"}).one().created_at == NOW
    assert dict(run(fast, BY_ID, {"account": "ada"}).one()._mapping) == dict(rows[0]._mapping)


def test_json_keys_and_nulls(ways: tuple[Transaction, DirectTransaction]) -> None:
    slow, fast = ways
    values = {
        "id": "g",
        "account_id": "a",
        "status": "queued",
        "operation": "generate",
        "model": "m/m",
        "class_": "light",
        "input": {"prompt": "ein Fuchs 🦊", "deep": [1, None, {"x": 1.5}]},
        "num_images": 1,
        "credits_each": 1,
        "usd_each": 0.25,
        "error": None,
        "tags": [],
        "metadata_": {},
        "created_at": NOW,
    }
    run(fast, insert(generations), values)
    of_g = select(generations).where(generations.c.id == bindparam("of"))
    expected, found = slow.execute(of_g, {"of": "g"}).one(), run(fast, of_g, {"of": "g"}).one()
    assert tuple(found) == tuple(expected)
    assert (found.class_, found.metadata_, found.error) == ("light", {}, None)
    assert found.input == values["input"]
    absent = select(func.count()).select_from(generations).where(generations.c.error.is_(null()))
    assert run(fast, absent).scalar_one() == 1


def test_counts_numbers_and_returning(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    for name in ("a", "b", "c"):
        assert add(fast, name).rowcount == 1
    assert run(fast, ADD_ONCE, {"id": "a", "name": "a", "created_at": NOW}).rowcount == 0
    assert run(fast, COUNT).scalar() == 3
    assert run(fast, NAMES, {"most": 2}).scalars() == ["a", "b"]
    assert [row.name for row in run(fast, NAMES, {"most": 9})] == ["a", "b", "c"]
    assert run(fast, SPEND, {"account": "b", "spent": 7}).rowcount == 1
    row = run(fast, PLUS, {"account": "b"}).one()
    assert (row.id, row.spent, row.created_at) == ("b", 8, NOW)
    assert run(fast, PLUS, {"account": "nobody"}).rowcount == 0
    new = insert(events).returning(events.c.seq)
    given = {"account_id": "a", "generation_id": "g", "type": "t", "data": {"a": 1}, "created_at": NOW}
    assert [run(fast, new, given).scalar_one() for _ in range(2)] == [1, 2]


def test_one_and_none(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    add(fast, "a")
    add(fast, "b")
    nobody = {"account": "nobody"}
    assert run(fast, BY_ID, nobody).one_or_none() is None
    assert run(fast, BY_ID, nobody).first() is None
    assert run(fast, BY_ID, nobody).scalar() is None
    assert run(fast, BY_ID, nobody).scalar_one_or_none() is None
    with pytest.raises(NoResultFound):
        run(fast, BY_ID, nobody).one()
    for method in ("one", "one_or_none", "scalar_one", "scalar_one_or_none"):
        with pytest.raises(MultipleResultsFound):
            getattr(run(fast, NAMES, {"most": 2}), method)()
    assert run(fast, NAMES, {"most": 2}).first().name == "a"


def test_errors_are_those_of_sqlalchemy(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    add(fast, "a")
    with pytest.raises(IntegrityError):
        add(fast, "a")
    with pytest.raises((StatementError, ValueError)):
        run(fast, ADD, {"id": "n", "name": "n", "created_at": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_what_is_built_on_the_spot_is_not_kept(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    for number in range(MAX_REMEMBERED + 50):
        statement = select(attempts.c.id).where(attempts.c.job_id == f"j{number}")
        assert not isinstance(fast.execute(statement), Result)
    assert len(fast._direct._seen) == MAX_REMEMBERED


def test_lists_go_the_long_way(ways: tuple[Transaction, DirectTransaction]) -> None:
    _, fast = ways
    some = select(accounts.c.name).where(accounts.c.id.in_(bindparam("ids", expanding=True)))
    fast.execute(ADD, [{"id": n, "name": n, "created_at": NOW} for n in "abc"])
    for _ in range(3):
        assert sorted(row.name for row in fast.execute(some, {"ids": ["a", "c"]})) == ["a", "c"]
    assert [row.name for row in fast.execute(some, {"ids": ["b"]})] == ["b"]
