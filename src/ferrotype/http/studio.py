"""The studio's files: read once at the start, packed once, answered from memory.

Every file has a URL with the hash of its bytes and may be kept for ever; the page itself is asked for again
each time, which costs a 304. The page names nothing but hashes: one style sheet (all of css/, tokens and base
first) and an import map from `studio/<path>` to the hashed URL, so that modules import each other by names
that never change. Modules that a page surely needs are named for preloading: the browser asks for all of them
at once instead of finding one behind the other.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ferrotype.domain.problems import MethodNotAllowed, NotFound
from ferrotype.http.asgi import Message, Receive, Scope, Send, body, send_problem, start
from ferrotype.http.conditional import none_match
from ferrotype.http.lean import lean

ROOT: Final = "/studio"
ASSETS: Final = f"{ROOT}/assets/"
#: The page that `/studio` shows; any other is `/studio/<name>`.
FIRST_PAGE: Final = "create"
THEMES: Final = ("dark", "light")
#: Set by the studio's own script; it only says how the page looks.
THEME_COOKIE: Final = b"ferrotype_theme="
#: Style sheets that come before the others.
FIRST_STYLES: Final = ("tokens.css", "base.css")
PACKED: Final = frozenset({".js", ".css", ".svg", ".html", ".webmanifest"})
#: Below it packing saves less than its header costs.
MIN_PACKED_BYTES: Final = 256
YEAR: Final = 31_536_000

_IMPORT: Final = re.compile(r"""(?:^|[\s;])(?:import|export)\b[^;'"(]*?['"](studio/[^'"]+)['"]""")
_PLACE: Final = re.compile(r"\{\{([a-z]+)(?::([^}]+))?\}\}")


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, ready to be sent: its status line and headers for a GET, for the packed bytes and for
    304."""

    etag: bytes
    plain: bytes
    packed: bytes | None
    whole: Message
    smaller: Message | None
    unchanged: Message


class Studio:
    """The studio as a raw ASGI application. `folder` holds index.html, css/, js/ and img/."""

    def __init__(self, folder: Path, *, picture_sources: tuple[str, ...] = ()) -> None:
        """`picture_sources`: CSP sources beside this server that pictures may come from (a store or a CDN
        that serves them itself). Raises OSError where a file cannot be read."""
        self._picture_sources = picture_sources
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != "index.html" and not path.name.startswith(".")
        }
        styles = [name for name in files if name.startswith("css/")]
        styles.sort(key=lambda name: (_place(name.removeprefix("css/")), name))
        files["studio.css"] = b"\n".join(files.pop(name) for name in styles)
        files = {name: lean(name, data) for name, data in files.items()}
        self.files = files
        self._urls = {name: f"{ASSETS}{_digest(data)[:16]}/{name}" for name, data in files.items()}
        self._replies = {self._urls[name]: _asset(name, data) for name, data in files.items()}
        index = (folder / "index.html").read_text(encoding="utf-8")
        for name in files:
            if (page := _page_of(name)) is not None:
                path = ROOT if page == FIRST_PAGE else f"{ROOT}/{page}"
                for theme in (*THEMES, ""):
                    self._replies[path + f" {theme}"] = self._page(index, page, theme)
        self.paths = frozenset(name.split(" ")[0] for name in self._replies)

    def url(self, name: str) -> str:
        """Where the file is found."""
        return self._urls[name]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        head = scope["method"] == "HEAD"
        if scope["method"] not in ("GET", "HEAD"):
            await send_problem(send, MethodNotAllowed("The studio's files are read only."))
            return
        tags, packs, cookie = b"", b"", b""
        for name, value in scope["headers"]:
            if name == b"if-none-match":
                tags = value
            elif name == b"accept-encoding":
                packs = value
            elif name == b"cookie":
                cookie += value + b"; "
        reply = self._replies.get(path) or self._replies.get(f"{path} {_theme(cookie)}")
        if reply is None:
            if path == f"{ROOT}/":
                await send(start(308, [(b"location", ROOT.encode()), (b"content-length", b"0")]))
                await send(body(b""))
                return
            await send_problem(send, NotFound(f"The studio has no page {path[:100]!r}."), head=head)
            return
        if tags and not none_match(tags, reply.etag):
            await send(reply.unchanged)
            await send(body(b""))
        elif reply.smaller is not None and reply.packed is not None and b"gzip" in packs:
            await send(reply.smaller)
            await send(body(b"" if head else reply.packed))
        else:
            await send(reply.whole)
            await send(body(b"" if head else reply.plain))

    def _page(self, index: str, page: str, theme: str) -> Reply:
        """The page, with what it needs first named in its head."""
        import_map = json.dumps(
            {"imports": {_specifier(name): url for name, url in self._urls.items()}}, separators=(",", ":")
        )
        modules = self._closure(f"js/pages/{page}.js")
        preload = "\n".join(f'<link rel="modulepreload" href="{self._urls[name]}">' for name in modules)

        def fill(match: re.Match[str]) -> str:
            match match[1]:
                case "importmap":
                    return import_map
                case "preload":
                    return preload
                case "theme":
                    return f' data-theme="{theme}"' if theme else ""
                case "page":
                    return html.escape(page)
                case "asset":
                    return self._urls[match[2]]
            raise ValueError(f"index.html: nothing is known of {match[0]}")

        text = _PLACE.sub(fill, index).encode()
        script = base64.b64encode(hashlib.sha256(import_map.encode()).digest()).decode()
        pictures = " ".join(("'self' data: blob:", *self._picture_sources))
        policy = (
            f"default-src 'none'; script-src 'self' 'sha256-{script}'; style-src 'self'; img-src {pictures}; "
            "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'none'; base-uri 'none'; "
            "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        )
        return _reply(
            text,
            "text/html; charset=utf-8",
            [
                (b"cache-control", b"no-cache"),
                (b"vary", b"Accept-Encoding, Cookie"),
                (b"content-security-policy", policy.encode()),
                (b"x-frame-options", b"DENY"),
                (b"cross-origin-opener-policy", b"same-origin"),
                (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
            ],
            packed=True,
        )

    def _closure(self, page: str) -> list[str]:
        """main.js, the page's module and everything that they import, nearest first."""
        found: list[str] = []
        named = {_specifier(name): name for name in self.files}
        pending: list[str | None] = ["js/main.js", page]
        while pending:
            name = pending.pop(0)
            if name is None or name in found:
                continue
            found.append(name)
            text = self.files[name].decode()
            pending += [named.get(each) for each in _IMPORT.findall(text)]
        return found


def _asset(name: str, data: bytes) -> Reply:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    suffix = Path(name).suffix
    if suffix == ".js":
        kind = "text/javascript"
    if kind.startswith("text/"):
        kind += "; charset=utf-8"
    headers = [
        (b"cache-control", b"public, max-age=%d, immutable" % YEAR),
        (b"vary", b"Accept-Encoding"),
        (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    ]
    return _reply(data, kind, headers, packed=suffix in PACKED)


def _reply(data: bytes, kind: str, headers: list[tuple[bytes, bytes]], *, packed: bool) -> Reply:
    etag = f'"{_digest(data)[:24]}"'.encode()
    smaller = gzip.compress(data, 9, mtime=0) if packed and len(data) >= MIN_PACKED_BYTES else None
    common = [
        (b"etag", etag),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-resource-policy", b"same-origin"),
        *headers,
    ]
    typed = [(b"content-type", kind.encode()), *common]
    return Reply(
        etag=etag,
        plain=data,
        packed=smaller,
        whole=start(200, [*typed, (b"content-length", b"%d" % len(data))]),
        smaller=None
        if smaller is None
        else start(200, [*typed, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(smaller))]),
        unchanged=start(304, common),
    )


def _specifier(name: str) -> str:
    """What modules call a file: `studio/lib/api.js`, `studio/img/mark.svg`."""
    return f"studio/{name.removeprefix('js/')}"


def _page_of(name: str) -> str | None:
    folder, _, file = name.rpartition("/")
    return file.removesuffix(".js") if folder == "js/pages" and file.endswith(".js") else None


def _place(name: str) -> int:
    return FIRST_STYLES.index(name) if name in FIRST_STYLES else len(FIRST_STYLES)


def _theme(cookie: bytes) -> str:
    """The theme that the visitor chose; empty for the system's own."""
    at = cookie.find(THEME_COOKIE)
    if at < 0:
        return ""
    value = cookie[at + len(THEME_COOKIE) :].split(b";", 1)[0].decode("latin-1")
    return value if value in THEMES else ""


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
