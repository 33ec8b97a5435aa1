"""What only the real server can show: a broken picture never looks whole to a client."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ferrotype.db import assets
from ferrotype.domain.asset import Asset, Origin
from ferrotype.domain.ids import new_id
from ferrotype.domain.states import AssetState
from tests.delivery.conftest import World
from tests.delivery.real_server import BODY, FOLDER
from tests.ports import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port(world: World, tmp_path: Path) -> Iterator[int]:
    """A Granian on the world's database; the first fetch decides what arrives."""
    number = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--port", str(number)]
    server = subprocess.Popen(
        [*command, "--working-dir", str(ROOT), "tests.delivery.real_server:app"],
        env={**os.environ, FOLDER: str(tmp_path)},
        cwd=ROOT,
        stderr=subprocess.STDOUT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        for line in server.stdout:
            if "Started worker" in line:
                break
        else:
            pytest.fail("Granian did not start")
        yield number
    finally:
        server.terminate()
        server.communicate(timeout=30)


async def arriving(world: World, behaviour: str) -> str:
    asset = Asset(
        id=new_id(),
        account_id=world.account_id,
        state=AssetState.ARRIVING,
        origin=Origin(provider="test", url=behaviour),
        created_at=world.clock.now(),
    )
    await world.database.write(lambda tx: assets.add(tx, asset))
    return asset.id


def get(
    port: int, url: str, *, method: str = "GET", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, url, headers=headers or {})
        response = connection.getresponse()
        return response, response.read()


@pytest.mark.parametrize("behaviour", ["announced-broken", "silent-broken"])
async def test_a_break_after_the_first_byte_is_an_error_to_the_client(
    world: World, port: int, behaviour: str
) -> None:
    asset_id = await arriving(world, behaviour)
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", f"/images/{asset_id}")
        response = connection.getresponse()
        assert response.status == 200
        assert response.read(1_000) == BODY[:1_000]
        get(port, "/break")
        with pytest.raises(http.client.IncompleteRead):
            response.read()


async def test_http_1_0_is_not_deceived_either(world: World, port: int) -> None:
    asset_id = await arriving(world, "silent-broken")
    with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as connection:
        connection.sendall(f"GET /images/{asset_id} HTTP/1.0\r\n\r\n".encode())
        get(port, "/break")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 502 ")
    assert b"origin_unavailable" in body


@pytest.mark.parametrize("behaviour", ["announced-whole", "silent-whole"])
async def test_a_whole_picture_arrives_and_is_then_served_from_disk(
    world: World, port: int, behaviour: str
) -> None:
    asset_id = await arriving(world, behaviour)
    url = f"/images/{asset_id}.png"
    response, body = get(port, url)
    assert (response.status, body) == (200, BODY)
    # The client may be faster than the spool's fsync; either way the bytes are the same.
    for _ in range(3):
        response, body = get(port, url)
        assert (response.status, body) == (200, BODY)
        assert response.headers["content-type"] == "image/png"
    response, body = get(port, url, headers={"Range": "bytes=100000-199999"})
    assert response.status in (200, 206)
    assert body == (BODY if response.status == 200 else BODY[100_000:200_000])
    response, body = get(port, url, method="HEAD")
    assert (response.status, body) == (200, b"")
    response, body = get(port, url, headers={"If-None-Match": response.headers["etag"]})
    assert (response.status, body) == (304, b"")


@pytest.mark.parametrize("trick", ["/images/{id}%2epng", "/images/../images/{id}", "/images/{id}%00"])
async def test_path_tricks_find_nothing(world: World, port: int, trick: str) -> None:
    asset_id = await arriving(world, "announced-whole")
    response, _ = get(port, trick.replace("{id}", asset_id))
    assert response.status == 404
    assert response.headers["content-type"] == "application/problem+json"
