"""What the simulated Cloudinary refuses, besides what its own SDK shows (tests/sdk)."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import pytest

from ferrotype.domain.clock import ManualClock
from ferrotype.sim import SIMULATORS, pixels
from ferrotype.sim.cloudinary import CloudinaryScript, CloudinarySim
from ferrotype.sim.cloudinary.signing import string_to_sign

PNG: Final = pixels.png(pixels.solid(8, 8, (1, 2, 3)))
NOON: Final = datetime(2026, 1, 31, 12, tzinfo=UTC)
STAMP: Final = str(int(NOON.timestamp()))
MIB: Final = 1024 * 1024


@pytest.fixture
async def sim() -> AsyncIterator[CloudinarySim]:
    async with CloudinarySim(CloudinaryScript(max_bytes=30 * MIB), clock=ManualClock(NOON)) as made:
        yield made


def signed(sim: CloudinarySim, **params: str) -> dict[str, str]:
    params = {"timestamp": STAMP, **params}
    text = f"{string_to_sign(params)}{sim.script.secret}"
    key = sim.script.key or ""
    return params | {"api_key": key, "signature": hashlib.sha1(text.encode()).hexdigest()}


async def post(
    sim: CloudinarySim, params: dict[str, str], data: bytes | None = PNG, **headers: str
) -> tuple[int, Any]:
    form = aiohttp.FormData(params)
    if data is not None:
        form.add_field("file", data, filename="a.png")
    url = f"{sim.url}/v1_1/{sim.script.cloud}/image/upload"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session, session.post(url, data=form, headers=sent) as response:
        told = await response.json()
    return response.status, told["error"]["message"] if "error" in told else told


def chunk(first: int, size: int, total: int, upload_id: str = "u") -> dict[str, str]:
    return {"Content_Range": f"bytes {first}-{first + size - 1}/{total}", "X_Unique_Upload_Id": upload_id}


async def test_what_is_signed_is_taken(sim: CloudinarySim) -> None:
    status, told = await post(sim, signed(sim, public_id=" /a/b/ ", tags="one"))
    assert (status, told["public_id"], told["tags"]) == (200, "a/b", ["one"])


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"tags": "slipped in"}, 401, "Invalid Signature"),
        ({"public_id": "another"}, 401, "Invalid Signature"),
        ({"timestamp": ""}, 400, "Missing required parameter - timestamp"),
        ({"timestamp": str(int(STAMP) + 1)}, 401, "Invalid Signature"),
        ({"api_key": ""}, 400, "Missing required parameter - api_key"),
        ({"signature": ""}, 400, "Upload preset must be specified"),
    ],
)
async def test_what_is_not_signed_is_refused(
    sim: CloudinarySim, change: dict[str, str], status: int, message: str
) -> None:
    params = signed(sim, public_id="a") | change
    got, told = await post(sim, params)
    assert (got, str(told)[: len(message)]) == (status, message)
    assert sim.library.assets == {}


async def test_one_parameter_does_not_pass_for_two(sim: CloudinarySim) -> None:
    params = signed(sim, public_id="a&tags=x")
    status, told = await post(sim, params | {"public_id": "a", "tags": "x"})
    assert status == 401
    assert "Invalid Signature" in told


async def test_an_old_signature(sim: CloudinarySim) -> None:
    status, told = await post(sim, signed(sim, timestamp=str(int(STAMP) - 3601)))
    assert status == 400
    assert told == (
        "Stale request - reported time is 2026-01-31 10:59:59 +0000 which is more than 1 hour ago"
    )


async def test_an_upload_without_a_file(sim: CloudinarySim) -> None:
    assert await post(sim, signed(sim, public_id="a"), None) == (400, "Missing required parameter - file")


async def test_chunks_in_order(sim: CloudinarySim) -> None:
    part, total = PNG + bytes(6 * MIB - len(PNG)), 6 * MIB + 10
    params = signed(sim, public_id="a")
    status, told = await post(sim, params, part, **chunk(0, len(part), total))
    assert (status, told["done"], told["public_id"]) == (200, False, "a")
    assert sim.library.assets == {}
    status, told = await post(sim, params, bytes(10), **chunk(len(part), 10, total))
    assert (status, told["bytes"]) == (200, total)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (chunk(6 * MIB, len(PNG), 6 * MIB + len(PNG)), "Chunks do not follow each other"),
        (chunk(0, len(PNG), 6 * MIB), "All parts except EOF-chunk must be larger than 5mb"),
        (chunk(0, len(PNG) + 1, len(PNG) + 1), "Content-Range does not fit the chunk"),
        ({"Content_Range": f"bytes 0-{len(PNG) - 1}/{len(PNG)}"}, "Missing required parameter"),
        ({"Content_Range": "0-10", "X_Unique_Upload_Id": "u"}, "Invalid Content-Range header"),
    ],
)
async def test_chunks_that_do_not_fit(sim: CloudinarySim, headers: dict[str, str], message: str) -> None:
    status, told = await post(sim, signed(sim, public_id="a"), **headers)
    assert status == 400
    assert told.startswith(message)
    assert sim.library.assets == {}


async def test_ranges_of_a_delivery(sim: CloudinarySim) -> None:
    await post(sim, signed(sim, public_id="a"))
    url = f"{sim.base}/image/upload/v1/a"
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Range": "bytes=3-5"}) as response:
            assert (response.status, await response.read()) == (206, PNG[3:6])
            assert response.headers["Content-Range"] == f"bytes 3-5/{len(PNG)}"
        async with session.get(url, headers={"Range": f"bytes={len(PNG)}-"}) as response:
            assert response.status == 416
        async with session.get(f"{url}.jpg") as response:
            assert (await response.read())[:2] == b"\xff\xd8"
        for path in ("w_100,h_20/v1/a", "w_100/a"):
            async with session.get(f"{sim.base}/image/upload/{path}") as response:
                assert response.status == 400
                assert response.headers["X-Cld-Error"] == "Transformations are not simulated"


def test_it_is_made_from_the_command_line() -> None:
    made = SIMULATORS["cloudinary"]({"cloud": "demo", "max_bytes": "123", "any_bytes": "true"})
    assert isinstance(made, CloudinarySim)
    assert (made.script.cloud, made.script.max_bytes, made.script.any_bytes) == ("demo", 123, True)
