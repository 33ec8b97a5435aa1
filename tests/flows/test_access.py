"""Who may come in: keys, names and origins."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.flows.commands import serving
from tests.flows.harness import Client, running

KEY = "correct-horse-battery"
SMALL = {"prompt": "a fox", "width": 256, "height": 256, "seed": 7}
BEHIND = (
    "/v1/generations",
    "/v1/models",
    "/v1/styles",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/nothing",
)


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Client]:
    """A server with a key; its client sends it unless a request says otherwise."""
    async with running(tmp_path / "data", FERROTYPE_API_KEY=KEY) as client:
        yield client


@pytest.mark.parametrize(
    "given",
    [
        "",
        KEY,
        f"Basic {KEY}",
        "Bearer",
        "Bearer wrong",
        f"Bearer {KEY}x",
        f"Bearer {KEY[:-1]}",
        "Bearer \xe9",
    ],
)
async def test_without_the_key_nothing_but_health_and_pictures(keyed: Client, given: str) -> None:
    headers = {"Authorization": given}
    for path in BEHIND:
        reply = await keyed.get(path, headers=headers)
        assert (reply.status, reply.json["code"]) == (401, "unauthorized"), path
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert reply.headers["Content-Type"] == "application/problem+json"
    reply = await keyed.order(headers=headers, **SMALL)
    assert reply.status == 401
    for path in ("/healthz", "/readyz"):
        assert (await keyed.get(path, headers=headers)).status == 200
    assert (await keyed.rows())["generations"] == 0


async def test_with_the_key_everything(keyed: Client) -> None:
    for path in BEHIND[:6]:
        assert (await keyed.get(path)).status == 200, path
    assert (await keyed.get("/v1/models", headers={"Authorization": f"bearer  {KEY} "})).status == 200
    # With a key the Host and the Origin do not matter: a page that knows it may use it.
    foreign = {"Host": "pictures.example", "Origin": "https://evil.example"}
    reply = await keyed.get("/v1/models", headers=foreign)
    assert reply.status == 200
    generation = (await keyed.order(**SMALL)).json
    (asset,) = generation["output"]
    picture = await keyed.get(asset["url"], headers={"Authorization": ""})
    assert picture.status == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2", "[::1]", "own.example"])
async def test_our_own_names_on_loopback(tmp_path: Path, host: str) -> None:
    async with running(tmp_path / "data", FERROTYPE_PUBLIC_URL="https://own.example/pictures") as client:
        port = client.base.rpartition(":")[2]
        for name in (host, f"{host}:{port}"):
            assert (await client.get("/v1/models", headers={"Host": name})).status == 200
        for origin in (f"http://{host}:{port}", f"https://{host}"):
            assert (await client.get("/v1/models", headers={"Origin": origin})).status == 200


async def test_foreign_names_on_loopback(client: Client) -> None:
    picture = (await client.order(**SMALL)).json["output"][0]["id"]
    before = await client.rows()
    for host in (
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "[::1",
        "[::2]",
        "@",
    ):
        reply = await client.get("/v1/models", headers={"Host": host})
        assert (reply.status, reply.json["field"]) == (403, "Host"), host
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", ""):
        reply = await client.order(headers={"Origin": origin}, **SMALL)
        assert (reply.status, reply.json["field"]) == (403, "Origin"), origin
    assert await client.rows() == before
    # A picture's URL is its own permission, also behind a CDN with a name of its own.
    foreign = {"Host": "cdn.example", "Origin": "https://page.example"}
    reply = await client.get(f"/images/{picture}", headers=foreign)
    assert (reply.status, reply.headers["Access-Control-Allow-Origin"]) == (200, "*")
    preflight = await client.request(
        "OPTIONS", f"/images/{picture}", headers={**foreign, "Access-Control-Request-Method": "GET"}
    )
    assert preflight.status in (200, 204)
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("host", ["localhost", "::1"])
async def test_every_spelling_of_loopback_can_be_listened_on(tmp_path: Path, host: str) -> None:
    async with running(tmp_path / "data", FERROTYPE_HOST=host) as client:
        assert (await client.get("/v1/models")).status == 200


async def test_the_network_with_a_key(tmp_path: Path) -> None:
    async with serving(tmp_path, FERROTYPE_HOST="0.0.0.0", FERROTYPE_API_KEY=KEY) as (server, http):
        async with http.get(f"{server.base}/v1/models") as reply:
            assert reply.status == 401
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.get(f"{server.base}/v1/models", headers=headers) as reply:
            assert reply.status == 200
