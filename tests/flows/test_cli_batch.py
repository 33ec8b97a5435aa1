"""`ferrotype batch` as a user meets it: real processes, real files, stopped and started again."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pyvips

from ferrotype.sim.hosted import Fault
from ferrotype.sim.replicate import ReplicateScript, ReplicateSim
from tests.flows.commands import NOISE, Command, Ran, Serve, ferrotype, serving
from tests.flows.test_routing import KEY, deployments, model

#: Small pictures of the illustrator.
FOXES = [{"prompt": f"fox number {n}", "width": 256, "height": 256, "seed": n} for n in range(1, 4)]
PAINTED = ["001-fox-number-1", "002-fox-number-2", "003-fox-number-3", "004-fox-number-4"]


def write_lines(path: Path, *items: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))
    return path.name


def made(folder: Path) -> list[str]:
    """The pictures in a folder, each of which can be opened."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix in (".webp", ".png", ".jpg"))
    for name in names:
        assert pyvips.Image.new_from_file(str(folder / name)).width > 0
    return names


def manifest(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "batch.jsonl").read_text().splitlines()]


async def batches(server: Serve, http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    async with http.get(f"{server.base}/v1/batches") as reply:
        return list((await reply.json())["data"])


@dataclass
class Studio:
    """A provider that can be held, and what commands need to use it."""

    folder: Path
    sim: ReplicateSim
    env: dict[str, str] = field(default_factory=dict)

    @property
    def works(self) -> Any:
        return self.sim.works

    async def held(self, command: Command, count: int) -> list[str]:
        """Wait until so many calls are held; a command that ends before has failed."""
        held = asyncio.create_task(self.works.held(count))
        ended = asyncio.create_task(command.process.wait())
        await asyncio.wait((held, ended), return_when=asyncio.FIRST_COMPLETED)
        if not held.done():
            held.cancel()
            raise AssertionError(await command.ended())
        ended.cancel()
        return held.result()

    def prompts(self, count: int = 4) -> str:
        path = self.folder / "foxes.txt"
        path.write_text("".join(f"fox number {n}\n" for n in range(1, count + 1)))
        return path.name

    def free(self) -> None:
        self.sim.script.hold = None
        self.works.release()
        self.works.look()


@asynccontextmanager
async def studio(folder: Path, **environ: str) -> AsyncIterator[Studio]:
    async with ReplicateSim(ReplicateScript(key=KEY, steps=1)) as sim:
        (folder / "models.toml").write_text(model("me/painter", deployments("a")))
        (folder / "connections.toml").write_text(
            f'[connections.a]\nprovider = "replicate"\ntoken = "{KEY}"\nbase_url = "{sim.url}"\n'
        )
        env = {
            "FERROTYPE_CATALOGUE": str(folder / "models.toml"),
            "FERROTYPE_CONFIG": str(folder / "connections.toml"),
            "FERROTYPE_DEFAULT_MODEL": "me/painter",
            "FERROTYPE_LEASE_SECONDS": "1",
            **environ,
        }
        yield Studio(folder, sim, env)


async def test_prompts_become_pictures_without_a_server(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_bytes(
        b"\xef\xbb\xbfa fox under the moon\r\n\r\n# no. 1\r\n\xe7\x8b\x90 caf\xc3\xa9\n"
    )
    ran = await ferrotype(tmp_path, "batch", "p.txt", "--out", "out/here", "--seed", "7")
    assert (ran.code, ran.quiet) == (0, True)
    names = ["001-a-fox-under-the-moon.webp", "002-no-1.webp", "003-狐-café.webp"]
    assert sorted(ran.out.splitlines()) == [f"out/here/{name}" for name in names]
    assert made(tmp_path / "out" / "here") == names
    first, *rows = manifest(tmp_path / "out" / "here")
    assert (first["items"], sorted(row["row"] for row in rows)) == (3, [1, 2, 3])
    assert {row["seed"] for row in rows} == {7}
    assert "3 rows, 3 pictures" in ran.err.splitlines()[0]
    assert ran.err.splitlines()[-1].startswith("3 of 3 rows, 3 pictures in out/here")
    again = await ferrotype(tmp_path, "batch", "p.txt", "--out", "out/here", "--seed", "7")
    assert (again.code, again.out) == (0, "")
    assert again.err.startswith("3 of 3 rows, 3 pictures in out/here")


@pytest.mark.slow
async def test_a_table_with_quotes_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(
        "\ufeffprompt,width,height,seed,style,num_images,tags,custom_id,metadata.row\r\n"
        '"a fox, at ""night""",256,320,5,artistic,2,"red, wild",hero,7\r\n'
        "\r\n"
        '"two\nlines",256,256,,,,,,\r\n'
    )
    async with serving(tmp_path) as (server, http):
        ran = await ferrotype(tmp_path, "batch", "p.csv", "--out", "out", "--style", "3d")
        assert (ran.code, ran.quiet) == (0, True)
        assert made(tmp_path / "out") == ["001-hero-1.webp", "001-hero-2.webp", "002-two-lines.webp"]
        (batch,) = await batches(server, http)
        async with http.get(f"{server.base}/v1/batches/{batch['id']}") as reply:
            first, second = (await reply.json())["items"]
    order = first["generation"]["input"]
    assert (order["prompt"], order["style"], order["seed"]) == ('a fox, at "night"', "artistic", 5)
    assert (order["width"], order["height"], order["num_images"]) == (256, 320, 2)
    assert first["generation"]["tags"] == ["red", "wild"]
    assert first["generation"]["metadata"] == {"row": "7"}
    assert second["generation"]["input"]["prompt"] == "two\nlines"
    assert second["generation"]["input"]["style"] == "3d"


@pytest.mark.slow
async def test_dynamic_prompts_from_standard_input(tmp_path: Path) -> None:
    command = Command(tmp_path, "batch", "-", "--out", "out", "--expand", "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ferrotype", "batch", "-", "--out", "out", "--expand", "--json"),
        cwd=tmp_path,
        env=command.env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    line = json.dumps({"prompt": "a {red|blue} car {1..2}", "width": 256, "height": 256})
    out, err = await process.communicate(line.encode())
    assert process.returncode == 0, err
    told = json.loads(out)
    assert (told["object"], told["status"], told["num_items"]) == ("batch", "succeeded", 4)
    assert [row["prompt"] for row in told["rows"]] == [
        *("a red car 1", "a red car 2", "a blue car 1", "a blue car 2")
    ]
    assert [row["files"] for row in told["rows"]] == [[f"out/{name}"] for name in made(tmp_path / "out")]


async def test_files_of_others_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "001-fox-number-1.webp").write_text("mine")
    source = write_lines(tmp_path / "p.jsonl", *FOXES[:1])
    ran = await ferrotype(tmp_path, "batch", source, "--out", "out")
    assert (ran.code, ran.out) == (0, "out/001-fox-number-1-2.webp\n")
    assert (tmp_path / "out" / "001-fox-number-1.webp").read_text() == "mine"


async def test_input_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("prompt,seed\na fox,7\na cat,seven\n")
    ran = await ferrotype(tmp_path, "batch", "p.csv", "--out", "out")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: p.csv line 3: seed: 'seven' is no whole number.\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
async def test_options_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "p.md").write_text("a fox\n")
    for args, words in (
        (("none.txt", "--out", "out"), ["none.txt", "No such file"]),
        (("p.md", "--out", "out", "--type", "xls"), ["--type", "'xls'"]),
        (("p.md", "--type", "txt", "--out", "p.md"), ["--out", "p.md"]),
        (("p.md", "--type", "txt", "--out", "out", "--server", "here"), ["--server", "'here'"]),
    ):
        ran = await ferrotype(tmp_path, "batch", *args)
        assert (ran.code, ran.out, ran.quiet) == (2, "", True)
        assert all(word in ran.err for word in words), ran.err
    ran = await ferrotype(
        tmp_path, "batch", "p.md", "--type", "txt", "--out", "out", "--server", "http://127.0.0.1:9"
    )
    assert (ran.code, ran.quiet) == (1, True)
    assert "cannot be reached" in ran.err


