"""`/s/{share_id}` as HTML: whole without any script, and with the tags that chat apps make a card of.

Everything that came from people is escaped; the policy (CSP) allows this page's own style sheet and pictures
of this server, and nothing else. Pictures are named from the page's own place (`../images/`), so that any
host and any prefix of a proxy will do; only the card has an absolute one (The Open Graph protocol, ogp.me).
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Final
from urllib.parse import urlencode

from ferrotype.domain.asset import Asset, Visibility
from ferrotype.domain.clock import Clock
from ferrotype.domain.problems import Problem
from ferrotype.domain.transform_query import Vocabulary, parse
from ferrotype.http.share_style import STYLE
from ferrotype.net.signing import Pair, UrlSigner
from ferrotype.services.shares import Picture, Shown

#: Widths that browsers choose from, in pixels; never more than the picture has.
WIDTHS: Final = (320, 480, 640, 960, 1280, 1920, 2560)
#: Of the card's picture, in pixels: wide enough for a large card. Chat apps take at most 300 KB, as JPEG.
CARD: Final = (1200, 900)
CARD_QUALITY: Final = 75
#: Seconds between two expiries of signed URLs: they live for one to two of these and stay the same meanwhile,
#: so that a browser that comes again has the pictures.
SIGNED_STEP: Final = 12 * 3600
#: Pictures that are on the screen when the page opens, about.
EAGER: Final = 4
MAX_DESCRIPTION: Final = 200
_COLOR: Final = re.compile(r"#[0-9a-f]{6}")
_HEAD: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="robots" content="noindex, nofollow, noimageindex">'
    '<meta name="color-scheme" content="light dark">'
    '<link rel="icon" href="data:,">'  # else browsers ask for /favicon.ico, which needs the key
)


class SharePage:
    """Makes the page. `only_signed`: this server transforms no picture for strangers by a plain URL."""

    def __init__(self, signer: UrlSigner, vocabulary: Vocabulary, clock: Clock, *, only_signed: bool) -> None:
        self._signer = signer
        self._known = vocabulary
        self._clock = clock
        self._only_signed = only_signed

    def page(self, shown: Shown, base_url: str) -> tuple[str, dict[str, str]]:
        """The page and its headers. `base_url` is what the card's absolute URLs are put behind."""
        share, pictures = shown.share, shown.pictures
        seconds = self._seconds(share.expires_at)
        style = STYLE + "".join(_look(number, each.asset) for number, each in enumerate(pictures))
        figures = "".join(self._figure(number, each, shown, seconds) for number, each in enumerate(pictures))
        text = (
            f"{_HEAD}<title>{escape(share.title)} · Ferrotype</title>{self._card(shown, base_url, seconds)}"
            f"<style>{style}</style></head><body>"
            f'<header><h1 dir="auto">{escape(share.title)}</h1>'
            f'<p class="soft">{_told(shown)}</p></header>'
            f'<main class="{"one" if len(pictures) == 1 else "many"}">{figures}</main>'
            f"<footer>{_credits(pictures)}<p>Shared with Ferrotype</p></footer></body></html>\n"
        )
        return text, _headers(style, "private, max-age=60")

    def _card(self, shown: Shown, base_url: str, seconds: int) -> str:
        """What chat apps and the like make a card of."""
        first, title = shown.pictures[0], shown.share.title
        pairs = self._card_pairs()
        image = base_url + self._url(first.asset, pairs, seconds)
        tags = [
            ("og:type", "website"),
            ("og:site_name", "Ferrotype"),
            ("og:title", title),
            ("og:description", _description(shown)),
            ("og:url", f"{base_url}/s/{shown.share.id}"),
            ("og:image", image),
            ("og:image:type", "image/jpeg"),
        ]
        if size := self._card_size(first.asset, pairs):
            tags += [("og:image:width", str(size[0])), ("og:image:height", str(size[1]))]
        tags.append(("og:image:alt", _alt(0, shown)))
        named = [
            ("twitter:card", "summary_large_image"),
            ("twitter:title", title),
            ("twitter:description", _description(shown)),
            ("twitter:image", image),
        ]
        lines = [f'<meta property="{name}" content="{escape(value)}">' for name, value in tags]
        lines += [f'<meta name="{name}" content="{escape(value)}">' for name, value in named]
        return "".join(lines)

    def _card_pairs(self) -> list[Pair]:
        """A box that this server makes pictures for."""
        width, height = (min(side, self._known.max_side) for side in CARD)
        shrink = min(1.0, math.sqrt(self._known.max_pixels / (width * height)))
        box = max(1, int(width * shrink)), max(1, int(height * shrink))
        return [
            ("w", str(box[0])), ("h", str(box[1])), ("fit", "inside"), ("format", "jpeg"),
            ("q", str(CARD_QUALITY)),
        ]  # fmt: skip

    def _card_size(self, asset: Asset, pairs: Sequence[Pair]) -> tuple[int, int] | None:
        """Width and height of the card's picture; None where the picture's are not known yet."""
        box = parse(pairs, self._known)
        if not (asset.width and asset.height and box.w and box.h):
            return None
        scale = min(box.w / asset.width, box.h / asset.height, 1.0)
        return max(1, round(asset.width * scale)), max(1, round(asset.height * scale))

    def _figure(self, number: int, picture: Picture, shown: Shown, seconds: int) -> str:
        asset, alone = picture.asset, len(shown.pictures) == 1
        widths = self._widths(asset)
        urls = {
            width: escape(".." + self._url(asset, [("w", str(width)), ("format", "auto")], seconds))
            for width in widths
        }
        shape = _ratio(asset)
        sizes = (
            f"min(100vw, {78 * shape:.0f}vh)" if alone else f"(max-width: 40rem) 100vw, {24 * shape:.0f}rem"
        )
        middle = urls[next((width for width in widths if width >= 960), widths[-1])]
        sides = f' width="{asset.width}" height="{asset.height}"' if asset.width and asset.height else ""
        when = 'fetchpriority="high"' if number == 0 else "" if number < EAGER else 'loading="lazy"'
        caption = f'<figcaption dir="auto">{escape(picture.prompt)}</figcaption>' if picture.prompt else ""
        return (
            f'<figure id="p{number}"><a href="{urls[widths[-1]]}"><img src="{middle}"'
            f' srcset="{", ".join(f"{url} {width}w" for width, url in urls.items())}" sizes="{sizes}"{sides}'
            f' alt="{escape(_alt(number, shown))}" decoding="async" {when}></a>{caption}</figure>'
        )

    def _widths(self, asset: Asset) -> list[int]:
        most = min(asset.width or WIDTHS[-1], WIDTHS[-1], self._known.max_side)
        return [*(width for width in WIDTHS if width < most), most]

    def _url(self, asset: Asset, pairs: Sequence[Pair], seconds: int) -> str:
        path = f"/images/{asset.id}"
        if self._only_signed or asset.visibility is Visibility.PRIVATE:
            return self._signer.signed(path, pairs, seconds)[0]
        return f"{path}?{urlencode(pairs)}"

    def _seconds(self, expires_at: datetime | None) -> int:
        """How long signed URLs live: to the end after the next of `SIGNED_STEP`, not beyond the share's."""
        now = int(self._clock.now().timestamp())
        ends = (now // SIGNED_STEP + 2) * SIGNED_STEP
        if expires_at is not None:
            ends = min(ends, int(expires_at.timestamp()))
        return max(1, ends - now)


def problem_page(problem: Problem) -> tuple[str, dict[str, str]]:
    """A page that says why there is none, and its headers."""
    title = "This page is no longer here" if problem.status == 410 else "There is no such page"
    text = (
        f"{_HEAD}<title>{title} · Ferrotype</title><style>{STYLE}</style></head><body>"
        f'<main class="said"><h1>{title}</h1><p class="soft">{escape(problem.detail)}</p></main>'
        "</body></html>\n"
    )
    return text, _headers(STYLE, "no-store")


def _headers(style: str, cache: str) -> dict[str, str]:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return {
        "Cache-Control": cache,
        "Content-Security-Policy": (
            f"default-src 'none'; img-src 'self' data:; style-src 'sha256-{digest}'; base-uri 'none';"
            " form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex, nofollow, noimageindex",
        "Cross-Origin-Opener-Policy": "same-origin",
    }


def _look(number: int, asset: Asset) -> str:
    """A picture's own rules: its share of the row, and its colour until it is there."""
    shape = _ratio(asset)
    rule = f"#p{number}{{flex:{shape:.3f} 1 calc({shape:.3f} * var(--row))}}"
    color = asset.placeholder.color if asset.placeholder and not asset.has_alpha else ""
    if _COLOR.fullmatch(color):
        rule += f"#p{number} a{{background:{color}}}"
    return rule


def _ratio(asset: Asset) -> float:
    """Width / height, within what fits on a page; 1 where it is not known."""
    known = asset.width / asset.height if asset.width and asset.height else 1.0
    return min(max(known, 0.2), 5.0)


def _told(shown: Shown) -> str:
    count = len(shown.pictures)
    parts = [f"{count} pictures"] if count > 1 else []
    parts.append(f"shared on {_day(shown.share.created_at)}")
    if shown.share.expires_at is not None:
        parts.append(f"here until {_day(shown.share.expires_at)}")
    text = " · ".join(parts)
    return text[0].upper() + text[1:]


def _day(moment: datetime) -> str:
    return f'<time datetime="{moment:%Y-%m-%dT%H:%M:%SZ}">{moment.day} {moment:%B %Y}</time>'


def _description(shown: Shown) -> str:
    if len(shown.pictures) == 1 and (prompt := shown.pictures[0].prompt):
        return prompt if len(prompt) <= MAX_DESCRIPTION else prompt[: MAX_DESCRIPTION - 1].rstrip() + "…"
    count = len(shown.pictures)
    return "A picture, shared with Ferrotype" if count == 1 else f"{count} pictures, shared with Ferrotype"


def _alt(number: int, shown: Shown) -> str:
    prompt, count = shown.pictures[number].prompt, len(shown.pictures)
    return prompt or (shown.share.title if count == 1 else f"Picture {number + 1} of {count}")


def _credits(pictures: Sequence[Picture]) -> str:
    """Whose artwork is in the pictures, where a licence asks that it be said."""
    found = dict.fromkeys(each.asset.credit for each in pictures if each.asset.credit is not None)
    lines = [
        f'<li>Artwork: <a href="{escape(credit.url)}" rel="noreferrer">{escape(credit.artwork)}</a>'
        f" by {escape(credit.author)}, {escape(credit.license)}</li>"
        for credit in found
        if credit.url.startswith(("https://", "http://"))
    ]
    return f"<ul>{''.join(lines)}</ul>" if lines else ""
