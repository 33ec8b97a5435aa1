"""Bad input: a clear problem with the right status, no credit moved, no job made, nothing written."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
import pyvips

from tests.flows.harness import Client, running

#: Of the right form, and of nothing that exists.
ID = "01890a5d-ac96-774b-bcce-b302099a8057"

ORDERS: list[tuple[str, dict[str, Any], int, str, str | None]] = [
    ("unknown model", {"prompt": "a fox", "model": "no/such"}, 422, "unknown_model", "model"),
    ("unconfigured model", {"prompt": "a fox", "model": "comfyui/txt2img"}, 503, "no_deployment", "model"),
    ("unknown field", {"prompt": "a fox", "steps": 3}, 422, "invalid_field", "steps"),
    ("empty prompt", {"prompt": ""}, 422, "invalid_field", "prompt"),
    ("blank prompt", {"prompt": " \n\t"}, 422, "invalid_field", "prompt"),
    ("no prompt", {}, 422, "invalid_field", "prompt"),
    ("long prompt", {"prompt": "x" * 50_000}, 422, "invalid_field", "prompt"),
    ("prompt of another type", {"prompt": 5}, 422, "invalid_field", "prompt"),
    ("NUL in the prompt", {"prompt": "a\x00b"}, 422, "invalid_field", "prompt"),
    ("no pictures", {"prompt": "a fox", "num_images": 0}, 422, "invalid_field", "num_images"),
    ("eleven pictures", {"prompt": "a fox", "num_images": 11}, 422, "invalid_field", "num_images"),
    ("one side", {"prompt": "a fox", "width": 512}, 422, "invalid_field", "height"),
    ("impossible size", {"prompt": "a fox", "width": -1, "height": 512}, 422, "invalid_field", "width"),
    ("too large", {"prompt": "a fox", "width": 4096, "height": 512}, 422, "unsupported_by_model", "width"),
    ("too small", {"prompt": "a fox", "width": 512, "height": 64}, 422, "unsupported_by_model", "height"),
    (
        "size and ratio",
        {"prompt": "a fox", "width": 512, "height": 512, "aspect_ratio": "1:1"},
        422,
        "invalid_field",
        "aspect_ratio",
    ),
    (
        "unknown ratio",
        {"prompt": "a fox", "aspect_ratio": "7:5"},
        422,
        "unsupported_by_model",
        "aspect_ratio",
    ),
    ("no ratio", {"prompt": "a fox", "aspect_ratio": "wide"}, 422, "invalid_field", "aspect_ratio"),
    ("unknown style", {"prompt": "a fox", "style": "cubist"}, 422, "invalid_field", "style"),
    ("unknown operation", {"prompt": "a fox", "operation": "sing"}, 422, "unsupported_by_model", "operation"),
    ("unknown format", {"prompt": "a fox", "format": "bmp"}, 422, "invalid_field", "format"),
    ("negative seed", {"prompt": "a fox", "seed": -1}, 422, "invalid_field", "seed"),
    (
        "unknown parameter",
        {"prompt": "a fox", "params": {"steps": 3}},
        422,
        "unsupported_by_model",
        "params.steps",
    ),
    (
        "a picture for a model that takes none",
        {"prompt": "a fox", "image": "x"},
        422,
        "unsupported_by_model",
        "image",
    ),
    (
        "large metadata",
        {"prompt": "a fox", "metadata": {"x": "y" * 20_000}},
        422,
        "invalid_field",
        "metadata",
    ),
]


@pytest.mark.parametrize(("_name", "body", "status", "code", "field"), ORDERS, ids=[row[0] for row in ORDERS])
async def test_orders(
    client: Client, _name: str, body: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    rows, balance = await client.rows(), await client.balance()
    reply = await client.order(**body)
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert (reply.status, reply.json["code"], reply.json.get("field")) == (status, code, field), reply.body
    assert reply.json["status"] == status
    assert reply.json["detail"]
    assert (await client.rows(), await client.balance()) == (rows, balance)


@pytest.mark.parametrize("name", ["width", "num_images", "prompt"])
async def test_the_limit_is_named(client: Client, name: str) -> None:
    bad = {
        "width": {"width": 4096, "height": 512},
        "num_images": {"num_images": 11},
        "prompt": {"prompt": "x" * 50_000},
    }
    reply = await client.order(**{"prompt": "a fox", **bad[name]})
    assert reply.json["limit"] == {"width": [256, 2048], "num_images": 10, "prompt": 10_000}[name]


async def test_bodies_that_cannot_be_read(client: Client) -> None:
    json_type = {"Content-Type": "application/json"}
    broken = await client.request("POST", "/v1/generations", data=b'{"prompt": ', headers=json_type)
    assert (broken.status, broken.json["code"]) == (400, "malformed_request")
    listed = await client.request("POST", "/v1/generations", data=b"[1]", headers=json_type)
    assert (listed.status, listed.json["code"]) == (422, "invalid_field")
    wrong = await client.request("POST", "/v1/generations", data=b"\xff\xfe", headers=json_type)
    assert wrong.status == 400
    large = await client.request("POST", "/v1/generations", data=b" " * 51_000_000, headers=json_type)
    assert (large.status, large.json["code"], large.json["limit"]) == (413, "too_large", 50_331_648)
    assert (await client.request("DELETE", "/v1/generations")).status == 405
    assert (await client.get("/v1/nothing")).json["code"] == "not_found"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"prompt": "a \\ud800 fox"}', "prompt"),
        (b'{"prompt": "a fox", "metadata": {"k": "\\ud800"}}', "metadata"),
        (b'{"prompt": "a fox", "tags": ["\\udfff"]}', "tags"),
        (b'{"prompt": "a fox", "\\ud800": 1}', "body"),
    ],
)
async def test_text_that_no_reply_could_repeat(client: Client, body: bytes, field: str) -> None:
    rows = await client.rows()
    reply = await client.request(
        "POST", "/v1/generations", data=body, headers={"Content-Type": "application/json"}
    )
    assert reply.status == 422, reply.body
    assert reply.json["field"].startswith(field)
    assert await client.rows() == rows


async def test_bad_idempotency_keys(client: Client) -> None:
    for key in ("with space", "x" * 256):
        reply = await client.order(headers={"Idempotency-Key": key}, prompt="a fox")
        assert (reply.status, reply.json["field"]) == (422, "Idempotency-Key")


async def test_too_few_credits(client: Client) -> None:
    from ferrotype.db import ledger
    from ferrotype.domain.ledger import EntryKind

    app = client.app
    available = (await client.balance())[0]
    spend = [(EntryKind.HOLD, "hold:test"), (EntryKind.SETTLE, "settle:test")]
    for kind, key in spend:
        await app.database.write(
            lambda tx, kind=kind, key=key: ledger.write(
                tx, app.account_id, kind, available - 2, key, app.clock.now()
            )
        )
    rows = await client.rows()
    reply = await client.order(prompt="a fox", num_images=3)
    assert (reply.status, reply.json["code"], reply.json["limit"]) == (402, "insufficient_credits", 2)
    assert await client.rows() == rows
    assert (await client.order(prompt="a fox", width=256, height=256)).status == 201


async def test_a_spool_without_room_refuses_the_order_before_anything_is_made(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_SPOOL_MAX_BYTES="1048576") as client:
        rows = await client.rows()
        reply = await client.order(prompt="a fox")
        assert (reply.status, reply.json["code"], reply.json["limit"]) == (503, "overloaded", 1_048_576)
        assert int(reply.headers["Retry-After"]) > 0
        assert await client.rows() == rows


def png(width: int, height: int) -> bytes:
    """A PNG whose header promises that size and whose data is nearly nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def picture(suffix: str = ".png") -> bytes:
    noise = pyvips.Image.gaussnoise(320, 200, mean=128, sigma=60, seed=1).cast("uchar")
    return bytes(noise.bandjoin([noise, noise]).copy(interpretation="srgb").write_to_buffer(suffix))


