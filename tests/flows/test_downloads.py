"""Archives through HTTP, from a real server."""

from __future__ import annotations

import asyncio
import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ferrotype.db import assets
from ferrotype.domain.ids import new_id
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.xmp import embedded
from tests.flows.harness import Client, Reply, running
from tests.services.archives import TOOLS, contents, extract, manifest

FOX = {"prompt": "Füchse, under the moon", "width": 256, "height": 256, "seed": 7}
HELD = "/proc/self/fd"


async def download(client: Client, generation_id: str, method: str = "GET") -> Reply:
    return await client.request(method, f"/v1/generations/{generation_id}/download.zip")


async def pick(client: Client, *ids: Any, **body: Any) -> Reply:
    return await client.request("POST", "/v1/assets/download", json={"ids": list(ids), **body})


async def test_a_generations_pictures_as_one_file(client: Client) -> None:
    generation = (await client.order(**FOX, num_images=3)).json
    reply = await download(client, generation["id"])
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/zip")
    assert int(reply.headers["Content-Length"]) == len(reply.body)
    assert reply.headers["Cache-Control"] == "private, no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Accept-Ranges"] == "none"
    short = generation["id"][-8:]
    assert reply.headers["Content-Disposition"] == (
        f'attachment; filename="f_chse-under-the-moon-{short}.zip"; '
        f"filename*=UTF-8''f%C3%BCchse-under-the-moon-{short}.zip"
    )
    files = contents(reply.body)
    originals = [(await client.get(asset["url"])).body for asset in generation["output"]]
    pictures = [embedded(each, packet("algorithmicMedia")) for each in originals]
    assert not any(new == old for new, old in zip(pictures, originals, strict=True))
    names = [f"0{index}-füchse-under-the-moon.webp" for index in range(3)]
    assert list(files) == [*names, "manifest.json"]
    assert [files[name] for name in names] == pictures
    each = zip(manifest(reply.body)["pictures"], generation["output"], pictures, strict=True)
    for told, asset, packed in each:
        assert told["prompt"] == FOX["prompt"]
        assert told["input"] == generation["input"]
        same = ("generation_id", "index", "seed", "width", "height", "content_type")
        for field in (*same, "source_type", "credit", "created_at"):
            assert told[field] == asset[field], field
        assert (told["bytes"], told["sha256"]) == (len(packed), hashlib.sha256(packed).hexdigest())
        assert told["original"] == {"bytes": asset["bytes"], "sha256": asset["sha256"]}
        assert told["asset_id"] == asset["id"]


async def test_head_says_what_get_would(client: Client) -> None:
    generation = (await client.order(**FOX)).json
    full, head = await download(client, generation["id"]), await download(client, generation["id"], "HEAD")
    assert (head.status, head.body) == (200, b"")
    own = {"x-request-id", "date"}
    same = [
        {name: value for name, value in each.headers.items() if name.lower() not in own}
        for each in (full, head)
    ]
    assert same[0] == same[1]
    assert "content-length" in {name.lower() for name in same[1]}
    assert (await download(client, new_id(), "HEAD")).status == 404


async def test_a_second_download_is_the_same_file(client: Client) -> None:
    generation = (await client.order(**FOX, mode="durable")).json
    first = await download(client, generation["id"])
    assert (await download(client, generation["id"])).body == first.body


@pytest.mark.parametrize("tool", TOOLS)
async def test_every_reader_likes_it(client: Client, tmp_path: Path, tool: str) -> None:
    generation = (await client.order(**FOX, num_images=2)).json
    path = tmp_path / "archive.zip"
    path.write_bytes((await download(client, generation["id"])).body)
    await asyncio.to_thread(extract, tool, path)


async def test_pictures_of_several_generations_and_an_upload(client: Client) -> None:
    generations = [(await client.order(**{**FOX, "seed": seed})).json for seed in (1, 2)]
    made = [generation["output"][0]["id"] for generation in generations]
    picture = (await client.get(generations[0]["output"][0]["url"])).body
    upload = (await client.request("POST", "/v1/assets", data=picture)).json["id"]
    reply = await pick(client, made[1], upload, made[0], made[1], name="Holiday / 2026 100%")
    assert reply.status == 200
    assert reply.headers["Content-Disposition"] == (
        "attachment; filename=\"Holiday 2026 100_.zip\"; filename*=UTF-8''Holiday%202026%20100%25.zip"
    )
    name = "00-füchse-under-the-moon-{}.webp"
    assert list(contents(reply.body)) == [
        name.format(made[1][-8:]),
        f"{upload}.webp",
        name.format(made[0][-8:]),
        "manifest.json",
    ]
    other_order = await pick(client, *made, upload)
    assert contents(other_order.body).keys() == contents(reply.body).keys()
    assert other_order.headers["Content-Disposition"] == 'attachment; filename="pictures.zip"'
    told = {each["asset_id"]: each for each in manifest(reply.body)["pictures"]}
    assert told[upload]["prompt"] is None
    assert told[made[0]]["seed"] == 1


