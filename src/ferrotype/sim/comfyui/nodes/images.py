"""Pictures: loading, making, changing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any

import pyvips

from ferrotype.sim import pixels
from ferrotype.sim.comfyui.folders import Folders
from ferrotype.sim.comfyui.script import Script
from ferrotype.sim.pixels import Picture

from .base import Context, Images, Input, Node, NodeFailure, Result, integer, number, seed

_METHODS = ["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
_BANDS = {"red": 0, "green": 1, "blue": 2, "alpha": 3}
_KERNELS = {"nearest-exact": "nearest", "bilinear": "linear", "area": "linear", "bicubic": "cubic"}


def _open(context: Context, name: str) -> Picture:
    path = context.folders.find_input(name)
    try:
        return pyvips.Image.new_from_buffer(path.read_bytes(), "").copy_memory()
    except (pyvips.Error, OSError):
        raise NodeFailure("PIL.UnidentifiedImageError", f"cannot identify image file '{path}'") from None


async def _load(context: Context, image: str) -> Result:
    picture = await asyncio.to_thread(_open, context, image)
    mask = picture.extract_band(3).invert() if picture.hasalpha() else pyvips.Image.black(64, 64)
    return Result(((pixels.rgb(picture),), (mask,)))


async def _load_mask(context: Context, image: str, channel: str) -> Result:
    picture = await asyncio.to_thread(_open, context, image)
    if channel == "alpha":
        mask = picture.extract_band(3).invert() if picture.hasalpha() else pyvips.Image.black(64, 64)
    else:
        mask = pixels.rgb(picture).extract_band(_BANDS[channel])
    return Result(((mask,),))


def _check_file(script: Script, folders: Folders, inputs: Mapping[str, Any]) -> str | None:
    name = inputs.get("image")
    if not isinstance(name, str):
        return None
    try:
        found = folders.find_input(name).is_file()
    except ValueError:
        found = False
    return None if found else f"Invalid image file: {name}"


def _file_hash(script: Script, folders: Folders, inputs: Mapping[str, Any]) -> str:
    return hashlib.sha256(folders.find_input(inputs["image"]).read_bytes()).hexdigest()


def _input_files(script: Script, folders: Folders) -> list[str]:
    return sorted(path.name for path in folders.input.iterdir() if path.is_file())


async def _scale(
    context: Context, image: Images, upscale_method: str, width: int, height: int, crop: str
) -> Result:
    first = image[0]
    width = width or round(first.width * height / first.height) or first.width
    height = height or round(first.height * width / first.width)
    kernel = _KERNELS.get(upscale_method, "lanczos3")
    return Result((await asyncio.to_thread(_resize, image, width, height, kernel, crop == "center"),))


async def _scale_by(context: Context, image: Images, upscale_method: str, scale_by: float) -> Result:
    width, height = round(image[0].width * scale_by), round(image[0].height * scale_by)
    kernel = _KERNELS.get(upscale_method, "lanczos3")
    return Result((await asyncio.to_thread(_resize, image, width, height, kernel, False),))


def _resize(image: Images, width: int, height: int, kernel: str, centred: bool) -> Images:
    done = []
    for picture in image:
        if centred:
            scale = max(width / picture.width, height / picture.height)
            grown = picture.resize(scale, kernel=kernel)
            left, top = (grown.width - width) // 2, (grown.height - height) // 2
            picture = grown.crop(
                max(0, left), max(0, top), min(width, grown.width), min(height, grown.height)
            )
        scaled = picture.resize(width / picture.width, vscale=height / picture.height, kernel=kernel)
        done.append(scaled.copy_memory())
    return tuple(done)


async def _invert(context: Context, image: Images) -> Result:
    return Result((tuple(picture.invert() for picture in image),))


async def _empty(context: Context, width: int, height: int, batch_size: int, color: int) -> Result:
    colour = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return Result(((pixels.solid(width, height, colour),) * batch_size,))


async def _batch(context: Context, image1: Images, image2: Images) -> Result:
    first = image1[0]
    return Result((image1 + tuple(pixels.fit(picture, first.width, first.height) for picture in image2),))


async def _noise(context: Context, image: Images, seed: int, strength: float) -> Result:
    return Result((tuple(pixels.noise(picture, seed + i, strength) for i, picture in enumerate(image)),))


async def _solid_mask(context: Context, value: float, width: int, height: int) -> Result:
    return Result((((pyvips.Image.black(width, height) + value * 255).cast("uchar"),),))


async def _mask_to_image(context: Context, mask: Images) -> Result:
    return Result((tuple(each.bandjoin([each, each]).copy(interpretation="srgb") for each in mask),))


async def _image_to_mask(context: Context, image: Images, channel: str) -> Result:
    band = _BANDS[channel]
    # Pictures are kept as RGB here; the real server asks for a fourth channel and fails likewise without it.
    if any(picture.bands <= band for picture in image):
        raise NodeFailure(
            "IndexError", f"index {band} is out of bounds for dimension 3 with size {image[0].bands}"
        )
    return Result((tuple(picture.extract_band(band) for picture in image),))


async def _repeat(context: Context, image: Images, amount: int) -> Result:
    return Result((image * amount,))


async def _composite(
    context: Context,
    destination: Images,
    source: Images,
    x: int,
    y: int,
    resize_source: bool,
    mask: Images | None = None,
) -> Result:
    """Every picture of the destination gets one; sources and masks begin again where they are fewer."""
    done = []
    for index, below in enumerate(destination):
        above = source[index % len(source)]
        if resize_source:
            above = pixels.fit(above, below.width, below.height)
        if mask is not None:
            factor = pixels.fit(mask[index % len(mask)], above.width, above.height)
            above = factor.ifthenelse(above, below.embed(-x, -y, above.width, above.height), blend=True)
        done.append(below.insert(above, x, y))
    return Result((tuple(done),))


async def _blend(
    context: Context, image1: Images, image2: Images, blend_factor: float, blend_mode: str
) -> Result:
    return Result((tuple(pixels.blend(a, b, blend_factor) for a, b in zip(image1, image2, strict=False)),))


async def _blur(context: Context, image: Images, blur_radius: int, sigma: float) -> Result:
    return Result((tuple(picture.gaussblur(sigma) for picture in image) if blur_radius else image,))


async def _sharpen(
    context: Context, image: Images, sharpen_radius: int, sigma: float, alpha: float
) -> Result:
    return Result((tuple(picture.sharpen(sigma=sigma) for picture in image) if sharpen_radius else image,))


_CHANNELS = Input(["alpha", "red", "green", "blue"])
_FILE = {"image": Input(_input_files, {"image_upload": True})}
_SIZE = {"width": integer(512, 0, 16384), "height": integer(512, 0, 16384)}

NODES = [
    Node(
        "LoadImage",
        "image",
        _FILE,
        ("IMAGE", "MASK"),
        _load,
        checked="image",
        check=_check_file,
        changed=_file_hash,
    ),
    Node(
        "LoadImageMask",
        "mask",
        {**_FILE, "channel": _CHANNELS},
        ("MASK",),
        _load_mask,
        checked="image",
        check=_check_file,
        changed=_file_hash,
    ),
    Node(
        "ImageScale",
        "image/upscaling",
        {
            "image": Input("IMAGE"),
            "upscale_method": Input(_METHODS),
            **_SIZE,
            "crop": Input(["disabled", "center"]),
        },
        ("IMAGE",),
        _scale,
    ),
    Node(
        "ImageScaleBy",
        "image/upscaling",
        {"image": Input("IMAGE"), "upscale_method": Input(_METHODS), "scale_by": number(1.0, 0.01, 8.0)},
        ("IMAGE",),
        _scale_by,
    ),
    Node("ImageInvert", "image", {"image": Input("IMAGE")}, ("IMAGE",), _invert),
    Node(
        "EmptyImage",
        "image",
        {
            "width": integer(512, 1, 16384),
            "height": integer(512, 1, 16384),
            "batch_size": integer(1, 1, 4096),
            "color": integer(0, 0, 0xFFFFFF, display="color"),
        },
        ("IMAGE",),
        _empty,
    ),
    Node("ImageBatch", "image", {"image1": Input("IMAGE"), "image2": Input("IMAGE")}, ("IMAGE",), _batch),
    Node(
        "ImageAddNoise",
        "image",
        {"image": Input("IMAGE"), "seed": seed(), "strength": number(0.5, 0.0, 1.0)},
        ("IMAGE",),
        _noise,
    ),
    Node(
        "SolidMask",
        "mask",
        {
            "value": number(1.0, 0.0, 1.0),
            "width": integer(512, 1, 16384),
            "height": integer(512, 1, 16384),
        },
        ("MASK",),
        _solid_mask,
    ),
    Node("MaskToImage", "mask", {"mask": Input("MASK")}, ("IMAGE",), _mask_to_image),
    Node(
        "ImageToMask",
        "mask",
        {"image": Input("IMAGE"), "channel": Input(["red", "green", "blue", "alpha"])},
        ("MASK",),
        _image_to_mask,
    ),
    Node(
        "RepeatImageBatch",
        "image/batch",
        {"image": Input("IMAGE"), "amount": integer(1, 1, 4096)},
        ("IMAGE",),
        _repeat,
    ),
    Node(
        "ImageCompositeMasked",
        "image",
        {
            "destination": Input("IMAGE"),
            "source": Input("IMAGE"),
            "x": integer(0, 0, 16384),
            "y": integer(0, 0, 16384),
            "resize_source": Input("BOOLEAN", {"default": False}),
            "mask": Input("MASK", required=False),
        },
        ("IMAGE",),
        _composite,
    ),
    Node(
        "ImageBlend",
        "image/postprocessing",
        {
            "image1": Input("IMAGE"),
            "image2": Input("IMAGE"),
            "blend_factor": number(0.5, 0.0, 1.0),
            "blend_mode": Input(["normal", "multiply", "screen", "overlay", "soft_light", "difference"]),
        },
        ("IMAGE",),
        _blend,
    ),
    Node(
        "ImageBlur",
        "image/postprocessing",
        {"image": Input("IMAGE"), "blur_radius": integer(1, 1, 31), "sigma": number(1.0, 0.1, 10.0, 0.1)},
        ("IMAGE",),
        _blur,
    ),
    Node(
        "ImageSharpen",
        "image/postprocessing",
        {
            "image": Input("IMAGE"),
            "sharpen_radius": integer(1, 1, 31),
            "sigma": number(1.0, 0.1, 10.0),
            "alpha": number(1.0, 0.0, 5.0),
        },
        ("IMAGE",),
        _sharpen,
    ),
]
