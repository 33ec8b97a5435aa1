"""What is asked of the sources: `source query`, about 150 of them."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

import numpy as np
from PIL import Image

from ferrotype.domain.transform import Transform
from ferrotype.domain.transform_query import Vocabulary, parse
from ferrotype.imaging.watermark import Watermark
from golden.sources import SOURCES, encoded

LOGO: Final = b"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">
<rect width="40" height="20" rx="6" fill="#c00"/><circle cx="10" cy="10" r="6" fill="#fff"/></svg>"""


def stamp() -> bytes:
    """A ring, half of it see-through."""
    y, x = np.mgrid[0:32, 0:32]
    away = np.hypot(x - 15.5, y - 15.5)
    alpha = np.where((away < 15) & (away > 8), np.where(x < 16, 255, 120), 0)
    pixels = np.dstack([np.full((32, 32, 3), (10, 40, 160)), alpha]).astype(np.uint8)
    return encoded(Image.fromarray(pixels, "RGBA"), "PNG")


MARKS: Final = {
    "logo": Watermark(picture=LOGO, opacity=0.8, share=0.3, gravity="southeast", margin=0.05),
    "stamp": Watermark(picture=stamp(), opacity=1.0, share=0.5, gravity="centre", margin=0.0),
}
KNOWN: Final = Vocabulary(watermarks={name: name for name in MARKS})

