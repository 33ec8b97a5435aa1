"""A variant: a picture, transformed and written.

- **Size**: JPEG and WebP shrink while they are decoded, everything is read once from the top, and nothing is
  enlarged unless `enlarge` says so.
- **Colour**: every profile, CMYK, grey, 16 bits and palettes become 8-bit sRGB, which needs no profile; grey
  stays grey where the format has it. With `strip=0` EXIF, XMP, IPTC and the profile stay, the place where
  the picture was taken among them: the original carries it too. An RGB picture keeps its own colours then.
  The orientation is applied and no longer told, and the camera's preview goes.
- **Animation**: GIF and WebP are transformed frame by frame, with their delays and loops, into GIF or WebP;
  any other format gets the first frame. An animated PNG cannot be written: where only a format or
  metadata are asked for, its frames stay as they are (JPEG and AVIF, which cannot move, get its first frame);
  in everything else it is its first frame.
- **Alpha**: JPEG gets white behind it, or `bg`.
- **Provenance**: with `xmp` that packet is in the file, in every format but GIF; with `strip=0` it joins the
  picture's own. Workflows and prompts never go along (`provenance.strip`).
- **Format**: TIFF, which browsers do not show, becomes PNG if it has alpha and JPEG if not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import pyvips

from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import ORIGINAL, Transform
from ferrotype.imaging.colour import channels
from ferrotype.imaging.deadline import Deadline
from ferrotype.imaging.encode import ANIMATED, ENCODERS, Encoder, encode
from ferrotype.imaging.geometry import Box, lay_out, rotated, stored, turned
from ferrotype.imaging.inspect import open_bounded
from ferrotype.imaging.provenance.packet import merged
from ferrotype.imaging.provenance.strip import stripped, tells_text
from ferrotype.imaging.provenance.xmp import embedded
from ferrotype.imaging.settings import ImagingSettings
from ferrotype.imaging.sniff import ImageType
from ferrotype.imaging.steps import STEPS, trim
from ferrotype.imaging.steps.trim import corner_of
from ferrotype.imaging.structure import is_whole
from ferrotype.imaging.vips import (
    Image,
    Source,
    VipsError,
    damaged,
    head_of,
    kind_of,
    open_image,
    orientation,
    shown_size,
    shrink_on_load,
)
from ferrotype.imaging.watermark import Watermark
from ferrotype.imaging.work import Work

NO_MARKS: Final[Mapping[str, Watermark]] = MappingProxyType({})
#: Formats of sources; what is not named goes by `_format`.
FORMATS: Final = {
    "jpegload": "jpeg",
    "pngload": "png",
    "webpload": "webp",
    "heifload": "avif",
    "gifload": "gif",
}
#: Loaders whose pages are the frames of an animation; those of a TIFF are pages.
MOVING: Final = ("gifload", "webpload")
#: Scaling that is left at least when a JPEG is decoded smaller. From here on the difference to a full decode
#: is a tenth of what WebP at quality 80 does to the picture (10 dB and more on photographs), and a sixth of
#: the time is saved for 24 megapixels made 800 pixels wide.
LEFT: Final = 1.5
#: What tells libvips that an image is an animation.
FRAME_FIELDS: Final = ("page-height", "n-pages", "delay", "loop")
#: A camera's preview, of what was there before it was cropped.
PREVIEW: Final = "jpeg-thumbnail-data"
#: XMP.
PACKET: Final = "xmp-data"
EXIF: Final = "exif-data"
#: libvips's fields in which a workflow may stand.
TELLING: Final = (PACKET, EXIF, "iptc-data", "gif-comment", "image-description")
GREY: Final = ("b-w", "grey16")


@dataclass(frozen=True, slots=True)
class Rendered:
    """A variant's bytes; `width` and `height` are pixels, of one frame if it moves."""

    data: bytes
    content_type: str
    width: int
    height: int