async def test_deleted_pictures(client: Client) -> None:
    generation = (await client.order(**FOX, num_images=2)).json
    first, second = [asset["id"] for asset in generation["output"]]
    assert (await client.request("DELETE", f"/v1/assets/{first}")).status == 204
    reply = await pick(client, second, first)
    assert (reply.status, reply.json["code"], reply.json["field"]) == (410, "gone", "ids[1]")
    archive = await download(client, generation["id"])
    assert [each["asset_id"] for each in manifest(archive.body)["pictures"]] == [second]
    (lost,) = manifest(archive.body)["left_out"]
    assert (lost["asset_id"], lost["index"], lost["reason"]) == (first, 0, "deleted")
    await client.request("DELETE", f"/v1/assets/{second}")
    none = await download(client, generation["id"])
    assert (none.status, none.json["code"]) == (409, "nothing_to_download")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"ids": []}, 422, "ids"),
        ({}, 422, "ids"),
        ({"ids": "x"}, 422, "ids"),
        ({"ids": [1]}, 422, "ids.0"),
        ({"ids": ["x"]}, 404, "ids[0]"),
        ({"ids": [new_id()]}, 404, "ids[0]"),
        ({"ids": [new_id()], "format": "tar"}, 422, "format"),
        ({"ids": [new_id()], "name": "x" * 201}, 422, "name"),
        ({"ids": [new_id()] * 4}, 422, "ids"),
        ([], 422, "body"),
    ],
)
async def test_bad_requests(tmp_path: Path, body: Any, status: int, field: str) -> None:
    async with running(tmp_path / "data", FERROTYPE_MAX_DOWNLOAD_ASSETS="3") as client:
        reply = await client.request("POST", "/v1/assets/download", json=body)
        assert (reply.status, reply.json["field"]) == (status, field), reply.body
        assert reply.headers["Content-Type"] == "application/problem+json"


async def test_routes_beside_it_stay_what_they_are(client: Client) -> None:
    assert (await client.get("/v1/assets/download")).status in (404, 405)
    for wrong in ("x", new_id()):
        assert (await download(client, wrong)).status == 404
    reply = await client.request("POST", f"/v1/generations/{new_id()}/download.zip")
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")


async def test_a_key_is_needed_where_one_is_set(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_API_KEY="correct-horse-battery") as client:
        generation = (await client.order(**FOX)).json
        url = f"/v1/generations/{generation['id']}/download.zip"
        assert (await client.get(url, headers={"Authorization": ""})).status == 401
        assert (await client.get(url)).status == 200


async def large_pictures(client: Client) -> list[str]:
    """Two pictures that are holes on the disk, much larger than what fits between a server and a client."""
    generation = (await client.order(**FOX, num_images=2, mode="durable")).json
    await client.until(generation["id"], "enriched", count=2)
    ids, size = [asset["id"] for asset in generation["output"]], 32 * 1024 * 1024
    for asset_id in ids:
        path = await client.app.originals.path(asset_id)
        assert path is not None
        os.truncate(path, size)
        client.app.levels.forget_in_memory(asset_id)
        await client.app.database.write(
            lambda tx, id=asset_id: assets.learn(tx, id, bytes=size)  # type: ignore[misc]
        )
    return ids


def held(client: Client) -> list[str]:
    """Which pictures this process, the server's, has open."""
    found = []
    for number in os.listdir(HELD):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"{HELD}/{number}"))
    return [target for target in found if target.startswith(f"{client.app.settings.data_dir}/assets/")]


@pytest.mark.skipif(not os.path.isdir(HELD), reason="open files are not to be seen here")
async def test_a_client_that_goes_away_ends_the_work(client: Client) -> None:
    ids = await large_pictures(client)
    async with client.http.post(f"{client.base}/v1/assets/download", json={"ids": ids}) as reply:
        assert reply.status == 200
        await reply.content.readexactly(1_000_000)
        assert len(held(client)) == 1, "what waits for the client holds one file"
        reply.close()
    await client.app.front.idle()
    while held(client):  # the thread that read when the client left has the last word
        await client.get("/healthz")


async def test_a_picture_that_breaks_off_cuts_the_connection(client: Client) -> None:
    ids = await large_pictures(client)
    async with client.http.post(f"{client.base}/v1/assets/download", json={"ids": ids}) as reply:
        await reply.content.readexactly(1_000_000)
        path = await client.app.originals.path(ids[1])
        assert path is not None
        path.unlink()
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    await client.app.front.idle()
    assert held(client) == []
    again = await client.request("POST", "/v1/assets/download", json={"ids": ids[1:]})
    assert manifest(again.body)["left_out"][0]["reason"] == "missing"
