"""The simulated Google storage is as strict as the real one where it matters to a client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import obstore
import pytest
from obstore.exceptions import PreconditionError
from obstore.store import GCSStore

from ferrotype.sim import SIMULATORS
from ferrotype.sim.gcs import GcsScript, GcsSim


@pytest.fixture
async def sim() -> AsyncIterator[GcsSim]:
    async with GcsSim(GcsScript(private=True)) as made:
        yield made


def client(sim: GcsSim) -> GCSStore:
    """As an application has it that knows nothing but the key: the key names the address."""
    return GCSStore("pictures", service_account_key=sim.service_account())


async def test_what_obstore_can_do(sim: GcsSim) -> None:
    store = client(sim)
    for name in ("a/1", "a/2", "b/ä ö.png"):
        await obstore.put_async(store, name, name.encode())
    listed = await obstore.list(store, prefix="a").collect_async()
    assert [(each["path"], each["size"]) for each in listed] == [("a/1", 3), ("a/2", 3)]
    assert bytes(await obstore.get_range_async(store, "b/ä ö.png", start=2, end=4)) == "ä".encode()
    with pytest.raises(FileNotFoundError):
        await obstore.head_async(store, "a/3")
    await obstore.delete_async(store, ["a/1", "a/2"])
    assert [name for _, name in sim.buckets.objects] == ["b/ä ö.png"]


async def test_an_object_is_made_once_where_that_is_asked(sim: GcsSim) -> None:
    store = client(sim)
    await obstore.put_async(store, "one", b"1", mode="create")
    with pytest.raises(Exception, match=r"AlreadyExists|already exists"):
        await obstore.put_async(store, "one", b"2", mode="create")
    head = await obstore.head_async(store, "one")
    await obstore.put_async(store, "one", b"3", mode={"version": head["version"]})
    with pytest.raises(PreconditionError):
        await obstore.put_async(store, "one", b"4", mode={"version": head["version"]})
    assert sim.buckets.objects["pictures", "one"].data == b"3"


async def test_parts_are_checked(sim: GcsSim) -> None:
    sim.script.private = False
    url = f"{sim.url}/pictures/large"
    async with aiohttp.ClientSession() as session:

        async def ask(method: str, query: str, body: bytes = b"") -> tuple[int, str, str]:
            async with session.request(method, f"{url}?{query}", data=body) as response:
                return response.status, await response.text(), response.headers.get("ETag", "")

        def told(*parts: tuple[int, str]) -> bytes:
            rows = "".join(
                f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in parts
            )
            return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()

        _, text, _ = await ask("POST", "uploads=")
        upload = text.partition("<UploadId>")[2].partition("<")[0]
        assert (await ask("PUT", "partNumber=1&uploadId=nobody", b"x"))[0] == 404
        _, _, first = await ask("PUT", f"partNumber=1&uploadId={upload}", b"x" * 1000)
        _, _, second = await ask("PUT", f"partNumber=2&uploadId={upload}", b"y")
        for body, code in (
            (told((2, second), (1, first)), "InvalidPartOrder"),
            (told(), "InvalidPartOrder"),
            (told((1, second)), "InvalidPart"),
            (told((1, first), (3, second)), "InvalidPart"),
            (told((1, first), (2, second)), "EntityTooSmall"),
            (b"<", "MalformedXML"),
        ):
            status, text, _ = await ask("POST", f"uploadId={upload}", body)
            assert (status, code in text) == (400, True)
        assert not sim.buckets.objects
        assert (await ask("POST", f"uploadId={upload}", told((1, first))))[0] == 200
        assert (await ask("DELETE", f"uploadId={upload}"))[0] == 404
    assert sim.buckets.objects["pictures", "large"].data == b"x" * 1000


async def test_a_signature_is_checked(sim: GcsSim) -> None:
    store = client(sim)
    await obstore.put_async(store, "one", b"1")
    url = await obstore.sign_async(store, "GET", "one", timedelta(seconds=60))
    async with aiohttp.ClientSession() as session:

        async def status(method: str, address: str) -> int:
            async with session.request(method, address) as response:
                return response.status

        assert await status("GET", url) == 200
        assert await status("DELETE", url) == 403
        assert await status("GET", url.replace("Expires=60", "Expires=61")) == 403
        assert await status("GET", url.replace("Expires=60", "Expires=604801")) == 400
        over = url.replace("X-Goog-Date=20", "X-Goog-Date=19")
        assert await status("GET", over) == 400  # the day of the credential is another


async def test_its_name_on_the_command_line(tmp_path: Path) -> None:
    made = SIMULATORS["gcs"]({"private": "true", "key_file": str(tmp_path / "key.json"), "buckets": "a,b"})
    assert isinstance(made, GcsSim)
    async with made as sim:
        assert json.loads((tmp_path / "key.json").read_text()) == json.loads(sim.service_account())
        assert sim.script.buckets == ["a", "b"]
        assert sim.script.private