def render(
    source: Source,
    transform: Transform,
    limits: ImagingSettings,
    marks: Mapping[str, Watermark] = NO_MARKS,
    *,
    xmp: bytes | None = None,
) -> Rendered:
    """The picture in `source`, transformed. `transform.format` is never `auto` here. Blocking.

    `xmp` is the packet that says where it comes from (`provenance.packet`); the original itself does
    without. The same bytes for the same source, transform, mark, packet and `IMAGING_VERSION`. Result and
    source are bound by the same limits. Raises UnsupportedMedia and InvalidField (`image` when the source
    is damaged or beyond a limit; else the parameter that asks for what cannot be), Overloaded when it takes
    longer than `limits.transform_timeout`, OSError when a file cannot be read.
    """
    kind = kind_of(head_of(source)[0])
    with Deadline(limits.transform_timeout) as deadline:
        try:
            header, frames = open_bounded(source, kind, limits)
            if not is_whole(source, kind):
                raise damaged(kind)
            if transform.is_original:
                return _untouched(source, kind, header)
            if _stays(kind, transform):
                return _relabelled(source, kind, header, xmp)
            if not transform.strip:
                source = stripped(_whole(source))
                header = open_image(source, kind)
            form = _format(transform, kind, header)
            count = frames if form in ANIMATED and kind.loader in MOVING else 1
            opened = partial(_frames, source, kind, count, deadline)
            work = _plan(header, opened, transform, ENCODERS[form], deadline, _mark(transform, marks))
            _check_result(work, count, form, limits)
            made = [_transformed(frame, work, settle=count > 1) for frame in opened(_factor(work))]
            return _write(made, header, work, xmp)
        except VipsError:
            deadline.check()
            if isinstance(source, Path):
                source.stat()  # it may be gone: then that is what is to be told
            raise damaged(kind) from None


def _stays(kind: ImageType, transform: Transform) -> bool:
    """Whether it is an animated PNG of which nothing is asked that would stop it."""
    asked = replace(transform, format=None, q=None, strip=True)
    return (
        kind.animated
        and kind.loader == "pngload"
        and asked == ORIGINAL
        and transform.format not in ("jpeg", "avif")
    )


def _untouched(source: Source, kind: ImageType, header: Image) -> Rendered:
    return Rendered(_whole(source), kind.content_type, *shown_size(header))


def _relabelled(source: Source, kind: ImageType, header: Image, xmp: bytes | None) -> Rendered:
    data = embedded(stripped(_whole(source)), xmp)
    return Rendered(data, kind.content_type, *shown_size(header))


def _whole(source: Source) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _format(transform: Transform, kind: ImageType, header: Image) -> str:
    if transform.format is not None:
        return transform.format
    return FORMATS.get(kind.loader or "") or ("png" if header.hasalpha() else "jpeg")


def _mark(transform: Transform, marks: Mapping[str, Watermark]) -> Watermark | None:
    if transform.watermark is None:
        return None
    if transform.watermark not in marks:
        raise InvalidField("There is no such watermark.", field="watermark", limit=sorted(marks))
    return marks[transform.watermark]


def _plan(
    header: Image,
    opened: Callable[[], Iterator[Image]],
    transform: Transform,
    encoder: Encoder,
    deadline: Deadline,
    mark: Watermark | None,
) -> Work:
    """Everything that is decided before the first step; only `trim` reads pixels for it."""
    turn, shown = orientation(header), shown_size(header)
    whole = header.width, header.height
    area = Box(0, 0, *whole)
    if transform.crop is not None:
        part = Box(*transform.crop)
        if not part.within(shown):
            raise InvalidField(
                f"The crop {part.width} x {part.height} at {part.left},{part.top} is not within the picture"
                f" of {shown[0]} x {shown[1]} pixels.",
                field="crop",
                limit=list(shown),
            )
        area = stored(part, shown, turn)
    if transform.trim is not None:
        area = trim(opened, area, corner_of(area, turn), transform.trim)
    layout = lay_out(turned(area.size, turn), transform)
    scaled = turned(layout.scaled, turn)
    return Work(transform, encoder, deadline, mark, turn, whole, area, layout, scaled)


def _factor(work: Work) -> float:
    """How much smaller it becomes, in the direction in which less is lost."""
    return min(work.area.width / work.scaled[0], work.area.height / work.scaled[1])


