"""The Upload API: signed calls, uploads whole and in chunks, destroy."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from ferrotype.domain.clock import Clock
from ferrotype.sim.cloudinary.errors import Refusal, missing
from ferrotype.sim.cloudinary.library import Asset, Library, Name, Partial, checked_public_id, look_at
from ferrotype.sim.cloudinary.script import CloudinaryScript
from ferrotype.sim.cloudinary.signing import HASHES, fits, string_to_sign
from ferrotype.sim.options import take

STALE_SECONDS: Final = 3600
MIN_CHUNK: Final = 5 * 1024 * 1024
RANGE: Final = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
TYPES: Final = ("upload", "private", "authenticated")
COMPONENT: Final = re.compile(r"[a-z]{1,4}_[^,/|]+")
UPGRADE: Final = (
    "Upgrade your plan to enjoy higher limits https://www.cloudinary.com/pricing/upgrades/file-limit"
)


class UploadApi:
    """`script` and `library` are the simulator's."""

    def __init__(self, script: CloudinaryScript, library: Library, clock: Clock) -> None:
        self._script = script
        self._library = library
        self._clock = clock

    def check(self, cloud: str, params: Mapping[str, str], unsigned: str) -> None:
        """Raises Refusal for a call that is not ours; `unsigned` is said of one without a signature."""
        script = self._script
        if cloud != script.cloud:
            raise Refusal(f"Invalid cloud_name {cloud}", 401)
        if not params.get("signature"):
            raise Refusal(unsigned)
        if not params.get("api_key"):
            raise missing("api_key")
        if script.key is not None and params["api_key"] != script.key:
            raise Refusal(f"Unknown API key {params['api_key']}", 401)
        if not params.get("timestamp"):
            raise missing("timestamp")
        text = string_to_sign(params)
        if not fits(text, script.secret, params["signature"], algorithms(script)):
            raise Refusal(f"Invalid Signature {params['signature']}. String to sign - '{text}'.", 401)
        self._check_age(params["timestamp"])

    def upload(
        self, resource_type: str, params: Mapping[str, str], file: Any, headers: Mapping[str, str]
    ) -> tuple[Asset | None, dict[str, Any]]:
        """The asset, None while chunks are due, and what else the answer says."""
        kind = params.get("type", "upload")
        if kind not in TYPES:
            raise Refusal(f"Invalid value {kind} for parameter type")
        filename, data = _bytes_of(file)
        if "Content-Range" in headers:
            partial = self._chunk(params, data, headers)
            if len(partial.data) < partial.total:
                return None, {"done": False, "public_id": partial.public_id, "bytes": len(partial.data)}
            public_id, data = partial.public_id, bytes(partial.data)
            del self._library.partials[headers["X-Unique-Upload-Id"]]
        else:
            self._check_size(len(data))
            public_id = _public_id(params)
        name = (resource_type, kind, public_id)
        old = self._library.assets.get(name)
        if old is not None and not _is_true(params.get("overwrite", "true")):
            return old, {"existing": True}
        asset = self._made(name, params, data, filename)
        self._library.assets[name] = asset
        if _is_true(params.get("invalidate", "")):
            self._library.invalidate(name)
        told: dict[str, Any] = {"overwritten": True} if old is not None else {}
        if asset.eager:
            waits = {"status": "processing"} if _is_true(params.get("eager_async", "")) else {}
            told["eager"] = [{"transformation": each, **waits} for each in asset.eager]
        return asset, told

    def destroy(self, resource_type: str, params: Mapping[str, str]) -> str:
        """What became of it: `ok` or `not found`."""
        if not params.get("public_id"):
            raise missing("public_id")
        name = (resource_type, params.get("type", "upload"), params["public_id"])
        if _is_true(params.get("invalidate", "")):
            self._library.invalidate(name)
        return "not found" if self._library.assets.pop(name, None) is None else "ok"

    def _check_age(self, timestamp: str) -> None:
        try:
            signed = datetime.fromtimestamp(int(timestamp), UTC)
        except (ValueError, OverflowError):
            raise Refusal(f"Invalid timestamp {timestamp}") from None
        if (self._clock.now() - signed).total_seconds() > STALE_SECONDS:
            reported = f"{signed:%Y-%m-%d %H:%M:%S} +0000"
            raise Refusal(f"Stale request - reported time is {reported} which is more than 1 hour ago")

    def _check_size(self, count: int) -> None:
        limit = self._script.max_bytes
        if count > limit:
            raise Refusal(f"File size too large. Got {count}. Maximum is {limit}. {UPGRADE}")

    def _chunk(self, params: Mapping[str, str], data: bytes, headers: Mapping[str, str]) -> Partial:
        """The upload with this chunk added. The first comes first, the last one last."""
        upload_id, found = headers.get("X-Unique-Upload-Id"), RANGE.fullmatch(headers["Content-Range"])
        if not upload_id:
            raise missing("X-Unique-Upload-Id")
        if found is None:
            raise Refusal("Invalid Content-Range header")
        first, last, total = (int(group) for group in found.groups())
        if last - first + 1 != len(data) or last >= total:
            raise Refusal("Content-Range does not fit the chunk")
        if last + 1 < total and len(data) < MIN_CHUNK:
            raise Refusal("All parts except EOF-chunk must be larger than 5mb")
        partials = self._library.partials
        if first == 0:
            partials[upload_id] = Partial(_public_id(params), total)
        partial = partials.get(upload_id)
        if partial is None or partial.total != total or first != len(partial.data):
            raise Refusal("Chunks do not follow each other")
        if params.get("public_id") not in (None, partial.public_id) and first > 0:
            raise Refusal("Chunks of one upload have one public_id")
        try:
            self._check_size(first + len(data))
        except Refusal:
            del partials[upload_id]
            raise
        partial.data += data
        return partial

    def _made(self, name: Name, params: Mapping[str, str], data: bytes, filename: str) -> Asset:
        eager = [each for each in params.get("eager", "").split("|") if each]
        for each in eager:
            for component in re.split(r"[,/]", each):
                if not COMPONENT.fullmatch(component):
                    raise Refusal(f"Invalid transformation component - {component}")
        looks = name[0] == "image" and not self._script.any_bytes
        form, width, height = look_at(data) if looks else ("", None, None)
        damaged, self._script.damaged = take(self._script.damaged)
        now = self._clock.now()
        return Asset(
            name=name,
            data=data[:-1] + bytes([data[-1] ^ 1]) if damaged and data else data,
            format=form,
            width=width,
            height=height,
            version=int(now.timestamp()),
            created_at=now,
            tags=[tag.strip() for tag in params.get("tags", "").split(",") if tag.strip()],
            asset_folder=params.get("asset_folder", ""),
            eager=eager,
            original_filename=filename.rpartition("/")[2].rpartition(".")[0] or filename,
            context=_context(params.get("context", "")),
        )


