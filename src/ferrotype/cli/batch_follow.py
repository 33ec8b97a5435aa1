"""Follow a batch at its server, and write each picture into the folder the moment it exists."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import aiohttp

from ferrotype.cli.batch_board import Board, Row
from ferrotype.cli.batch_folder import Folder, Key, stem
from ferrotype.cli.batch_server import BatchServer
from ferrotype.cli.generate import SUFFIXES
from ferrotype.config import ConfigError
from ferrotype.domain.event import TERMINAL_EVENTS
from ferrotype.domain.problems import Problem, ServerProblem
from ferrotype.domain.states import BATCH, BatchState

#: Pictures that are fetched at the same time.
DOWNLOADS: Final = 8
#: Seconds that a server may be away before the command gives up, and between two looks for it.
PATIENCE: Final = 60.0
PAUSE: Final = 0.5
#: What a connection that is not there raises.
AWAY: Final = (aiohttp.ClientError, TimeoutError)


class Following:
    """One batch until its end."""

    def __init__(self, server: BatchServer, folder: Folder, board: Board) -> None:
        assert folder.batch_id is not None
        self._server = server
        self._folder = folder
        self._board = board
        self._batch_id = folder.batch_id
        self._rows: dict[str, Row] = {}
        self._downloads: dict[Key, asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(DOWNLOADS)
        self._away_since: float | None = None

    async def __call__(self) -> dict[str, Any]:
        """The batch's envelope once it has ended and every picture that came of it is in the folder.

        Raises Problem, also when the server stays away, and ConfigError when the folder cannot be written to.
        """
        try:
            while not await self._watch():
                pass
            await asyncio.gather(*self._downloads.values())
            return await self._server.batch(self._batch_id)
        finally:
            for task in self._downloads.values():
                task.cancel()
            await asyncio.gather(*self._downloads.values(), return_exceptions=True)

    async def _watch(self) -> bool:
        """Look at everything, then listen; whether the batch has ended."""
        try:
            async with self._server.events(self._batch_id) as events:
                async for type, data in events:
                    self._away_since = None
                    self._check_downloads()
                    if type in ("snapshot", "lagged"):
                        if await self._look():
                            return True
                    elif data.get("generation_id") is not None:
                        await self._hear(type, data)
                    elif type in TERMINAL_EVENTS:
                        return await self._look()
        except AWAY as error:
            await self._wait(error)
        except Problem as problem:  # it is about to stop, or has too much to do
            if not problem.retryable:
                raise
            await self._wait(problem)
        else:
            await self._wait(ServerProblem("The server closed the stream."))
        return False

    async def _look(self) -> bool:
        """Learn how every item is; whether the batch has ended, so that nothing more will come."""
        envelope = await self._server.batch(self._batch_id)
        self._board.eta_s = envelope["eta_s"]
        async for item in self._server.items(self._batch_id):
            row = self._board.learn_item(item)
            if item["generation"] is not None:
                self._learned(row, item["generation"])
        return BATCH.is_terminal(BatchState(envelope["status"]))

    async def _hear(self, type: str, data: dict[str, Any]) -> None:
        generation_id, told = data["generation_id"], data.get("generation")
        row = self._rows.get(generation_id)
        if row is None and told is None:
            if type == "queued":  # most rows of a large batch: they are looked up when they begin
                return
            told = await self._server.generation(generation_id)
        if told is not None:
            row = self._board.rows[told["batch_index"]]
            self._learned(self._board.learn(row, told), told)
        elif row is not None:
            self._board.told(row, type, data)
        assert row is not None
        asset = data.get("asset")
        if asset is None:
            return
        if asset["state"] == "failed":
            why = (data.get("error") or {}).get("detail", "")
            self._board.lose(row, asset["index"] + 1, why)
        else:
            self._fetch(row, generation_id, asset)

    def _learned(self, row: Row, generation: dict[str, Any]) -> None:
        self._rows[generation["id"]] = row
        for asset in generation["output"]:
            if asset["state"] != "failed":
                self._fetch(row, generation["id"], asset)

    def _fetch(self, row: Row, generation_id: str, asset: dict[str, Any]) -> None:
        """Begin to write a picture, once."""
        key = row.number, asset["index"] + 1
        if key in self._downloads or key[1] in row.files:
            return
        here = self._folder.has(key)
        if here is not None:
            self._board.keep(row, key[1], here, new=False)
            return
        self._downloads[key] = asyncio.create_task(self._save(key, row, generation_id, asset))

    async def _save(self, key: Key, row: Row, generation_id: str, asset: dict[str, Any]) -> None:
        """Raises ConfigError when the folder cannot be written to."""
        until = time.monotonic() + PATIENCE
        part = self._folder.part(key)
        while True:
            try:
                async with self._turn:
                    media_type = await self._server.download(asset["id"], part)
                break
            except (*AWAY, Problem) as error:
                final = isinstance(error, Problem) and not error.retryable
                if final or time.monotonic() > until:
                    part.unlink(missing_ok=True)
                    why = error.detail if isinstance(error, Problem) else str(error) or type(error).__name__
                    self._board.lose(row, key[1], why)
                    return
                await asyncio.sleep(PAUSE)
            except OSError as error:
                part.unlink(missing_ok=True)
                raise ConfigError(f"--out: {part.name} cannot be written ({error.strerror}).") from None
        name = stem(key[0], len(self._board.rows), row.name or row.prompt, key[1], row.pictures)
        facts = {
            "asset": asset["id"],
            "generation": generation_id,
            "seed": asset["seed"],
            "prompt": row.prompt,
        }
        path = self._folder.keep(key, name, SUFFIXES.get(media_type, ""), facts)
        self._board.keep(row, key[1], path, new=True)

    def _check_downloads(self) -> None:
        """Raise what ended one of them, without waiting for the others."""
        for task in self._downloads.values():
            if task.done() and not task.cancelled():
                task.result()

    async def _wait(self, why: Exception) -> None:
        """Give a server that is away time to come back. Raises ServerProblem when it does not."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        if now - self._away_since > PATIENCE:
            raise ServerProblem(f"{self._server.url} is away: {why}") from None
        await asyncio.sleep(PAUSE)
