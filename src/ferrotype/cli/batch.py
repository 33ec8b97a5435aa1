"""`ferrotype batch`: many orders from a file, each picture written the moment it exists.

The command can be stopped at any moment, and goes on where it was when it is given again: the batch's
idempotency key is made of its input and its folder, and the folder's manifest names what is there.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer
from rich.console import Console
from rich.markup import escape

from ferrotype.app.settings import load_settings
from ferrotype.cli.batch_board import FAILED, Board
from ferrotype.cli.batch_folder import Folder, open_folder
from ferrotype.cli.batch_follow import Following
from ferrotype.cli.batch_input import Given, Kind, read_input
from ferrotype.cli.batch_server import BatchServer, with_server
from ferrotype.cli.batch_view import shown, viewing
from ferrotype.cli.words import pictures, rows, span
from ferrotype.domain.batch_order import merge
from ferrotype.domain.matrix import count_items
from ferrotype.domain.problems import NotFound, Problem, RequestProblem
from ferrotype.net.logging import configure

#: Exit codes beside 0, all rows; 2 is for what main.py tells of settings, and for input here.
NONE: Final = 1
BAD_INPUT: Final = 2
SOME: Final = 3
STOPPED: Final = 130
#: Credits from which on the command asks.
ASK_FROM: Final = 100
#: Faults and failed rows that are listed.
LISTED: Final = 20

console = Console(stderr=True)


@dataclass(frozen=True)
class Wish:
    """What the command line says; `defaults` are an order's fields for every row."""

    source: str
    out: Path
    kind: Kind | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    expand: bool = False
    name: str | None = None
    yes: bool = False
    as_json: bool = False

    def body(self, given: list[Given]) -> dict[str, Any]:
        """The batch."""
        defaults = {name: value for name, value in self.defaults.items() if value is not None}
        body = {"name": self.name, "defaults": defaults, "expand": self.expand}
        return {name: value for name, value in body.items() if value} | {
            "items": [each.item for each in given]
        }


async def batch(wish: Wish, *, server: str | None, data_dir: Path | None) -> None:
    """Read, order, follow, save. Raises typer.Exit with the code of the outcome, Problem and ConfigError."""
    settings = load_settings(storage={"data_dir": data_dir}, log={"log_level": "error"})
    configure(settings.log)
    given = read_input(wish.source, wish.kind)
    code: int | None = None

    async def story(found: BatchServer) -> None:
        nonlocal code
        code = await Command(wish, given, found).run()

    try:
        ended = await with_server(settings, data_dir, server, story)
    except asyncio.CancelledError:
        ended = False
    if not ended:
        _say(f"stopped; the same command goes on{_where(server)}", "yellow")
        raise typer.Exit(STOPPED)
    if code:
        raise typer.Exit(code)


def _where(server: str | None) -> str:
    return f" at {server}" if server else ""