async def test_rows_that_the_server_refuses_are_named_and_nothing_is_ordered(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, http):
        (tmp_path / "p.csv").write_text('prompt,style\na fox,\n"two\nlines",nope\na cat,3d\n,3d\n')
        ran = await ferrotype(tmp_path, "batch", "p.csv", "--out", "out")
        assert (ran.code, ran.out, ran.quiet) == (2, "", True)
        bad, empty, ending = ran.err.splitlines()
        assert bad.startswith("p.csv line 3: style: There is no style 'nope'")
        assert empty.startswith("p.csv line 6: prompt: ")
        assert ending == "nothing was ordered"
        # A line may stand for several orders.
        source = write_lines(
            tmp_path / "p.jsonl", {"prompt": "{a|b|c}"}, {"prompt": "{d|e}"}, {"prompt": "f", "colour": 1}
        )
        ran = await ferrotype(tmp_path, "batch", source, "--out", "out", "--expand")
        assert (ran.code, ran.err.splitlines()[0][:26]) == (2, "p.jsonl line 3: colour: co")
        source = write_lines(tmp_path / "p.jsonl", {"prompt": "{a|b}"}, {"prompt": "{1..1000000}"})
        ran = await ferrotype(tmp_path, "batch", source, "--out", "out", "--expand")
        assert ran.code == 2
        assert ran.err.startswith("p.jsonl line 2: prompt: ")
        assert "1,000,002" in ran.err
        assert await batches(server, http) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
