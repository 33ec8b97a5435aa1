"""A server behind a CDN: what the CDN keeps is gone once a picture is deleted or private."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS
from ferrotype.db.database import Transaction
from ferrotype.db.schema import jobs
from ferrotype.services.revive import Revive
from tests.flows.harness import Client, Reply, running
from tests.flows.test_stores import environ as bucket
from tests.flows.test_stores import make_due
from tests.storage.cdn_server import SERVICE, TOKEN, ZONE, Edge
from tests.storage.conftest import s3_server, seaweed_server
from tests.storage.seaweed import Seaweed

__all__ = ["s3_server", "seaweed_server"]

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}
KINDS = ("cloudflare", "fastly", "webhook")


def environ(edge: Edge, kind: str = "cloudflare", **more: str) -> dict[str, str]:
    return {
        "FERROTYPE_CDN": kind,
        "FERROTYPE_CDN_API_URL": edge.url,
        "FERROTYPE_PUBLIC_URL": edge.url,
        "CLOUDFLARE_ZONE_ID": ZONE,
        "CLOUDFLARE_API_TOKEN": TOKEN,
        "FASTLY_SERVICE_ID": SERVICE,
        "FASTLY_API_TOKEN": TOKEN,
        "FERROTYPE_CDN_WEBHOOK_URL": f"{edge.url}/hook",
        **more,
    }


@pytest.fixture
async def edge() -> AsyncIterator[Edge]:
    async with Edge() as server:
        yield server


async def jobs_of(client: Client, kind: str) -> list[tuple[str, Any]]:
    """State and last error of each job of a kind."""

    def story(tx: Transaction) -> list[tuple[str, Any]]:
        rows = tx.execute(select(jobs.c.state, jobs.c.error).where(jobs.c.kind == kind)).all()
        return [(row.state, row.error) for row in rows]

    return await client.app.database.read(story)


async def jobs_until(
    client: Client, kind: str, wanted: Callable[[list[tuple[str, Any]]], Any]
) -> list[tuple[str, Any]]:
    """The jobs of a kind once they are as `wanted`."""
    async with asyncio.timeout(30):
        while True:
            found = await jobs_of(client, kind)
            if found and wanted(found):
                return found
            await asyncio.sleep(0.01)


async def settled(client: Client, kind: str = "cdn") -> None:
    """Every job of the kind has ended well."""
    await jobs_until(client, kind, lambda found: all(state == "succeeded" for state, _ in found))


async def through(client: Client, edge: Edge, path: str) -> Reply:
    """As somebody beyond the CDN has it."""
    return await client.get(f"{edge.url}{path}")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["deleted", "private"])
async def test_the_cdn_forgets_every_edition(tmp_path: Path, edge: Edge, kind: str, what: str) -> None:
    edge.tag_header = "surrogate-key" if kind == "fastly" else "cache-tag"
    async with running(tmp_path / "data", **environ(edge, kind)) as client:
        edge.origin = client.base
        first, other = [
            (await client.order(**{**FOX, "seed": seed})).json["output"][0]["id"] for seed in (1, 2)
        ]
        await client.until((await asset(client, first))["generation_id"], "enriched")
        paths = [f"/images/{first}{rest}" for rest in ("", ".webp", "?w=64", "?w=64&format=webp", "/info")]
        for path in [*paths, f"/images/{other}"]:
            assert (await through(client, edge, path)).status == 200
        assert set(edge.kept) == {*paths, f"/images/{other}"}
        if what == "deleted":
            assert (await client.request("DELETE", f"/v1/assets/{first}")).status == 204
        else:
            changed = await client.request("PATCH", f"/v1/assets/{first}", json={"visibility": "private"})
            assert changed.status == 200
        await settled(client)
        assert set(edge.kept) == {f"/images/{other}"}
        again = await through(client, edge, paths[0])
        assert again.status == (410 if what == "deleted" else 200)  # on loopback nobody needs a key
        assert set(edge.kept) == {f"/images/{other}"}


async def asset(client: Client, asset_id: str) -> dict[str, Any]:
    return dict((await client.get(f"/v1/assets/{asset_id}")).json)


async def test_answers_carry_the_tag(tmp_path: Path, edge: Edge) -> None:
    """Of every kind that a CDN may keep; a private picture has none."""
    async with running(tmp_path / "data", **environ(edge)) as client:
        made = (await client.order(**FOX)).json["output"][0]["id"]
        path = f"{client.base}/images/{made}"
        whole = await client.get(path)
        for answer in (
            whole,
            await client.get(path),  # prepared in memory
            await client.get(path, headers={"If-None-Match": whole.headers["ETag"]}),
            await client.get(path, headers={"Range": "bytes=0-9"}),
            await client.get(f"{path}?w=64"),
            await client.get(f"{path}?w=64"),
            await client.get(f"{path}/info"),
            await client.request("HEAD", path),
        ):
            assert answer.headers["Cache-Tag"] == made
        await client.request("PATCH", f"/v1/assets/{made}", json={"visibility": "private"})
        for answer in (await client.get(path), await client.get(f"{path}/info")):
            assert answer.headers["Cache-Control"].startswith("private")
            assert "Cache-Tag" not in answer.headers


async def test_without_a_cdn_there_is_nothing_of_it(tmp_path: Path) -> None:
    async with running(tmp_path / "data") as client:
        made = (await client.order(**FOX)).json["output"][0]["id"]
        for rest in ("", "?w=64", "/info"):
            headers = (await client.get(f"/images/{made}{rest}")).headers
            assert not {"Cache-Tag", "Surrogate-Key"} & headers.keys()
        await client.request("PATCH", f"/v1/assets/{made}", json={"visibility": "private"})
        await client.request("DELETE", f"/v1/assets/{made}")
        assert await jobs_of(client, "cdn") == []


async def test_what_makes_no_difference_is_not_told(tmp_path: Path, edge: Edge) -> None:
    async with running(tmp_path / "data", **environ(edge)) as client:
        made = (await client.order(**FOX, visibility="private")).json["output"][0]["id"]
        for visibility in ("private", "public", "unlisted"):
            path = f"/v1/assets/{made}"
            assert (await client.request("PATCH", path, json={"visibility": visibility})).status == 200
        assert await jobs_of(client, "cdn") == []


async def test_a_cdn_that_is_away_is_told_later(tmp_path: Path, edge: Edge) -> None:
    """By another process, if need be; meanwhile the job says why."""
    folder = tmp_path / "data"
    async with running(folder, **environ(edge)) as client:
        edge.origin = client.base
        made = (await client.order(**FOX)).json["output"][0]["id"]
        await through(client, edge, f"/images/{made}")
        edge.refuse(503, times=-1)
        assert (await client.request("DELETE", f"/v1/assets/{made}")).status == 204
        ((_, waiting),) = await jobs_until(client, "cdn", lambda found: found[0][1])
        assert waiting["code"] == "cdn_unavailable"
        assert "CDN cloudflare answers 503" in waiting["detail"]
        assert edge.kept
    edge.times = 0
    async with running(folder, **environ(edge)) as client:
        await make_due(client, "cdn")
        await settled(client)
        assert not edge.kept


@pytest.mark.slow
async def test_what_was_given_up_can_be_begun_anew(tmp_path: Path, edge: Edge) -> None:
    """After days; here the job's starts are set to the last."""
    async with running(tmp_path / "data", **environ(edge)) as client:
        edge.origin = client.base
        made = (await client.order(**FOX)).json["output"][0]["id"]
        await through(client, edge, f"/images/{made}")
        edge.refuse(503, times=-1)
        await client.request("DELETE", f"/v1/assets/{made}")
        await jobs_until(client, "cdn", lambda found: found[0][1])
        last = update(jobs).where(jobs.c.kind == "cdn").values(starts=jobs.c.max_starts)
        await client.app.database.write(lambda tx: tx.execute(last) and None)
        await make_due(client, "cdn")
        await jobs_until(client, "cdn", lambda found: found[0][0] == "failed")
        edge.times = 0
        app = client.app
        revive = Revive(app.database, app.engine, app.stores, app.spool, 1)
        (given_up,) = [each async for each in revive.failed(None, [made])]
        assert (given_up.kind, given_up.asset_id) == ("cdn", made)
        assert await revive.revive(given_up)
        await settled(client)
        assert not edge.kept


