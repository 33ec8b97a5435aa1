"""Latents: empty ones, encoding and decoding, batches."""

from __future__ import annotations

import asyncio
import dataclasses

from ferrotype.sim import pixels

from .base import Context, Images, Input, Latent, Node, Result, integer


async def _empty(context: Context, width: int, height: int, batch_size: int) -> Result:
    return Result((Latent(width, height, (None,) * batch_size),))


async def _decode(context: Context, samples: Latent, vae: str) -> Result:
    grey = pixels.solid(samples.width, samples.height, (127, 127, 127))
    return Result((tuple(picture if picture is not None else grey for picture in samples.pictures),))


async def _encode(context: Context, pixels: Images, vae: str) -> Result:
    return Result((Latent(pixels[0].width, pixels[0].height, pixels),))


async def _encode_inpaint(
    context: Context, pixels: Images, vae: str, mask: Images, grow_mask_by: int
) -> Result:
    return Result((Latent(pixels[0].width, pixels[0].height, pixels, mask[0]),))


async def _set_mask(context: Context, samples: Latent, mask: Images) -> Result:
    return Result((dataclasses.replace(samples, mask=mask[0]),))


async def _repeat(context: Context, samples: Latent, amount: int) -> Result:
    return Result((dataclasses.replace(samples, pictures=samples.pictures * amount),))


async def _from_batch(context: Context, samples: Latent, batch_index: int, length: int) -> Result:
    first = min(batch_index, len(samples.pictures) - 1)
    return Result((dataclasses.replace(samples, pictures=samples.pictures[first : first + length]),))


async def _upscale(
    context: Context, samples: Latent, upscale_method: str, width: int, height: int, crop: str
) -> Result:
    width = width or round(samples.width * height / samples.height) or samples.width
    height = height or round(samples.height * width / samples.width)
    grown = await asyncio.to_thread(
        lambda: tuple(None if p is None else pixels.fit(p, width, height) for p in samples.pictures)
    )
    return Result((Latent(width, height, grown, samples.mask),))


async def _save(context: Context, samples: Latent, filename_prefix: str) -> Result:
    stub = f"simulated latent {samples.width}x{samples.height} x{len(samples.pictures)}".encode()
    entry = await context.save_bytes(stub, filename_prefix, ".latent", (0, 0))
    return Result(ui={"latents": [entry]})


_SIDE = {"tooltip": "in pixels"}
_EMPTY = {
    "width": integer(512, 16, 16384, 8, **_SIDE),
    "height": integer(512, 16, 16384, 8, **_SIDE),
    "batch_size": integer(1, 1, 4096),
}

NODES = [
    Node("EmptyLatentImage", "latent", _EMPTY, ("LATENT",), _empty),
    Node("EmptySD3LatentImage", "latent/sd3", _EMPTY, ("LATENT",), _empty),
    Node("VAEDecode", "latent", {"samples": Input("LATENT"), "vae": Input("VAE")}, ("IMAGE",), _decode),
    Node("VAEEncode", "latent", {"pixels": Input("IMAGE"), "vae": Input("VAE")}, ("LATENT",), _encode),
    Node(
        "VAEEncodeForInpaint",
        "latent/inpaint",
        {
            "pixels": Input("IMAGE"),
            "vae": Input("VAE"),
            "mask": Input("MASK"),
            "grow_mask_by": integer(6, 0, 64),
        },
        ("LATENT",),
        _encode_inpaint,
    ),
    Node(
        "SetLatentNoiseMask",
        "latent/inpaint",
        {"samples": Input("LATENT"), "mask": Input("MASK")},
        ("LATENT",),
        _set_mask,
    ),
    Node(
        "RepeatLatentBatch",
        "latent/batch",
        {"samples": Input("LATENT"), "amount": integer(1, 1, 64)},
        ("LATENT",),
        _repeat,
    ),
    Node(
        "LatentFromBatch",
        "latent/batch",
        {"samples": Input("LATENT"), "batch_index": integer(0, 0, 63), "length": integer(1, 1, 64)},
        ("LATENT",),
        _from_batch,
    ),
    Node(
        "LatentUpscale",
        "latent",
        {
            "samples": Input("LATENT"),
            "upscale_method": Input(["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]),
            "width": integer(512, 0, 16384, 8),
            "height": integer(512, 0, 16384, 8),
            "crop": Input(["disabled", "center"]),
        },
        ("LATENT",),
        _upscale,
    ),
    Node(
        "SaveLatent",
        "_for_testing",
        {
            "samples": Input("LATENT"),
            "filename_prefix": Input("STRING", {"default": "latents/ComfyUI"}),
        },
        (),
        _save,
        output_node=True,
        hidden=("prompt", "extra_pnginfo"),
    ),
]
