"""Output nodes, and the probe nodes that the recordings of the real server were made with."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any

from ferrotype.sim import pixels
from ferrotype.sim.comfyui.folders import Folders
from ferrotype.sim.comfyui.script import Script

from .base import Context, Images, Input, Node, NodeFailure, Result, integer, number, tensor_text


async def _save(context: Context, images: Images, filename_prefix: str) -> Result:
    return Result(ui={"images": await context.save(images, filename_prefix, "output")})


async def _preview(context: Context, images: Images) -> Result:
    letters = "".join(secrets.choice("abcdefghijklmnopqrstupvxyz") for _ in range(5))
    return Result(ui={"images": await context.save(images, f"ComfyUI_temp_{letters}", "temp")})


async def _save_websocket(context: Context, images: Images) -> Result:
    for index, picture in enumerate(images):
        data = await asyncio.to_thread(pixels.png, picture)
        await context.report(index, len(images), ("PNG", data))
    return Result()


def _never_the_same(script: Script, folders: Folders, inputs: Mapping[str, Any]) -> float:
    return time.monotonic()


async def _save_webp(
    context: Context,
    images: Images,
    filename_prefix: str,
    fps: float,
    lossless: bool,
    quality: int,
    method: str,
) -> Result:
    data = await asyncio.to_thread(pixels.animation, images, fps)
    size = (images[0].width, images[0].height)
    entry = await context.save_bytes(data, filename_prefix, ".webp", size)
    return Result(ui={"images": [entry], "animated": [len(images) != 1]})


async def _save_apng(
    context: Context, images: Images, filename_prefix: str, fps: float, compress_level: int
) -> Result:
    # libvips writes no animated PNG: the first picture stands for the file.
    data = await asyncio.to_thread(pixels.png, images[0])
    size = (images[0].width, images[0].height)
    entry = await context.save_bytes(data, filename_prefix, ".png", size)
    return Result(ui={"images": [entry], "animated": [len(images) != 1]})


async def _show(context: Context, source: Any) -> Result:
    return Result(ui={"text": [tensor_text(source)]})


async def _probe_steps(context: Context, image: Images, steps: int, seconds: float, preview: str) -> Result:
    # The pace is the script's, so that tests need not wait as the recorded node did.
    frame = (
        (preview, await asyncio.to_thread(pixels.preview, image[0], preview)) if preview != "none" else None
    )
    for value in range(1, steps + 1):
        await context.step(value, steps, frame)
    return Result((image,))


async def _probe_sleep(context: Context, image: Images, seconds: float) -> Result:
    await context.sleep_deaf()
    return Result((image,))


async def _probe_raise(context: Context, image: Images, message: str) -> Result:
    raise NodeFailure("RuntimeError", message)


async def _probe_text(context: Context, image: Images, text: str) -> Result:
    context.text(text)
    return Result((image,))


_HIDDEN = ("prompt", "extra_pnginfo")
_IMAGE = {"image": Input("IMAGE")}
_PREFIX = Input("STRING", {"default": "ComfyUI"})

NODES = [
    Node(
        "SaveImage",
        "image",
        {"images": Input("IMAGE", {"tooltip": "The images to save."}), "filename_prefix": _PREFIX},
        (),
        _save,
        output_node=True,
        hidden=_HIDDEN,
    ),
    Node("PreviewImage", "image", {"images": Input("IMAGE")}, (), _preview, output_node=True, hidden=_HIDDEN),
    Node(
        "SaveImageWebsocket",
        "api/image",
        {"images": Input("IMAGE")},
        (),
        _save_websocket,
        output_node=True,
        changed=_never_the_same,
    ),
    Node(
        "SaveAnimatedWEBP",
        "image/animation",
        {
            "images": Input("IMAGE"),
            "filename_prefix": _PREFIX,
            "fps": number(6.0, 0.01, 1000.0),
            "lossless": Input("BOOLEAN", {"default": True}),
            "quality": integer(80, 0, 100),
            "method": Input(["default", "fastest", "slowest"]),
        },
        (),
        _save_webp,
        output_node=True,
        hidden=_HIDDEN,
    ),
    Node(
        "SaveAnimatedPNG",
        "image/animation",
        {
            "images": Input("IMAGE"),
            "filename_prefix": _PREFIX,
            "fps": number(6.0, 0.01, 1000.0),
            "compress_level": integer(4, 0, 9),
        },
        (),
        _save_apng,
        output_node=True,
        hidden=_HIDDEN,
    ),
    Node("PreviewAny", "utils", {"source": Input("*")}, (), _show, output_node=True),
    Node(
        "ProbeSteps",
        "probe",
        {
            **_IMAGE,
            "steps": integer(5, 1, 10000),
            "seconds": number(0.1, 0.0, 3600.0),
            "preview": Input(["none", "JPEG", "PNG"]),
        },
        ("IMAGE",),
        _probe_steps,
    ),
    Node(
        "ProbeBlockingSleep",
        "probe",
        {**_IMAGE, "seconds": number(1.0, 0.0, 3600.0)},
        ("IMAGE",),
        _probe_sleep,
    ),
    Node("ProbeRaise", "probe", {**_IMAGE, "message": Input("STRING")}, ("IMAGE",), _probe_raise),
    Node("ProbeText", "probe", {**_IMAGE, "text": Input("STRING")}, ("IMAGE",), _probe_text),
]
