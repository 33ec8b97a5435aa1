"""What runs on the simulated endpoints: each worker reads a job's input and returns what its handler would.

Sources: `handler.py` of worker-comfyui 5.8 and `src/rp_handler.py` of 3.6; `rp_job.py` and `rp_validator.py`
of the SDK `runpod` 1.12; the pages of RunPod's public endpoints.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from ferrotype.sim.hosted import Work
from ferrotype.sim.runpod.comfy import fault_of, read_graph

#: Where a finished picture can be fetched, by index.
Address = Callable[[int], str]


class Complaint(Exception):
    """What the handler returns as `error`: it does not take the input. `details` go into its output."""

    def __init__(self, error: Any, details: list[str] | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.details = details


class Crash(Exception):
    """The handler raises: the SDK makes JSON text of it."""


class Worker(Protocol):
    """One kind of worker."""

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        """Fills in what is to be made. Raises Complaint."""
        ...

    def result(self, work: Work, address: Address) -> Any:
        """What the handler returns. Raises Complaint or Crash."""
        ...

    def progress(self, work: Work) -> Any:
        """The last word of `progress_update`; None where the handler tells nothing."""
        ...


@dataclass(frozen=True, slots=True)
class ComfyWorker:
    """worker-comfyui from 5.0. With `bucket` its pictures are put into a bucket."""

    bucket: bool = False

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        if given.get("workflow") is None:
            raise Complaint("Missing 'workflow' parameter")
        images = given.get("images")
        if images is not None and not _are_named(images):
            raise Complaint("'images' must be a list of objects with 'name' and 'image' keys")
        uploaded = {image["name"]: self._decoded(image) for image in images or []}
        wrong = fault_of(given["workflow"], set(uploaded))
        if wrong is not None:
            raise Complaint(wrong)
        read_graph(given["workflow"], work)
        work.source = next(iter(uploaded.values()), None)

    def _decoded(self, image: Mapping[str, str]) -> bytes:
        _, comma, tail = image["image"].partition(",")
        try:
            return base64.b64decode(tail if comma else image["image"])
        except binascii.Error as error:
            text = f"Error decoding base64 for {image['name']}: {error}"
            raise Complaint("Failed to upload one or more input images", [text]) from None

    def result(self, work: Work, address: Address) -> Any:
        if work.fault is not None and work.fault.kind == "error":
            node = f"Node Type: KSampler, Node ID: 3, Message: {work.fault.message}"
            raise Complaint("Job processing failed", [f"Workflow execution error: {node}"])
        if work.fault is not None and work.fault.kind == "refusal":
            raise Complaint(work.fault.message)
        if not work.pictures:
            return {"status": "success_no_images", "images": []}
        return {"images": [self._image(work, index, address) for index in range(len(work.pictures))]}

    def _image(self, work: Work, index: int, address: Address) -> dict[str, str]:
        filename = f"{work.request['prefix']}_{index + 1:05}_.png"
        if self.bucket:
            return {"filename": filename, "type": "s3_url", "data": address(index)}
        return {"filename": filename, "type": "base64", "data": _base64(work.pictures[index])}

    def progress(self, work: Work) -> Any:
        return None


@dataclass(frozen=True, slots=True)
class OldComfyWorker:
    """worker-comfyui before 5.0: one picture, in `message`. It takes no data URIs."""

    bucket: bool = False

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        if any("," in str(image.get("image")) for image in given.get("images") or []):
            raise Complaint("Some images failed to upload", ["Error uploading: Incorrect padding"])
        ComfyWorker().read(given, work)

    def result(self, work: Work, address: Address) -> Any:
        if work.fault is not None and work.fault.kind in ("error", "refusal"):
            raise Complaint(f"Error waiting for image generation: {work.fault.message}")
        if not work.pictures:
            path = "/comfyui/output/ComfyUI_00001_.png"
            text = f"the image does not exist in the specified output folder: {path}"
            return {"status": "error", "message": text}
        last = len(work.pictures) - 1
        message = address(last) if self.bucket else _base64(work.pictures[last])
        return {"status": "success", "message": message}

    def progress(self, work: Work) -> Any:
        return None


#: Input of the handler below: name, type, whether it is required.
SCHEMA: Final[Mapping[str, tuple[type, bool]]] = {
    "prompt": (str, True),
    "negative_prompt": (str, False),
    "seed": (int, False),
    "width": (int, False),
    "height": (int, False),
    "num_images": (int, False),
    "image": (str, False),
    "images": (list, False),
    "mask": (str, False),
    "strength": (float, False),
}


@dataclass(frozen=True, slots=True)
class HandlerWorker:
    """A handler as people write them: `rp_validator`, `progress_update`, pictures as base64."""

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        errors = [
            f"Unexpected input. {key} is not a valid input option." for key in given if key not in SCHEMA
        ]
        for key, (kind, required) in SCHEMA.items():
            if required and key not in given:
                errors.append(f"{key} is a required input.")
            value = given.get(key)
            if value is not None and not isinstance(value, (float, int) if kind is float else kind):
                errors.append(f"{key} should be {kind} type, not {type(value)}.")
        if errors:
            raise Complaint(errors)
        work.prompt, work.seed = given["prompt"], given.get("seed", 0)
        work.width, work.height = given.get("width", 1024), given.get("height", 1024)
        work.count = given.get("num_images", 1)
        pictures = given.get("images") or [given.get("image")]
        if pictures[0]:
            work.source = base64.b64decode(pictures[0].rpartition(",")[2])

    def result(self, work: Work, address: Address) -> Any:
        if work.fault is not None and work.fault.kind == "error":
            raise Crash(work.fault.message)
        if work.fault is not None and work.fault.kind == "refusal":
            raise Complaint(work.fault.message)
        return {"images": [_base64(picture) for picture in work.pictures], "seed": work.seed}

    def progress(self, work: Work) -> Any:
        return f"Update {work.step}/{work.steps}" if work.step else None


@dataclass(frozen=True, slots=True)
class PublicWorker:
    """One of RunPod's public endpoints: a picture's address and what it cost."""

    usd_per_megapixel: float = 0.0024

    def read(self, given: Mapping[str, Any], work: Work) -> None:
        if not given.get("prompt"):
            raise Complaint("Invalid parameter: prompt is required")
        size = str(given.get("size", "")).partition("*")
        width, height = (
            (size[0], size[2]) if size[1] else (given.get("width", 1024), given.get("height", 1024))
        )
        for name, value in (("width", width), ("height", height)):
            if not str(value).isdecimal() or not 256 <= int(value) <= 1536:
                raise Complaint(f"Invalid parameter: {name} must be between 256 and 1536")
            if not size[1] and int(value) % 64:
                raise Complaint(f"Invalid parameter: {name} must be divisible by 64")
        form = str(given.get("image_format") or given.get("output_format") or "jpeg").upper()
        if form not in ("JPEG", "PNG", "WEBP"):
            raise Complaint("Invalid parameter: unknown output format")
        work.prompt, work.width, work.height, work.form = given["prompt"], int(width), int(height), form
        work.seed = max(0, int(given.get("seed", 0)))

    def result(self, work: Work, address: Address) -> Any:
        if work.fault is not None and work.fault.kind in ("error", "refusal"):
            raise Complaint(work.fault.message)
        cost = work.width * work.height / 1e6 * self.usd_per_megapixel
        return {"cost": cost, "image_url": address(0)} if work.pictures else {"cost": cost}

    def progress(self, work: Work) -> Any:
        return None


#: The endpoints of the simulated account, by id.
ENDPOINTS: Final[Mapping[str, Worker]] = {
    "comfyui": ComfyWorker(),
    "comfyui-s3": ComfyWorker(bucket=True),
    "comfyui-4": OldComfyWorker(),
    "comfyui-4-s3": OldComfyWorker(bucket=True),
    "handler": HandlerWorker(),
    "black-forest-labs-flux-1-schnell": PublicWorker(),
    "black-forest-labs-flux-1-dev": PublicWorker(usd_per_megapixel=0.02),
    "z-image-turbo": PublicWorker(usd_per_megapixel=0.005),
}


def crashed(error: Crash) -> str:
    """What `run_job` of the SDK makes of an exception."""
    return json.dumps(
        {
            "error_type": "<class 'RuntimeError'>",
            "error_message": str(error),
            "error_traceback": f'Traceback (most recent call last):\n  File "/handler.py", line 7\n{error}',
            "hostname": "unknown",
            "worker_id": "w1a2b3c4d5",
            "runpod_version": "1.7.12",
        }
    )


def _are_named(images: Any) -> bool:
    return isinstance(images, list) and all(
        isinstance(image, dict) and isinstance(image.get("name"), str) and isinstance(image.get("image"), str)
        for image in images
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