UPLOADS: list[tuple[str, bytes, int, str]] = [
    ("text", b"hello, this is not a picture at all", 415, "unsupported_media"),
    ("html", b"<!doctype html><script>alert(1)</script>", 415, "unsupported_media"),
    ("zip", b"PK\x03\x04" + bytes(100), 415, "unsupported_media"),
    ("svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', 415, "unsupported_media"),
    (
        "svg with a prolog",
        b'<?xml version="1.0"?>\n<!-- x --><svg xmlns="http://www.w3.org/2000/svg"/>',
        415,
        "unsupported_media",
    ),
    ("empty", b"", 422, "invalid_field"),
    ("truncated png", picture()[: len(picture()) // 2], 422, "invalid_field"),
    ("truncated jpeg", picture(".jpg")[: len(picture(".jpg")) // 2], 422, "invalid_field"),
    ("truncated webp", picture(".webp")[: len(picture(".webp")) // 2], 422, "invalid_field"),
    ("bomb", png(100_000, 100_000), 422, "invalid_field"),
    ("header only", png(64, 64)[:20], 422, "invalid_field"),
]


@pytest.mark.parametrize(("_name", "data", "status", "code"), UPLOADS, ids=[row[0] for row in UPLOADS])
async def test_uploads(client: Client, _name: str, data: bytes, status: int, code: str) -> None:
    rows = await client.rows()
    reply = await client.request("POST", "/v1/assets", data=data, headers={"Content-Type": "image/png"})
    assert (reply.status, reply.json["code"], reply.json["field"]) == (status, code, "file"), reply.body
    assert await client.rows() == rows
    assert client.app.spool.usage.bytes == 0


async def test_a_large_upload_is_refused_with_its_limit(client: Client) -> None:
    limit = client.app.settings.imaging.max_upload_bytes
    reply = await client.request("POST", "/v1/assets", data=bytes(limit + 1))
    assert (reply.status, reply.json["code"], reply.json["limit"]) == (413, "too_large", limit)


@pytest.mark.parametrize(
    "path",
    [
        "x",
        "../../etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "%00",
        f"{ID}/..",
        "a" * 5_000,
        ID.upper(),
    ],
)
async def test_path_tricks_in_asset_ids(client: Client, path: str) -> None:
    for prefix in ("/images/", "/v1/assets/", "/v1/generations/"):
        reply = await client.get(f"{client.base}{prefix}{path}")
        assert reply.status == 404, (prefix, reply.status, reply.body)
        assert reply.json["code"] == "not_found"


@pytest.mark.parametrize(
    "reference",
    [
        "nonsense",
        "ftp://example.org/x.png",
        "data:image/png;base64,!!!",
        "data:image/png",
        "file:///etc/passwd",
    ],
)
async def test_references_that_lead_nowhere(edit_client: Client, reference: str) -> None:
    rows = await edit_client.rows()
    reply = await edit_client.order(prompt="a fox", operation="edit", image=reference)
    assert (reply.status, reply.json["field"]) == (422, "image"), reply.body
    assert await edit_client.rows() == rows


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/x.png", "http://169.254.169.254/latest", "http://[::1]/x", "http://10.0.0.1/x.png"],
)
async def test_private_addresses_are_not_fetched(edit_client: Client, url: str) -> None:
    rows = await edit_client.rows()
    reply = await edit_client.order(prompt="a fox", operation="edit", image=url)
    assert reply.status in (403, 422), reply.body
    assert reply.json["field"] == "image"
    assert await edit_client.rows() == rows


async def test_a_bad_picture_among_good_ones_leaves_nothing(edit_client: Client) -> None:
    rows = await edit_client.rows()
    good = "data:image/png;base64," + base64.b64encode(picture()).decode()
    bad = "data:image/png;base64," + base64.b64encode(b"not a picture").decode()
    reply = await edit_client.order(
        prompt="x", operation="edit", model="comfyui/inpaint", image=good, mask=bad
    )
    assert (reply.status, reply.json["field"]) == (415, "mask"), reply.body
    assert await edit_client.rows() == rows
