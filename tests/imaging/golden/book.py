"""What every case gave when somebody last looked at it: pixels without loss, and the content type."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyvips
from numpy.typing import NDArray

from ferrotype.imaging.render import Rendered, render
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.vips import kind_of, open_image
from golden.cases import CASES, MARKS, name_of, transform_of
from golden.sources import SOURCES

FOLDER: Final = Path(__file__).parent / "pictures"
FACTS: Final = Path(__file__).parent / "facts.json"
#: How far a picture may be off, of 255: another version of an encoder rounds otherwise. What is lossy, or
#: has a palette, may be further off.
MEAN, GREATEST = 0.6, 12
LOSSY: Final = 3
LIMITS: Final = ImagingSettings()


@dataclass(frozen=True)
class Page:
    """A result, decoded: all frames below each other, and what cannot be seen of it."""

    pixels: NDArray[np.uint8]
    facts: dict[str, Any]

    @property
    def image(self) -> Any:
        return pyvips.Image.new_from_array(self.pixels)


def made(source: str, query: str) -> Page:
    return page(render(SOURCES[source](), transform_of(query), LIMITS, MARKS))


def page(rendered: Rendered) -> Page:
    kind = kind_of(rendered.data)
    moving = kind.loader in ("webpload", "gifload")
    image = open_image(rendered.data, kind, **({"n": -1} if moving else {}))
    fields = [name for name in ("delay", "loop", "orientation", "icc-profile-data") if image.get_typeof(name)]
    frames = image.get("n-pages") if image.get_typeof("n-pages") else 1
    facts = {
        "content_type": rendered.content_type,
        "width": rendered.width,
        "height": rendered.height,
        "frames": frames,
        "bands": image.bands,
        "kept": [name for name in fields if name not in ("delay", "loop")],
    }
    if frames > 1:
        facts |= {name: image.get(name) for name in ("delay", "loop")}
    pixels = image.numpy()
    return Page(pixels.reshape(image.height, image.width, image.bands), facts)


def expected(source: str, query: str) -> Page:
    name = name_of(source, query)
    facts = json.loads(FACTS.read_text())[name]
    pixels = pyvips.Image.pngload(str(FOLDER / f"{name}.png")).numpy()
    return Page(pixels.reshape(*pixels.shape[:2], -1), facts)


def difference(found: Page, wanted: Page) -> tuple[float, float]:
    """Mean and greatest, of 255; of what is seen, so colours are weighted by their opacity."""
    both = [_weighted(each.pixels.astype(np.float64)) for each in (found, wanted)]
    apart = np.abs(both[0] - both[1])
    return float(apart.mean()), float(apart.max())


def _weighted(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    if pixels.shape[2] in (2, 4):
        pixels = pixels.copy()
        pixels[..., :-1] *= pixels[..., -1:] / 255
    return pixels


def record() -> list[str]:
    """Write all of it anew; the names of what has changed."""
    FOLDER.mkdir(exist_ok=True)
    known = json.loads(FACTS.read_text()) if FACTS.exists() else {}
    facts, changed = {}, []
    for source, query in CASES:
        name, found = name_of(source, query), made(source, query)
        facts[name] = found.facts
        path = FOLDER / f"{name}.png"
        old = expected(source, query) if name in known and path.exists() else None
        same = old is not None and old.facts == found.facts and np.array_equal(old.pixels, found.pixels)
        if not same:
            changed.append(name)
            found.image.copy(interpretation="srgb" if found.pixels.shape[2] > 2 else "b-w").pngsave(
                str(path), compression=9, filter="all", keep="none"
            )
    for stale in FOLDER.glob("*.png"):
        if stale.stem not in facts:
            stale.unlink()
    FACTS.write_text(json.dumps(dict(sorted(facts.items())), indent=1) + "\n")
    return changed
