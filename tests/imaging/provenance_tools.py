"""What the tests of provenance share: other people's tools, and pictures as ComfyUI writes them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from PIL.PngImagePlugin import PngInfo
from tests.imaging.imaging_pictures import scene
from tests.sdk.exiftool import exiftool

from ferrotype.imaging.provenance.containers import Part, Reader, spans
from ferrotype.imaging.sniff import ImageType

TRAINED = "trainedAlgorithmicMedia"
URI = "http://cv.iptc.org/newscodes/digitalsourcetype/"
PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 5, "text": "a secret fox"}}}
WORKFLOW = {"last_node_id": 9, "nodes": [{"id": 3, "type": "KSampler"}], "extra": {"ds": "secret"}}
A1111 = "a secret fox\nNegative prompt: dogs\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5"


def told(path: Path, data: bytes) -> dict[str, Any]:
    """What exiftool reads, by group and name, numbers and terms as they stand in the file."""
    path.write_bytes(data)
    command = [*exiftool(), "-json", "-G1", "-n", "-validate", "-warning", "-error", "-a", "-all", str(path)]
    found = subprocess.run(command, capture_output=True, check=True, timeout=60)
    (result,) = json.loads(found.stdout)
    return dict(result)


def complaints(found: dict[str, Any]) -> list[str]:
    """What exiftool holds against a file."""
    return [str(value) for key, value in found.items() if key in ("ExifTool:Warning", "ExifTool:Error")]


def split(data: bytes) -> tuple[ImageType, list[Part]]:
    """The type and the parts of a file, the rest of it last."""
    reader = Reader(data)
    kind, found = spans(reader)
    return kind, [reader.body(span) for span in found]


def frames(data: bytes) -> list[NDArray[np.uint8]]:
    """Every frame as Pillow decodes it."""
    with Image.open(io.BytesIO(data)) as image:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def check_pixels(found: bytes, expected: bytes) -> None:
    before, after = frames(expected), frames(found)
    assert len(before) == len(after) >= 1
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old, new)


def picture() -> Image.Image:
    return Image.open(io.BytesIO(scene().pngsave_buffer(keep="none"))).convert("RGB")


def save_image() -> bytes:
    """As ComfyUI's `SaveImage` does: a text chunk for the prompt, one for each extra."""
    metadata = PngInfo()
    metadata.add_text("prompt", json.dumps(PROMPT))
    metadata.add_text("workflow", json.dumps(WORKFLOW))
    file = io.BytesIO()
    picture().save(file, "PNG", pnginfo=metadata, compress_level=4)
    return file.getvalue()


def save_animated_png(*, told: bool = True) -> bytes:
    """As ComfyUI's `SaveAnimatedPNG` does: chunks of a type of its own, behind the first IDAT."""
    metadata = PngInfo()
    for name, value in (("prompt", PROMPT), ("workflow", WORKFLOW)) if told else ():
        text = name.encode("latin-1") + b"\0" + json.dumps(value).encode("latin-1")
        metadata.add(b"comf", text, after_idat=True)
    file, first = io.BytesIO(), picture()
    others = [first.rotate(180), first.rotate(90)]
    first.save(file, "PNG", pnginfo=metadata, save_all=True, duration=100, append_images=others)
    return file.getvalue()


def save_animated_webp(count: int = 1) -> bytes:
    """As ComfyUI's `SaveAnimatedWEBP` does: EXIF texts from `Model` downwards."""
    first = picture()
    metadata = first.getexif()
    metadata[0x0110] = f"prompt:{json.dumps(PROMPT)}"
    metadata[0x010F] = f"workflow:{json.dumps(WORKFLOW)}"
    metadata[0x010E] = f"secret_extra:{json.dumps([{'a': 1}])}"
    file, others = io.BytesIO(), [first.rotate(180)] * (count - 1)
    first.save(file, "WEBP", save_all=True, duration=100, append_images=others, exif=metadata, lossless=False)
    return file.getvalue()


def jpeg_with_comment() -> bytes:
    """As nodes by others do: AUTOMATIC1111's words in the user's comment, beside what a camera would say."""
    first = picture()
    metadata = first.getexif()
    metadata[0x010F], metadata[0x0112], metadata[0x0131] = "Acme", 6, "darkroom 1.0"
    details = metadata.get_ifd(0x8769)
    details[0x9286] = b"UNICODE\0" + A1111.encode("utf-16-be")
    details[0xA434] = "Acme 50 mm"
    file = io.BytesIO()
    first.save(file, "JPEG", exif=metadata, comment=json.dumps(WORKFLOW).encode(), quality=90)
    return file.getvalue()


def read_manifest(path: Path, data: bytes, content_type: str, anchors: Path | None = None) -> dict[str, Any]:
    """What c2pa's own reader says of it, in a process that has nothing of ours."""
    path.write_bytes(data)
    trust = {"trust": {"user_anchors": anchors.read_text()}} if anchors else {}
    settings = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}, **trust}
    program = (
        "import json, sys, c2pa\n"
        "context = c2pa.Context.from_dict(json.loads(sys.argv[3]))\n"
        "with open(sys.argv[1], 'rb') as file:\n"
        "    print(c2pa.Reader(sys.argv[2], file, context=context).json())\n"
    )
    command = [sys.executable, "-I", "-c", program, str(path), content_type, json.dumps(settings)]
    found = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return dict(json.loads(found.stdout))
