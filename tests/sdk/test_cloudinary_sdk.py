"""Cloudinary's official SDK drives the simulator: what it does not understand would be wrong."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Literal

import pytest

from ferrotype.sim import pixels
from ferrotype.sim.cloudinary import CloudinaryScript, CloudinarySim
from tests.sdk.venvs import drive

KEY, SECRET = "123456789012345", "abcd-efgh"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_assets(tmp_path: Path, algorithm: Literal["sha1", "sha256"]) -> None:
    picture, large = tmp_path / "picture.png", tmp_path / "large.png"
    picture.write_bytes(pixels.png(pixels.paint(b"a fox", 64, 48)))
    # Decoders ignore what follows the end of a picture.
    large.write_bytes(picture.read_bytes() + os.urandom(13_000_000))
    etags = {path: hashlib.md5(path.read_bytes()).hexdigest() for path in (picture, large)}
    script = CloudinaryScript(key=KEY, secret=SECRET, algorithm=algorithm, max_bytes=20_000_000)
    async with CloudinarySim(script) as sim:
        arguments = (sim.url, script.cloud, KEY, SECRET, algorithm, str(picture), str(large))
        told = await asyncio.to_thread(drive, "cloudinary", "cloudinary_assets.py", *arguments)
        chunks = [
            entry.headers["content-range"]
            for entry in sim.journal.entries
            if "content-range" in entry.headers
        ]
    size = picture.stat().st_size
    assert told["ping"] == ["ok", 500, 499, True]
    assert told["upload"] == {
        "public_id": "a/b/picture",
        "format": "png",
        "width": 64,
        "height": 48,
        "bytes": size,
        "etag": etags[picture],
        "tags": ["one", "two & three"],
    }
    assert told["folder"] == ["shown", "picture", "upload", "image"]
    assert told["eager"] == ["c_fit,w_40"]
    assert told["signed"]
    assert told["kept"]
    assert told["same"]
    assert told["by url"]
    assert told["details"] == [size, etags[picture], True]
    assert told["named"] == 20
    assert told["private"] == [True, True, 401, 404]
    assert told["large"] == [large.stat().st_size, etags[large], True]
    assert [text.partition("/")[0] for text in chunks[:3]] == [
        "bytes 0-5999999",
        "bytes 6000000-11999999",
        f"bytes 12000000-{large.stat().st_size - 1}",
    ]
    assert told["small chunks"] == ["BadRequest", "All parts except EOF-chunk must be larger than 5mb"]
    assert told["listed"] == {
        "pages": [2, 1, False],
        "names": ["list/0", "list/1", "list/2"],
        "facts": [size, "png", ["one", "two"], {"custom": {"alt": "A fox | a hare", "n": "1"}}],
        "by url": True,
        "remaining": True,
        "bare": [],
        "all": 7,
    }
    assert told["destroyed"] == ["ok", "not found"]
    assert told["still cached"]
    assert told["gone"] == 404
    assert told["errors"] == {
        "cursor": ["BadRequest", "Error 400 - Invalid value for parameter next_cursor"],
        "too many": ["BadRequest", "Error 400 - max_results must be between 1 and 500"],
        "resource": ["NotFound", "Error 404 - Resource not found - a/b/picture"],
        "secret": "AuthorizationRequired",
        "admin": ["AuthorizationRequired", "Error 401 - api_secret mismatch"],
        "key": ["AuthorizationRequired", "Unknown API key 99"],
        "cloud": ["AuthorizationRequired", "Invalid cloud_name other"],
        "unsigned": ["BadRequest", "Upload preset must be specified when using unsigned upload"],
        "name": ["BadRequest", "public_id (a?b) is invalid"],
        "picture": ["BadRequest", "Invalid image file"],
    }