async def test_a_cdn_that_is_there_no_more(tmp_path: Path, edge: Edge) -> None:
    folder = tmp_path / "data"
    async with running(folder, **environ(edge)) as client:
        made = (await client.order(**FOX)).json["output"][0]["id"]
        edge.refuse(403, times=-1)
        await client.request("DELETE", f"/v1/assets/{made}")
        ((_, waiting),) = await jobs_until(client, "cdn", lambda found: found[0][1])
        assert waiting["code"] == "cdn_misconfigured"
    async with running(folder) as client:
        await make_due(client, "cdn")
        await settled(client)


async def test_many_deletions_are_few_calls(tmp_path: Path, edge: Edge) -> None:
    async with running(tmp_path / "data", **environ(edge)) as client:
        made = [(await client.order(**{**FOX, "seed": seed})).json["output"][0]["id"] for seed in range(12)]
        await asyncio.gather(*(client.request("DELETE", f"/v1/assets/{each}") for each in made))
        await settled(client)
        told = [tag for call in edge.calls for tag in call.json["tags"]]
        assert sorted(told) == sorted(made)
        assert len(edge.calls) < len(made)


async def test_what_is_removed_from_a_store_is_forgotten_by_its_url(
    tmp_path: Path, edge: Edge, s3_server: Seaweed
) -> None:
    public = {"FERROTYPE_S3_PUBLIC_URL": "https://cdn.example/p", "FERROTYPE_CDN_HOSTS": "cdn.example"}
    async with running(tmp_path / "data", **bucket(s3_server), **environ(edge, **public)) as client:
        generation = (await client.order(**FOX)).json
        await client.until(generation["id"], "stored")
        (made,) = generation["output"]
        (key,) = await s3_server.keys()
        assert (await client.request("DELETE", f"/v1/assets/{made['id']}?purge=true")).status == 204
        await settled(client, "purge")
        await settled(client)
        assert await s3_server.keys() == []
        files = [call.json["files"] for call in edge.calls if "files" in call.json]
        assert files == [[f"https://cdn.example/p/{key}"]]


@pytest.mark.parametrize("kind", KINDS)
async def test_doctor(edge: Edge, kind: str) -> None:
    (found,) = await CHECKS["cdn"](load_settings(environ(edge, kind)))
    assert (found.mark, found.detail) == ("ok", f"{kind} takes purges")
    edge.refuse(403)
    (found,) = await CHECKS["cdn"](load_settings(environ(edge, kind)))
    assert found.mark == "fail"
    assert f"The CDN {kind} refuses us (403)" in found.detail
    assert "docs/CDN.md" in found.mend
    assert TOKEN not in found.detail
    assert await CHECKS["cdn"](load_settings({})) == []