def algorithms(script: CloudinaryScript) -> tuple[str, ...]:
    """Those that the product environment accepts."""
    return tuple(HASHES) if script.algorithm == "both" else (script.algorithm,)


def _public_id(params: Mapping[str, str]) -> str:
    if params.get("public_id"):
        return checked_public_id(params["public_id"])
    letters = string.ascii_lowercase + string.digits
    return "".join(secrets.choice(letters) for _ in range(20))


def _context(text: str) -> dict[str, str]:
    """`alt=A fox|caption=At night`; a backslash takes the meaning from what follows it."""
    pairs = [re.split(r"(?<!\\)=", each, maxsplit=1) for each in re.split(r"(?<!\\)\|", text) if each]
    return {pair[0]: re.sub(r"\\(.)", r"\1", pair[1]) for pair in pairs if len(pair) == 2}


def _is_true(value: str) -> bool:
    return value.lower() in ("true", "1")


def _bytes_of(file: Any) -> tuple[str, bytes]:
    """Name and bytes of the `file` parameter: a file, or a data URI."""
    if isinstance(file, web.FileField):
        return file.filename, file.file.read()
    if not isinstance(file, str) or not file:
        raise missing("file")
    meta, comma, text = file.partition(",")
    if not (meta.startswith("data:") and meta.endswith(";base64") and comma):
        raise Refusal(f"Error in loading {file[:100]} - ERR_DNS_FAIL 0")
    try:
        return "file", base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal("Invalid image file") from None
