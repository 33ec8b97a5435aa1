"""The command line as a user meets it: what it writes, says and returns."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path

import aiohttp
import pytest
import pyvips

from ferrotype import __version__
from ferrotype.sim.comfyui import ComfySim, Script
from tests.flows.commands import Command, Ran, ferrotype, serving
from tests.flows.harness import free_port

FOX = ("generate", "a fox under the moon", "--aspect", "16:9", "--seed", "7")
SMALL = ("--size", "256x256", "--seed", "7")


def refused(ran: Ran, code: int, *words: str) -> None:
    """One line on stderr that says the words, nothing on stdout."""
    assert (ran.code, ran.out) == (code, "")
    (line,) = ran.err.splitlines()
    assert line.startswith("error: ")
    for word in words:
        assert word in line


def loader(path: Path) -> str:
    return str(pyvips.Image.new_from_file(str(path)).get("vips-loader"))


async def test_the_same_picture_in_process_and_on_a_server(tmp_path: Path) -> None:
    alone = await ferrotype(tmp_path, *FOX, "-o", "alone.webp")
    assert (alone.code, alone.out, alone.err) == (0, "alone.webp\n", "")
    async with serving(tmp_path) as (server, _):
        served = await ferrotype(tmp_path, *FOX, "--reuse", "never", "-o", "served.webp")
        assert (served.code, served.out, served.err) == (0, "served.webp\n", "")
        reused = await ferrotype(tmp_path, *FOX, "-o", "reused.webp")
        assert (reused.code, reused.out) == (0, "reused.webp\n")
        assert "made before, for an identical order" in reused.err
        bare = await ferrotype(tmp_path, "generate", "a fox", *SMALL)
        assert bare.out.startswith(f"{server.base}/images/")
    picture = (tmp_path / "alone.webp").read_bytes()
    assert picture == (tmp_path / "served.webp").read_bytes() == (tmp_path / "reused.webp").read_bytes()
    image = pyvips.Image.new_from_file(str(tmp_path / "alone.webp"))
    assert (image.get("vips-loader"), image.width, image.height) == ("webpload", 1792, 1024)


@pytest.mark.slow
async def test_several_pictures_and_the_format_that_the_name_asks_for(tmp_path: Path) -> None:
    ran = await ferrotype(tmp_path, "generate", "a fox", *SMALL, "-n", "3", "-o", "fox.png")
    assert (ran.code, ran.out.split()) == (0, ["fox-1.png", "fox-2.png", "fox-3.png"])
    assert {loader(path) for path in tmp_path.glob("fox-*.png")} == {"pngload"}
    assert len({path.read_bytes() for path in tmp_path.glob("fox-*.png")}) == 3
    ran = await ferrotype(tmp_path, "generate", "a fox", *SMALL, "-o", "fox.jpg")
    assert (ran.out, loader(tmp_path / "fox.jpg")) == ("fox.jpg\n", "jpegload")


async def test_json_is_the_envelope_and_nothing_else(tmp_path: Path) -> None:
    ran = await ferrotype(tmp_path, "generate", "a fox", *SMALL, "--json", "-o", "fox.webp")
    envelope = json.loads(ran.out)
    assert (ran.code, envelope["status"], envelope["input"]["seed"]) == (0, "succeeded", 7)
    assert (tmp_path / "fox.webp").stat().st_size == envelope["output"][0]["bytes"]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("a fox", "--style", "nope"), 1, ["'nope'", "artistic"]),
        (("a fox", "--size", "12"), 1, ["1024x768"]),
        (("a fox", "--size", "200x9000"), 1, ["width", "256", "2048"]),
        (("", "--seed", "1"), 1, ["prompt"]),
        (("a fox", "--model", "owner/none"), 1, ["'owner/none'", "local/illustrator"]),
        (("a fox", "--image", "none.png"), 1, ["none.png"]),
        (("a fox", "-o", "none/fox.webp"), 2, ["--output", "none"]),
        (("a fox", "-o", "."), 2, ["--output", "folder"]),
        (("a fox", "--server", "nonsense"), 2, ["--server", "http://"]),
        (("a fox", "--server", "http://127.0.0.1:9"), 1, ["http://127.0.0.1:9", "refused"]),
    ],
)
@pytest.mark.slow
async def test_bad_input_is_one_clear_line(
    tmp_path: Path, args: tuple[str, ...], code: int, words: list[str]
) -> None:
    refused(await ferrotype(tmp_path, "generate", *args), code, *words)
    assert list(tmp_path.glob("*.webp")) == []


@pytest.mark.slow
async def test_a_model_with_one_format_says_what_it_made(tmp_path: Path) -> None:
    async with ComfySim() as sim, serving(tmp_path, COMFYUI_URL=sim.url):
        # The command knows nothing of the server's providers, only where it listens.
        ran = await ferrotype(tmp_path, "generate", "a fox", *SMALL, "-o", "fox.webp")
        assert (ran.code, ran.out) == (0, "fox.png\n")
        assert "image/png" in ran.err
        assert loader(tmp_path / "fox.png") == "pngload"
        assert sim.journal.count("POST /prompt") == 1


async def test_interrupting_an_order_cancels_it(tmp_path: Path) -> None:
    async with ComfySim(Script(hold=1)) as sim, serving(tmp_path, COMFYUI_URL=sim.url) as (server, http):
        command = Command(tmp_path, "generate", "a fox", *SMALL)
        await command.start()
        await sim.held(1)
        command.signal(signal.SIGINT)
        ran = await command.ended()
        assert (ran.code, ran.out) == (130, "")
        assert "canceled" in ran.err
        assert ran.quiet
        await sim.journal.wait("POST /interrupt")
        async with http.get(f"{server.base}/v1/generations") as reply:
            (generation,) = (await reply.json())["data"]
        assert generation["output"] == []


@pytest.mark.slow
async def test_a_key_is_sent_and_asked_for(tmp_path: Path) -> None:
    key = "0123456789abcdef"
    async with serving(tmp_path, FERROTYPE_API_KEY=key):
        refused(await ferrotype(tmp_path, "generate", "a fox", *SMALL), 1, "FERROTYPE_API_KEY")
        ran = await ferrotype(tmp_path, "generate", "a fox", *SMALL, "-o", "a.webp", FERROTYPE_API_KEY=key)
        assert (ran.code, ran.out) == (0, "a.webp\n")


@pytest.mark.slow
async def test_models_and_credits(tmp_path: Path) -> None:
    table = await ferrotype(tmp_path, "models")
    assert table.code == 0
    assert re.search(r"local/illustrator .* yes", table.out)
    assert re.search(r"comfyui/txt2img .* no", table.out)
    entries = json.loads((await ferrotype(tmp_path, "models", "--json")).out)
    assert "local/illustrator" in [entry["name"] for entry in entries]
    assert (await ferrotype(tmp_path, "credits")).out == "available 1000000, held 0, spent 0\n"
    assert (await ferrotype(tmp_path, "credits", "--grant", "5")).out.startswith("available 1000005,")
    refusal = await ferrotype(tmp_path, "credits", "--grant", "0")
    assert refusal.code == 2
    assert refusal.quiet


@pytest.mark.slow
async def test_one_process_owns_the_data_folder(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _):
        for command in (("credits",), ("demo", "--once")):
            refused(await ferrotype(tmp_path, *command), 2, "FERROTYPE_DATA_DIR", server.base)
        ran = await ferrotype(tmp_path, "doctor")
        assert ran.code == 0
        assert f"running at {server.base}" in ran.out
    assert (await ferrotype(tmp_path, "credits")).code == 0, "the lock went with its process"


async def test_doctor_finds_and_mends(tmp_path: Path) -> None:
    fine = await ferrotype(tmp_path, "doctor", FERROTYPE_PORT=str(free_port()))
    assert fine.code == 0
    assert "failed" not in fine.out
    async with ComfySim() as sim:
        assert (
            await ferrotype(tmp_path, "doctor", FERROTYPE_PORT=str(free_port()), COMFYUI_URL=sim.url)
        ).code == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        (tmp_path / "file").touch()
        sick = await ferrotype(
            tmp_path,
            "doctor",
            FERROTYPE_PORT=port,
            COMFYUI_URL="http://127.0.0.1:9",
            FERROTYPE_DATA_DIR=str(tmp_path / "file" / "data"),
        )
    assert sick.code == 1
    for words in (f"127.0.0.1:{port}", "change FERROTYPE_PORT", "set FERROTYPE_DATA_DIR", "comfyui: "):
        assert words in sick.out
    assert sick.quiet
    wrong = await ferrotype(tmp_path, "doctor", FERROTYPE_PORT="abc")
    assert wrong.code == 1
    assert "FERROTYPE_PORT" in wrong.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_doctor_notices_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    ran = await ferrotype(tmp_path, "doctor", FERROTYPE_PORT=str(free_port()))
    assert ran.code == 1
    assert "set FERROTYPE_DATA_DIR" in ran.out


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"FERROTYPE_HOST": "0.0.0.0"}, "FERROTYPE_API_KEY"),
        ({"FERROTYPE_PORT": "abc"}, "FERROTYPE_PORT"),
        ({"FERROTYPE_DEFAULT_MODEL": "owner/none"}, "FERROTYPE_DEFAULT_MODEL"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:9/none"}, "DATABASE_URL"),
    ],
)
@pytest.mark.slow
async def test_serve_refuses_what_it_cannot_use(tmp_path: Path, environ: dict[str, str], word: str) -> None:
    environ = {"FERROTYPE_PORT": str(free_port()), **environ}
    refused(await ferrotype(tmp_path, "serve", **environ), 2, word)


async def test_serve_refuses_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(await ferrotype(tmp_path, "serve", "--port", port), 2, "FERROTYPE_PORT", port)


async def test_version_and_help(tmp_path: Path) -> None:
    assert (await ferrotype(tmp_path, "--version")).out == f"{__version__}\n"
    ran = await ferrotype(tmp_path, "--help")
    assert ran.code == 0
    for command in ("serve", "demo", "generate", "models", "credits", "doctor", "sim"):
        assert f" {command} " in ran.out


@pytest.mark.slow
async def test_the_demo_prints_urls_whole_and_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        first = await ferrotype(tmp_path, "demo", "--once", FERROTYPE_PORT=port)  # it takes another one
    assert (first.code, first.err) == (0, "")
    urls = re.findall(r"^  (http://127\.0\.0\.1:\d+/images/[0-9a-f-]{36})$", first.out, re.MULTILINE)
    assert len(urls) == 6
    assert f":{port}/" not in first.out
    async with serving(tmp_path, FERROTYPE_PORT=urls[0].split(":")[2].split("/")[0]) as (_, http):
        for url in urls:
            async with http.get(url) as reply:
                assert (reply.status, reply.content_type) == (200, "image/webp")


@pytest.mark.slow
async def test_the_demo_stays_up_until_it_is_interrupted(tmp_path: Path) -> None:
    command = Command(tmp_path, "demo", FERROTYPE_PORT=str(free_port()))
    await command.start()
    line = ""
    while "Ctrl-C" not in line:
        line = await command.line()
        assert command.process.returncode is None, await command.ended()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{command.env['FERROTYPE_PORT']}/docs") as reply,
    ):
        assert reply.status == 200
    command.signal(signal.SIGINT)
    ran = await command.ended()
    assert (ran.code, ran.err) == (0, "")


async def test_serve_ends_cleanly_on_an_interrupt(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, _):
        ran = await server.stop(signal.SIGINT)
    assert ran.code == 0
    assert ran.quiet
    assert [json.loads(line)["event"] for line in ran.err.splitlines()][-1] == "stopped"


async def test_the_simulator_answers_until_it_is_interrupted(tmp_path: Path) -> None:
    command = Command(tmp_path, "sim", "comfyui", "--set", "steps=2")
    await command.start()
    found = re.search(r"http://\S+", await command.line())
    assert found is not None
    async with aiohttp.ClientSession() as http, http.get(f"{found[0]}/system_stats") as reply:
        assert (await reply.json())["system"]["comfyui_version"]
    command.signal(signal.SIGINT)
    ran = await command.ended()
    assert (ran.code, ran.err) == (0, "")
    refused(await ferrotype(tmp_path, "sim", "comfyui", "--set", "none=1"), 2, "none")