async def test_the_exit_code_tells_whether_all_some_or_none_were_made(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.faults.append(Fault("refusal", "NSFW content detected", times=1))
        ran = await ferrotype(tmp_path, "batch", it.prompts(2), "--out", "some", **it.env)
        assert (ran.code, ran.quiet, len(ran.out.splitlines())) == (3, True, 1)
        assert re.search(r"^row [12] failed: .*sensitive", ran.err, re.MULTILINE)
        assert "1 of 2 rows, 1 picture in some" in ran.err
        it.sim.script.faults.append(Fault("refusal", "NSFW content detected", times=9))
        ran = await ferrotype(tmp_path, "batch", it.prompts(2), "--out", "none", **it.env)
        assert (ran.code, ran.out) == (1, "")
        # What failed is not ordered once more by itself: the batch has ended.
        created = it.works.created
        ran = await ferrotype(tmp_path, "batch", it.prompts(2), "--out", "none", **it.env)
        assert (ran.code, it.works.created) == (1, created)


async def test_too_little_money_is_told_before_anything_is_ordered(tmp_path: Path) -> None:
    async with studio(tmp_path, FERROTYPE_INITIAL_CREDITS="5") as it:
        ran = await ferrotype(tmp_path, "batch", it.prompts(2), "--out", "out", **it.env)
        assert (ran.code, ran.out, ran.quiet, it.works.created) == (1, "", True, 0)
        assert "6 credits" in ran.err
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
async def test_what_is_missing_is_fetched_again_and_nothing_else(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "p.jsonl", *FOXES)
    async with serving(tmp_path) as (server, http):
        args = ("batch", source, "--out", "out")
        assert (await ferrotype(tmp_path, *args)).code == 0
        names = made(tmp_path / "out")
        before = {name: (tmp_path / "out" / name).stat() for name in names}
        (tmp_path / "out" / names[1]).unlink()
        ran = await ferrotype(tmp_path, *args)
        assert (ran.code, ran.out) == (0, f"out/{names[1]}\n")
        assert made(tmp_path / "out") == names
        for name in (names[0], names[2]):
            assert (tmp_path / "out" / name).stat().st_ino == before[name].st_ino
        # Without the manifest too, the same input is the same batch.
        (tmp_path / "out" / "batch.jsonl").unlink()
        ran = await ferrotype(tmp_path, *args)
        assert (ran.code, len(ran.out.splitlines())) == (0, 3)
        assert len(await batches(server, http)) == 1


@pytest.mark.slow
async def test_a_folder_belongs_to_one_batch(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "p.jsonl", *FOXES[:1])
    async with serving(tmp_path):
        assert (await ferrotype(tmp_path, "batch", source, "--out", "out")).code == 0
        for more in (("--name", "other"), ("--seed", "9")):
            ran = await ferrotype(tmp_path, "batch", source, "--out", "out", *more)
            assert (ran.code, ran.quiet) == (2, True)
            assert "other prompts or options" in ran.err


async def test_killed_in_the_middle_it_goes_on_and_orders_nothing_twice(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        args = ("batch", it.prompts(), "--out", "out")
        async with serving(tmp_path, **it.env) as (server, http):
            command = Command(tmp_path, *args, **it.env)
            await command.start()
            for work_id in (await it.held(command, 4))[:2]:
                it.works.release(work_id)
            written = {await command.line(), await command.line()}
            command.signal(signal.SIGKILL)
            await command.ended()
            assert len(made(tmp_path / "out")) == len(written) == 2
            with (tmp_path / "out" / "batch.jsonl").open("a") as file:
                file.write('{"row": 3, "pic')  # cut by the kill
            it.free()
            ran = await ferrotype(tmp_path, *args, **it.env)
            assert (ran.code, ran.quiet) == (0, True)
            assert len(set(ran.out.splitlines(keepends=True)) | written) == 4
            assert [Path(name).stem for name in made(tmp_path / "out")] == PAINTED
            assert it.works.created == 4
            assert len(await batches(server, http)) == 1


@pytest.mark.slow
async def test_killed_without_a_server_it_goes_on_too(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        args = ("batch", it.prompts(), "--out", "out")
        command = Command(tmp_path, *args, **it.env)
        await command.start()
        it.works.release((await it.held(command, 4))[0])
        first = await command.line()
        command.signal(signal.SIGKILL)
        await command.ended()
        it.free()
        ran = await ferrotype(tmp_path, *args, **it.env)
        assert (ran.code, ran.quiet) == (0, True)
        assert len(ran.out.splitlines()) == 3
        assert first not in ran.out
        assert [Path(name).stem for name in made(tmp_path / "out")] == PAINTED
        assert it.works.created == 4  # what the provider had begun was taken up again


async def test_ctrl_c_leaves_the_batch_at_the_server(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        args = ("batch", it.prompts(2), "--out", "out")
        async with serving(tmp_path, **it.env) as (server, http):
            command = Command(tmp_path, *args, **it.env)
            await command.start()
            await it.held(command, 2)
            command.signal(signal.SIGINT)
            ran = await command.ended()
            assert (ran.code, ran.out, ran.quiet) == (130, "", True)
            assert "the same command" in ran.err
            (batch,) = await batches(server, http)
            assert batch["status"] == "running"
            it.free()
            ran = await ferrotype(tmp_path, *args, **it.env)
            assert (ran.code, len(ran.out.splitlines()), it.works.created) == (0, 2, 2)


@pytest.mark.slow
async def test_ctrl_c_without_a_server_stops_and_says_how_to_go_on(tmp_path: Path) -> None:
    async with studio(tmp_path, FERROTYPE_DRAIN_SECONDS="0") as it:
        it.sim.script.hold = "end"
        args = ("batch", it.prompts(2), "--out", "out")
        command = Command(tmp_path, *args, **it.env)
        await command.start()
        await it.held(command, 2)
        command.signal(signal.SIGINT)
        ran = await command.ended()
        assert (ran.code, ran.out, ran.quiet) == (130, "", True)
        assert "the same command goes on" in ran.err
        it.free()
        ran = await ferrotype(tmp_path, *args, **it.env)
        assert (ran.code, len(ran.out.splitlines()), it.works.created) == (0, 2, 2)


@pytest.mark.slow
async def test_a_server_that_is_killed_and_comes_back_is_waited_for(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        async with serving(tmp_path, **it.env) as (server, http):
            command = Command(tmp_path, "batch", it.prompts(), "--out", "out", **it.env)
            await command.start()
            it.works.release((await it.held(command, 4))[0])
            await command.line()
            await server.stop(signal.SIGKILL)
            it.free()
            await server.up(http)
            ran = await command.ended()
            assert (ran.code, ran.quiet) == (0, True)
            assert [Path(name).stem for name in made(tmp_path / "out")] == PAINTED
            assert it.works.created == 4


@pytest.mark.slow
async def test_two_commands_do_not_write_to_one_folder(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        args = ("batch", it.prompts(1), "--out", "out")
        async with serving(tmp_path, **it.env):
            command = Command(tmp_path, *args, **it.env)
            await command.start()
            await it.held(command, 1)
            ran = await ferrotype(tmp_path, *args, **it.env)
            assert (ran.code, ran.quiet) == (2, True)
            assert "another command" in ran.err
            it.free()
            assert (await command.ended()).code == 0


@pytest.mark.slow
async def test_a_key_opens_the_named_server(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "p.jsonl", *FOXES[:1])
    here = tmp_path / "here"
    here.mkdir()
    async with serving(tmp_path, FERROTYPE_API_KEY="secret-of-the-tests-0123456789") as (server, _):
        args = ("batch", str(tmp_path / source), "--out", "out", "--server", server.base)
        ran = await ferrotype(here, *args)
        assert (ran.code, ran.quiet) == (1, True)
        assert "FERROTYPE_API_KEY" in ran.err
        ran = await ferrotype(here, *args, FERROTYPE_API_KEY="secret-of-the-tests-0123456789")
        assert (ran.code, ran.out) == (0, "out/001-fox-number-1.webp\n")
    assert not (here / "data").exists()


@dataclass
class Terminal:
    """A command on a terminal of 24 lines."""

    process: asyncio.subprocess.Process
    master: int
    seen: str = ""

    async def until(self, text: str) -> None:
        """Read until it was shown."""
        while text not in self.seen:
            more = await asyncio.get_running_loop().run_in_executor(None, self._read)
            assert more, f"{text!r} was not shown: {self.seen}"
            self.seen += more

    async def rest(self) -> Ran:
        while more := await asyncio.get_running_loop().run_in_executor(None, self._read):
            self.seen += more
        return Ran(await self.process.wait(), self.seen, "")

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def _read(self) -> str:
        try:
            return os.read(self.master, 65_536).decode(errors="replace")
        except OSError:  # the other end is closed
            return ""


@asynccontextmanager
async def terminal(folder: Path, *args: str, **environ: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    env = Command(folder, **environ).env | {"TERM": "xterm", "COLUMNS": "100", "LINES": "24"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ferrotype", *args),
        cwd=folder,
        env=env,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


@pytest.mark.slow
async def test_a_costly_batch_is_asked_for(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        args = ("batch", it.prompts(34), "--out", "out")
        async with terminal(tmp_path, *args, **it.env) as shown:
            await shown.until("[y/N]")
            assert "34 rows, 34 pictures: 102 credits ($1.36)" in shown.seen
            shown.type("n\n")
            ran = await shown.rest()
            assert (ran.code, it.works.created) == (1, 0)
        assert not (tmp_path / "out").exists()
        async with terminal(tmp_path, *args, **it.env) as shown:
            await shown.until("[y/N]")
            shown.type("y\n")
            ran = await shown.rest()
            assert (ran.code, it.works.created) == (0, 34)
            assert not any(word in ran.out for word in NOISE)
        assert len(made(tmp_path / "out")) == 34


async def test_a_terminal_shows_a_live_table(tmp_path: Path) -> None:
    async with studio(tmp_path) as it:
        it.sim.script.hold = "end"
        (tmp_path / "p.txt").write_text("a fox\x1b[2J\x07 here\nfox number 2\n")
        async with terminal(tmp_path, "batch", "p.txt", "--out", "out", "--yes", **it.env) as shown:
            await it.works.held(2)
            await shown.until("running")
            await shown.until("0 of 2 rows")
            it.free()
            ran = await shown.rest()
        assert ran.code == 0
        assert "fox number 2" in ran.out
        assert "001-a-fox-2j-here." in ran.out
        assert "\x1b[2J" not in ran.out  # a prompt moves no cursor
        assert "2 of 2 rows, 2 pictures in out" in ran.out