class Command:
    """One run of the command, with a server that answers."""

    def __init__(self, wish: Wish, given: list[Given], server: BatchServer) -> None:
        self._wish = wish
        self._given = given
        self._server = server

    async def run(self) -> int:
        """The exit code."""
        body = self._wish.body(self._given)
        fingerprint = _hash(body)
        with open_folder(self._wish.out, fingerprint) as folder:
            if folder.batch_id is None:
                try:
                    if not await self._agreed(body):
                        return NONE
                    await self._order(body, folder)
                except RequestProblem as problem:
                    return self._refused(problem)
            envelope = await self._batch(folder)
            board = Board(envelope["num_items"])
            results = (
                None if self._wish.as_json or (console.is_terminal and sys.stdout.isatty()) else Console()
            )
            with viewing(board, console, results):
                envelope = await Following(self._server, folder, board)()
            return self._ended(envelope, board)

    async def _agreed(self, body: dict[str, Any]) -> bool:
        """Tell what it will cost; whether that is wanted."""
        told = await self._server.estimate(body)
        seconds = told["seconds"]
        took = f", about {span(seconds['all'])}" if seconds else ""
        usd = f" (${told['usd']:,.2f})" if told["usd"] else ""
        what = f"{rows(told['num_items'])}, {pictures(told['num_images'])}"
        _say(f"{what}: {told['credits']:,} credits{usd}{took}, {self._server.where}")
        if told["credits"] < ASK_FROM or self._wish.yes or not told["sufficient"]:
            return True  # too little money is a problem that the order itself tells
        if not (sys.stdin.isatty() and console.is_terminal):
            return True
        return await _confirmed("Order them? [y/N] ")

    async def _order(self, body: dict[str, Any], folder: Folder) -> None:
        key = hashlib.sha256(f"{_hash(body)} {folder.path.resolve()}".encode()).hexdigest()
        envelope = await self._server.order(body, f"batch-{key}")
        folder.begin(envelope["id"], envelope["num_items"], self._server.url)

    async def _batch(self, folder: Folder) -> dict[str, Any]:
        assert folder.batch_id is not None
        try:
            return await self._server.batch(folder.batch_id)
        except NotFound:
            raise NotFound(
                f"{self._server.url} does not know the batch {folder.batch_id} that {folder.path} belongs to."
                " Name its server or another --out."
            ) from None

    def _refused(self, problem: Problem) -> int:
        """Nothing was ordered: which row it is, and which field."""
        faults = [each for each in problem.errors if "row" in each]
        told = [(self._line(each["row"]), each.get("field") or "order", each["detail"]) for each in faults]
        if not faults:  # something that keeps the input's lines from being expanded
            index = _index(problem.field)
            if index is None:
                raise problem
            field = str(problem.field).partition("].")[2]
            told = [(self._given[index].line, field or "order", problem.detail)]
        source = "standard input" if self._wish.source == "-" else self._wish.source
        for line, field, detail in told[:LISTED]:
            _say(f"{source} line {line}: {field}: {detail}", "red")
        if len(faults) > LISTED:
            _say(f"... and {len(faults) - LISTED} more", "red")
        _say("nothing was ordered", "red")
        return BAD_INPUT

    def _line(self, index: int) -> int:
        """The line that the order with that index comes from: with --expand it may stand for several."""
        for given in self._given:
            count = 1
            if self._wish.expand:
                count = count_items([merge(self._wish.defaults, given.item)], None)
            if index < count:
                return given.line
            index -= count
        return self._given[-1].line

    def _ended(self, envelope: dict[str, Any], board: Board) -> int:
        whole = [row for row in board.rows if row.whole]
        short = [row for row in board.rows if not row.whole]
        if self._wish.as_json:
            outcomes = [
                {
                    "row": row.number,
                    "prompt": row.prompt,
                    "status": row.status,
                    "files": [str(row.files[picture]) for picture in sorted(row.files)],
                    "error": row.error,
                }
                for row in board.rows
            ]
            told = {name: value for name, value in envelope.items() if name != "items"} | {"rows": outcomes}
            print(json.dumps(told, indent=2, ensure_ascii=False))
        told_before = FAILED if not console.is_terminal else frozenset[str]()
        untold = [row for row in short if row.state not in told_before]
        for row in untold[:LISTED]:
            state = row.state if row.state in FAILED else "incomplete"
            _say(f"row {row.number} {state}: {row.error or ''}", "red")
        if len(untold) > LISTED:
            _say(f"... and {len(untold) - LISTED} more", "red")
        files = sum(len(row.files) for row in board.rows)
        cost = envelope["cost"]
        usd = f", ${cost['usd']:,.2f}" if cost["usd"] else ""
        _say(
            f"{len(whole):,} of {rows(len(board.rows))}, {pictures(files)} in {self._wish.out},"
            f" {span(board.seconds)}{usd}"
        )
        if not short:
            return 0
        return SOME if files else NONE


def _index(field: str | None) -> int | None:
    """3 of `items[3].prompt` and of `items.3.prompt`."""
    text = (field or "").replace("[", ".").replace("]", "")
    group, _, rest = text.partition(".")
    number = rest.partition(".")[0]
    return int(number) if group == "items" and number.isascii() and number.isdigit() else None


def _hash(body: dict[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _say(text: str, style: str | None = None) -> None:
    text = escape(shown(text))
    console.print(f"[{style}]{text}[/]" if style else text, soft_wrap=True, highlight=False)


async def _confirmed(question: str) -> bool:
    """Ask on the terminal; a signal is heard meanwhile."""
    console.print(escape(question), end="", highlight=False)
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        if not answer.done():
            answer.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        return (await answer).strip().lower() in ("y", "yes")
    finally:
        loop.remove_reader(sys.stdin)
