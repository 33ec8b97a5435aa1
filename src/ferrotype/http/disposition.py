"""`Content-Disposition`: how a file is called that is saved (RFC 6266)."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import quote

from ferrotype.domain.media import EXTENSIONS, extension
from ferrotype.services.download_names import safe_stem

#: What RFC 8187 lets stand as it is, beside letters and digits.
PLAIN: Final = "!#$&+-.^_`|~"
#: Extensions that a wish may have; the file gets that of its bytes.
KNOWN: Final = frozenset({*EXTENSIONS.values(), "apng", "jpeg", "jfif", "tiff", "svg"})


def content_disposition(how: Literal["inline", "attachment"], name: str) -> str:
    """The value of the header: in ASCII for old clients, in full by RFC 8187 where that is not enough."""
    plain = "".join(char if char.isascii() and char not in '"\\%' else "_" for char in name)
    value = f'{how}; filename="{plain}"'
    return value if plain == name else f"{value}; filename*=UTF-8''{quote(name, safe=PLAIN)}"


def picture_disposition(download: str | None, asset_id: str, content_type: str) -> tuple[bytes, bytes]:
    """The header of a picture that is saved as `download`, which may be empty; of one that is shown where it
    is None."""
    name = picture_name(download or "", asset_id, content_type)
    how: Literal["inline", "attachment"] = "inline" if download is None else "attachment"
    return b"content-disposition", content_disposition(how, name).encode()


def picture_name(wish: str, otherwise: str, content_type: str) -> str:
    """The file name of a picture: the wish as far as every system takes it, else `otherwise`."""
    stem = safe_stem(wish)
    head, dot, tail = stem.rpartition(".")
    if dot and tail.lower() in KNOWN:
        stem = safe_stem(head)
    return f"{stem or otherwise}.{extension(content_type)}"
