"""What the tests of rendering share: asking in the words of a URL, and Pillow's view of the answer."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ferrotype.domain.transform_query import Vocabulary, parse
from ferrotype.imaging.render import Rendered, render
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.vips import Source
from ferrotype.imaging.watermark import Watermark

LIMITS = ImagingSettings()
Pixels = NDArray[np.float64]


def rendered(source: Source, query: str, *, limits: ImagingSettings = LIMITS, **marks: Watermark) -> Rendered:
    known = Vocabulary(watermarks={name: name for name in marks})
    return render(source, parse(parse_qsl(query), known), limits, marks)


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def shown(source: Source, query: str, **options: Any) -> Image.Image:
    """The answer as Pillow reads it, which has the size and the type that it is said to have."""
    found = rendered(source, query, **options)
    image = opened(found.data)
    assert (image.size, Image.MIME[image.format or ""]) == ((found.width, found.height), found.content_type)
    return image


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def seen(image: Image.Image) -> Pixels:
    """Colours as they count: weighted by their opacity, which comes last."""
    found = np.asarray(image.convert("RGBA"), dtype=np.float64).copy()
    found[..., :3] *= found[..., 3:] / 255
    return found


def check_near(
    found: Image.Image, expected: Image.Image, *, mean: float = 1.0, greatest: float = 12.0
) -> None:
    assert found.size == expected.size
    apart = np.abs(seen(found) - seen(expected))
    assert (apart.mean() <= mean, apart.max() <= greatest) == (True, True), (apart.mean(), apart.max())