#: source -> queries. PNG where the pixels matter and the encoder does not.
ASKED: Final[dict[str, tuple[str, ...]]] = {
    "png": (
        # sides and fits
        "w=60", "h=30", "w=60&h=60", "w=60&h=60&fit=contain&bg=silver", "w=60&h=60&fit=contain",
        "w=60&h=60&fit=inside", "w=60&h=60&fit=fill", "w=60&h=60&fit=outside", "w=90&h=20", "w=20&h=70",
        # never larger, unless told
        "w=240", "w=240&enlarge=1", "w=160&h=160", "w=160&h=160&enlarge=1", "w=160&h=100&fit=contain&bg=navy",
        "w=160&h=100&fit=contain&bg=navy&enlarge=1", "w=200&h=90&fit=fill", "w=200&h=90&fit=fill&enlarge=1",
        "w=200&h=200&fit=outside", "w=200&h=200&fit=inside&enlarge=1", "w=30&dpr=2",
        # gravity
        *(f"w=50&h=70&gravity={point}" for point in ("west", "east", "attention", "entropy")),
        *(f"w=100&h=30&gravity={point}" for point in ("north", "south", "attention")),
        *(f"w=30&h=30&gravity={point}" for point in ("northwest", "southwest", "northeast", "southeast")),
        "w=50&h=70&gravity=0.8,0.4", "w=50&h=70&gravity=0.35,0.5", "w=50&h=70&gravity=1,1",
        *(f"w=70&h=80&fit=contain&bg=white&gravity={point}" for point in ("north", "southeast", "0.5,0.25")),
        # crop
        "crop=0,0,60,40", "crop=60,40,60,40", "crop=30,10,50,60&w=25", "crop=119,79,1,1",
        "crop=90,20,20,20&w=60",
        "crop=90,20,20,20&w=60&enlarge=1",
        # turning
        "rotate=90", "rotate=180", "rotate=270", "rotate=30", "rotate=30&bg=black", "rotate=315&w=60&bg=fff8",
        "rotate=90&w=40", "flip=h", "flip=v", "flip=hv", "rotate=90&flip=h", "rotate=45&flip=v&bg=teal",
        # blur, sharpen
        "blur=0.5", "blur=2", "blur=8", "blur=40", "blur=250", "sharpen=1", "sharpen=4&w=80",
        "blur=1&sharpen=2",
        # formats
        "format=webp", "format=jpeg", "format=avif", "format=gif", "format=webp&q=20&w=80",
        "format=jpeg&q=20",
        "format=avif&q=30",
        # marks
        "watermark=logo", "watermark=stamp&w=60", "watermark=logo&format=jpeg", "watermark=stamp&rotate=20",
    ),
    "png-alpha": (
        "w=60", "w=60&bg=red", "w=60&bg=ff000080", "format=jpeg", "format=jpeg&bg=00ff0080", "format=webp",
        "format=avif", "format=gif", "blur=3", "blur=30", "sharpen=2", "rotate=30", "flip=v", "trim=10",
        "w=60&h=60&fit=contain", "w=60&h=60&fit=contain&format=jpeg", "watermark=stamp",
        "w=40&h=70&gravity=attention",
        "enlarge=1&w=200",
    ),
    "png-grey": ("w=60", "w=60&format=jpeg", "w=60&format=webp", "w=60&h=60&fit=contain&bg=red",
        "watermark=logo"),
    "png-grey-alpha": ("w=60", "w=60&format=jpeg", "w=60&bg=blue", "format=webp"),
    "png-palette": ("w=60", "format=webp&q=95"),
    "png-palette-alpha": ("w=60", "format=jpeg&bg=yellow"),
    "png-two-levels": ("w=60",),
    "png-16": ("w=60", "flip=h", "format=webp&q=95", "w=60&strip=0"),
    "png-16-alpha": ("w=60", "format=jpeg"),
    "png-grey-16": ("w=60", "flip=h"),
    "png-border": ("trim=10", "trim=0&w=60", "trim=10&crop=0,0,80,80", "trim=254"),
    "png-border-alpha": ("trim=10", "trim=10&format=jpeg"),
    "png-tall": ("h=90", "w=3", "w=60&h=60", "w=60&h=60&fit=contain&bg=silver", "rotate=90&h=300"),
    "png-wide": ("w=90", "h=3", "w=60&h=60&fit=inside"),
    "apng": ("w=60", "format=jpeg"),
    "jpeg": ("w=60&format=png", "w=60", "format=png&strip=0"),
    "jpeg-large": (
        "w=100&format=png", "w=290&h=20&format=png", "crop=900,240,120,160&w=60&format=png",
        "w=90&h=90&gravity=attention&format=png", "trim=30&w=80&format=png",
    ),
    "jpeg-grey": ("w=60", "w=60&format=png"),
    "jpeg-p3": ("w=60&format=png", "w=60&format=png&strip=0",
        "w=70&h=70&fit=contain&bg=red&format=png&strip=0"),
    "jpeg-adobe": ("w=60&format=png", "watermark=logo&format=png&strip=0", "format=webp"),
    "jpeg-cmyk": ("w=60&format=png", "w=60", "format=webp&strip=0"),
    "jpeg-cmyk-bare": ("w=60&format=png",),
    "webp": ("w=60", "flip=h&format=png"),
    "webp-large": ("w=100&format=png", "crop=900,240,120,160&w=60&format=png"),
    "webp-alpha": ("w=60", "format=jpeg", "format=png"),
    "webp-moving": ("w=60", "w=40&h=60&gravity=attention", "format=gif&w=60", "format=png",
        "rotate=90&flip=h&w=50"),
    "webp-moving-alpha": ("w=60", "w=60&bg=lime", "blur=2&w=60", "trim=5"),
    "gif": ("w=60", "format=png"),
    "gif-moving": ("w=60", "format=webp", "format=jpeg", "watermark=stamp", "trim=10&w=60"),
    "avif": ("w=60&format=png", "w=60"),
    "avif-alpha": ("w=60&format=png", "w=60&format=jpeg&bg=aqua"),
    "avif-10": ("w=60&format=png",),
    "tiff": ("w=60", "format=png"),
    "tiff-alpha": ("w=60",),
    **{f"jpeg-turned-{turn}": ("w=60&format=png",) for turn in range(1, 9)},
    "jpeg-turned-6": (
        "w=60&format=png", "crop=60,0,60,40&format=png", "w=60&h=60&gravity=east&format=png",
        "rotate=90&w=60&format=png", "trim=20&crop=0,0,50,80&format=png", "w=60&strip=0",
    ),
    "jpeg-turned-7": ("w=60&format=png", "crop=0,40,40,40&w=30&format=png"),
}  # fmt: skip

CASES: Final = [(source, query) for source, queries in ASKED.items() for query in queries]
assert not ASKED.keys() - SOURCES.keys()


def transform_of(query: str) -> Transform:
    return parse(parse_qsl(query), KNOWN)


def name_of(source: str, query: str) -> str:
    """A file's name; different for every case."""
    return f"{source}~{query}".replace("&", "~").replace(",", "-")