def _check_result(work: Work, frames: int, form: str, limits: ImagingSettings) -> None:
    """Raises InvalidField, naming the parameter that may be mended, for a result beyond a limit."""
    transform, layout = work.transform, work.layout
    size = rotated(layout.canvas, transform.rotate)
    asked = {"rotate": transform.rotate, "w": transform.w, "h": transform.h}
    at_fault = next((name for name, value in asked.items() if value), "format")
    side = min(limits.max_side, work.encoder.max_side)
    if max(size) > side:
        raise InvalidField(
            f"The result would have {size[0]} x {size[1]} pixels; a side of {form} may have {side} here.",
            field=at_fault,
            limit=side,
        )
    frame = min(limits.max_pixels // frames, work.encoder.max_frame_pixels or limits.max_pixels)
    for width, height in (layout.scaled, size):
        if width * height > frame:
            raise InvalidField(
                f"The result would have {width} x {height} pixels; {frame} are allowed in"
                f" {form}{f' with {frames} frames' if frames > 1 else ''}.",
                field=at_fault,
                limit=frame,
            )


def _frames(
    source: Source, kind: ImageType, count: int, deadline: Deadline, factor: float = 1.0
) -> Iterator[Image]:
    """The frames one after the other, each to be read to its end before the next. Raises VipsError."""
    options = {"n": count} if count > 1 else shrink_on_load(kind, factor, left=LEFT)
    strip = open_image(source, kind, access="sequential", fail_on="error", **options)
    deadline.watch(strip)
    height = strip.height // count
    for index in range(count):
        deadline.check()
        yield _still(strip.crop(0, index * height, strip.width, height) if count > 1 else strip)


def _still(image: Image) -> Image:
    """Without what it says of other frames."""
    told = [name for name in (*FRAME_FIELDS, PREVIEW) if image.get_typeof(name)]
    if told:
        image = image.copy()
        for name in told:
            image.remove(name)
    return image


def _transformed(image: Image, work: Work, *, settle: bool) -> Image:
    for step in STEPS:
        image = step(image, work)
    return work.deadline.settle(image) if settle else image


def _animation(frames: list[Image], header: Image) -> Image:
    """The frames below each other, as libvips wants them, with the delays (ms) and the loop of the header."""
    image = pyvips.Image.arrayjoin(frames, across=1).copy()
    image.set_type(pyvips.GValue.gint_type, "page-height", frames[0].height)
    for name in ("delay", "loop"):
        if header.get_typeof(name):
            kind = pyvips.GValue.array_int_type if name == "delay" else pyvips.GValue.gint_type
            image.set_type(kind, name, header.get(name))
    return image


def _write(frames: list[Image], header: Image, work: Work, xmp: bytes | None) -> Rendered:
    image = frames[0] if len(frames) == 1 else _animation(frames, header)
    if (
        header.interpretation in GREY
        and work.encoder.grey
        and work.mark is None
        and _is_grey(work.transform.bg)
    ):
        image = image.colourspace("b-w")
    strip = work.transform.strip
    if not strip:
        image = _untold(image)
    keep = "none" if strip else "all"
    packet = _packet(image, xmp, strip=strip)
    if packet is not None:
        image = image.copy()
        if work.encoder.xmp:
            image.set_type(pyvips.GValue.blob_type, PACKET, packet)
            keep = "xmp" if strip else "all"
        elif image.get_typeof(PACKET):
            image.remove(PACKET)
    data = encode(work.deadline.watch(image), work.encoder, q=work.transform.q, keep=keep)
    if not work.encoder.xmp:
        data = embedded(data, packet)
    return Rendered(data, work.encoder.content_type, frames[0].width, frames[0].height)


def _untold(image: Image) -> Image:
    """Without the metadata that tells a workflow, of formats that `stripped` does not take apart; EXIF goes
    whole then."""
    told = [name for name in TELLING if image.get_typeof(name) and tells_text(_field(image, name))]
    if not told:
        return image
    image = image.copy()
    for name in image.get_fields():
        if name in told or (EXIF in told and name.startswith("exif-")):
            image.remove(name)
    return image


def _field(image: Image, name: str) -> bytes:
    value = image.get(name)
    return value if isinstance(value, bytes) else str(value).encode()


def _packet(image: Image, xmp: bytes | None, *, strip: bool) -> bytes | None:
    there: bytes | None = image.get(PACKET) if not strip and image.get_typeof(PACKET) else None
    return merged(there, xmp) if xmp is not None else there


def _is_grey(color: str | None) -> bool:
    return color is None or len(set(channels(color)[:3])) == 1
