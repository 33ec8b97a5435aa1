"""Cloudinary's own SDK. Arguments: the simulator's address, cloud, key, secret, algorithm, a picture, a large
picture. The address of the delivery network is the simulator's as well.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import cloudinary
import cloudinary.api
import cloudinary.exceptions
import cloudinary.uploader
import cloudinary.utils

BASE, CLOUD, KEY, SECRET, ALGORITHM, PICTURE, LARGE = sys.argv[1:]
cloudinary.config(
    cloud_name=CLOUD,
    api_key=KEY,
    api_secret=SECRET,
    upload_prefix=BASE,
    signature_algorithm=ALGORITHM,
    secure=True,
)
told: dict[str, Any] = {}


def error_of(call: Any, *args: Any, **options: Any) -> list[str]:
    """Class and words of the SDK's exception."""
    try:
        call(*args, **options)
    except cloudinary.exceptions.Error as error:
        return [type(error).__name__, str(error)]
    raise AssertionError("no error")


def delivered(name: str, **options: Any) -> bytes | int:
    """What the SDK's URL leads to: the bytes, or the status of an error."""
    url, _ = cloudinary.utils.cloudinary_url(name, **options)
    url = url.replace("https://res.cloudinary.com", BASE)
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        return error.code


data = Path(PICTURE).read_bytes()

ping = cloudinary.api.ping()
told["ping"] = [
    ping["status"],
    ping.rate_limit_allowed,
    ping.rate_limit_remaining,
    bool(ping.rate_limit_reset_at),
]

made = cloudinary.uploader.upload(
    PICTURE,
    public_id="a/b/picture",
    overwrite=True,
    invalidate=True,
    tags=["one", "two & three"],
    asset_folder="shown",
    eager=[{"width": 40, "crop": "fit"}],
)
told["upload"] = {
    name: made[name] for name in ("public_id", "format", "width", "height", "bytes", "etag", "tags")
}
told["folder"] = [made["asset_folder"], made["original_filename"], made["type"], made["resource_type"]]
told["eager"] = [each["transformation"] for each in made["eager"]]
told["signed"] = cloudinary.utils.verify_api_response_signature(
    made["public_id"], made["version"], made["signature"], algorithm="sha1"
)
told["kept"] = cloudinary.uploader.upload(PICTURE, public_id="a/b/picture", overwrite=False)["existing"]
told["same"] = delivered("a/b/picture") == data == delivered("a/b/picture.png")
told["by url"] = urllib.request.urlopen(made["secure_url"], timeout=20).read() == data
details = cloudinary.api.resource("a/b/picture")
told["details"] = [details["bytes"], details["etag"], details["version"] == made["version"]]
told["named"] = len(cloudinary.uploader.upload(PICTURE)["public_id"])

private = cloudinary.uploader.upload(PICTURE, public_id="closed", type="private")
told["private"] = [
    delivered("closed", type="private", sign_url=True) == data,
    delivered("closed.png", type="private", sign_url=True, long_url_signature=True) == data,
    delivered("closed", type="private"),
    delivered("closed"),
]

large = cloudinary.uploader.upload_large(LARGE, resource_type="image", chunk_size=6_000_000)
told["large"] = [large["bytes"], large["etag"], delivered(large["public_id"]) == Path(LARGE).read_bytes()]
told["small chunks"] = error_of(
    cloudinary.uploader.upload_large, LARGE, resource_type="image", chunk_size=1_000_000
)

for number in range(3):
    cloudinary.uploader.upload(
        PICTURE, public_id=f"list/{number}", tags=["one", "two"], context={"alt": "A fox | a hare", "n": "1"}
    )
wanted = {"type": "upload", "prefix": "list/", "max_results": 2, "tags": True, "context": True}
first = cloudinary.api.resources(**wanted)
second = cloudinary.api.resources(**wanted, next_cursor=first["next_cursor"])
listed = [*first["resources"], *second["resources"]]
told["listed"] = {
    "pages": [len(first["resources"]), len(second["resources"]), "next_cursor" in second],
    "names": sorted(each["public_id"] for each in listed),
    "facts": [listed[0][name] for name in ("bytes", "format", "tags", "context")],
    "by url": urllib.request.urlopen(listed[0]["secure_url"], timeout=20).read() == data,
    "remaining": first.rate_limit_remaining is not None,
    "bare": sorted(set(cloudinary.api.resources(max_results=500)["resources"][0]) & {"tags", "context"}),
    "all": len(cloudinary.api.resources(max_results=500)["resources"]),
}

told["destroyed"] = [
    cloudinary.uploader.destroy("a/b/picture")["result"],
    cloudinary.uploader.destroy("a/b/picture", invalidate=False)["result"],
]
told["still cached"] = delivered("a/b/picture") == data
cloudinary.uploader.destroy("a/b/picture", invalidate=True)
told["gone"] = delivered("a/b/picture")
told["errors"] = {
    "cursor": error_of(cloudinary.api.resources, next_cursor="nothing"),
    "too many": error_of(cloudinary.api.resources, max_results=501),
    "resource": error_of(cloudinary.api.resource, "a/b/picture"),
    "secret": error_of(cloudinary.uploader.upload, PICTURE, api_secret="wrong")[0],
    "admin": error_of(cloudinary.api.ping, api_secret="wrong"),
    "key": error_of(cloudinary.uploader.upload, PICTURE, api_key="99"),
    "cloud": error_of(cloudinary.uploader.upload, PICTURE, cloud_name="other"),
    "unsigned": error_of(cloudinary.uploader.upload, PICTURE, unsigned=True),
    "name": error_of(cloudinary.uploader.upload, PICTURE, public_id="a?b"),
    "picture": error_of(cloudinary.uploader.upload, "data:image/png;base64,QUJD"),
}
print(json.dumps(told))
