"""The models of the simulated Replicate, with their input schemas.

Schemas are those of the models' API pages and, where there is one, of their published predictor.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final, Literal

Schema = dict[str, Any]

#: A version that does not exist; every other 64 hexadecimal digits name one, whose input is free-form unless
#: it is that of a model below.
MISSING_VERSION: Final = "0" * 64
#: Sizes of FLUX schnell and dev by aspect ratio, in pixels, for one megapixel.
ASPECTS: Final = {
    "1:1": (1024, 1024),
    "16:9": (1344, 768),
    "21:9": (1536, 640),
    "3:2": (1216, 832),
    "2:3": (832, 1216),
    "4:5": (896, 1088),
    "5:4": (1088, 896),
    "3:4": (896, 1152),
    "4:3": (1152, 896),
    "9:16": (768, 1344),
    "9:21": (640, 1536),
}


def _text(**rules: Any) -> Schema:
    return {"type": "string", **rules}


def _choice(*choices: str, default: str) -> Schema:
    return {"type": "string", "enum": list(choices), "default": default}


def _whole(low: int | None = None, high: int | None = None, **rules: Any) -> Schema:
    return {"type": "integer", **_bounds(low, high), **rules}


def _number(low: float | None = None, high: float | None = None, **rules: Any) -> Schema:
    return {"type": "number", **_bounds(low, high), **rules}


def _bounds(low: float | None, high: float | None) -> Schema:
    return {name: bound for name, bound in (("minimum", low), ("maximum", high)) if bound is not None}


def _one_of(*choices: int, default: int) -> Schema:
    return {"type": "integer", "enum": list(choices), "default": default}


FILE: Final = _text(format="uri")
FLAG: Final[Schema] = {"type": "boolean", "default": False}
ON: Final[Schema] = {"type": "boolean", "default": True}
_OUTPUTS: Final[Schema] = {
    "num_outputs": _whole(1, 4, default=1),
    "seed": _whole(),
    "output_format": _choice("webp", "jpg", "png", default="webp"),
    "output_quality": _whole(0, 100, default=80),
    "disable_safety_checker": FLAG,
}
_FLUX: Final[Schema] = {
    "prompt": _text(),
    "aspect_ratio": _choice(*ASPECTS, default="1:1"),
    "megapixels": _choice("1", "0.25", default="1"),
    "go_fast": {"type": "boolean", "default": True},
    **_OUTPUTS,
}


@dataclass(frozen=True, slots=True)
class Model:
    """`output`: a `list` of addresses, `one` address, or one `data` URI. Official ones hide their version.

    `sized`: how large its pictures are: as `flux` makes them, as is `asked`, or as its `source` is; the input
    `factor` multiplies both sides. `pinned` is its real version's id.
    """

    name: str
    properties: Schema
    required: tuple[str, ...] = ("prompt",)
    output: Literal["list", "one", "data"] = "list"
    official: bool = True
    sized: Literal["flux", "asked", "source"] = "flux"
    factor: str = ""
    pinned: str = ""

    @property
    def version(self) -> str:
        """The id of its only version, 64 hexadecimal digits."""
        return self.pinned or hashlib.sha256(self.name.encode()).hexdigest()

    def openapi(self) -> Schema:
        """Its schema as versions show it."""
        one: Schema = {"type": "string", "format": "uri"}
        output: Schema = {"type": "array", "items": one} if self.output == "list" else one
        taken: Schema = {
            "type": "object",
            "title": "Input",
            "required": list(self.required),
            "properties": self.properties,
        }
        return {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "components": {"schemas": {"Input": taken, "Output": {"title": "Output", **output}}},
        }


_ALL: Final = (
    Model("black-forest-labs/flux-schnell", {**_FLUX, "num_inference_steps": _whole(1, 4, default=4)}),
    Model(
        "black-forest-labs/flux-dev",
        {
            **_FLUX,
            "num_inference_steps": _whole(1, 50, default=28),
            "guidance": _number(0, 10, default=3),
            "image": FILE,
            "prompt_strength": _number(0, 1, default=0.8),
        },
    ),
    Model(
        "black-forest-labs/flux-1.1-pro",
        {
            "prompt": _text(),
            "image_prompt": FILE,
            "aspect_ratio": _choice(
                "custom", "1:1", "16:9", "3:2", "2:3", "4:5", "5:4", "9:16", "3:4", "4:3", default="1:1"
            ),
            "width": _whole(256, 1440),
            "height": _whole(256, 1440),
            "safety_tolerance": _whole(1, 6, default=2),
            "seed": _whole(),
            "prompt_upsampling": FLAG,
            "output_format": _choice("webp", "jpg", "png", default="webp"),
            "output_quality": _whole(0, 100, default=80),
        },
        output="one",
    ),
    Model(
        "black-forest-labs/flux-kontext-pro",
        {
            "prompt": _text(),
            "input_image": FILE,
            "aspect_ratio": _choice("match_input_image", *ASPECTS, "2:1", "1:2", default="match_input_image"),
            "output_format": _choice("jpg", "png", default="png"),
            "seed": _whole(),
            "safety_tolerance": _whole(0, 6, default=2),
            "prompt_upsampling": FLAG,
        },
        output="one",
    ),
    Model(
        "black-forest-labs/flux-fill-pro",
        {
            "prompt": _text(),
            "image": FILE,
            "mask": FILE,
            "outpaint": _text(default="None"),
            "seed": _whole(),
            "steps": _whole(15, 50, default=50),
            "prompt_upsampling": FLAG,
            "guidance": _number(1.5, 100, default=60),
            "safety_tolerance": _whole(1, 6, default=2),
            "output_format": _choice("jpg", "png", default="jpg"),
        },
        required=("prompt", "image"),
        output="one",
    ),
    Model(
        "nightmareai/real-esrgan",
        {"image": FILE, "scale": _number(0, 10, default=4), "face_enhance": FLAG},
        required=("image",),
        output="one",
        sized="source",
        factor="scale",
        pinned="f121d640bd286e1fdc67f9799164c1d5be36ff74576ee11c803ae5b665dd46aa",
    ),
    Model(
        "philz1337x/clarity-upscaler",
        {
            "image": FILE,
            "mask": FILE,
            "prompt": _text(default="masterpiece, best quality, highres"),
            "negative_prompt": _text(default="(worst quality, low quality, normal quality:2)"),
            "scale_factor": _number(default=2),
            "dynamic": _number(1, 50, default=6),
            "creativity": _number(0, 1, default=0.35),
            "resemblance": _number(0, 3, default=0.6),
            "tiling_width": _one_of(*range(16, 257, 16), default=112),
            "tiling_height": _one_of(*range(16, 257, 16), default=144),
            "sd_model": _text(default="juggernaut_reborn.safetensors [338b85bc4f]"),
            "scheduler": _text(default="DPM++ 3M SDE Karras"),
            "num_inference_steps": _whole(1, 100, default=18),
            "seed": _whole(default=1337),
            "downscaling": FLAG,
            "downscaling_resolution": _whole(default=768),
            "lora_links": _text(default=""),
            "custom_sd_model": _text(default=""),
            "sharpen": _number(0, 10, default=0),
            "handfix": _choice("disabled", "hands_only", "image_and_hands", default="disabled"),
            "pattern": FLAG,
            "output_format": _choice("webp", "jpg", "png", default="png"),
        },
        required=("image",),
        official=False,
        sized="source",
        factor="scale_factor",
        pinned="dfad41707589d68ecdccd1dfa600d55a208f9310748e44bfe35b4a6291453d5e",
    ),
    Model(
        "tencentarc/gfpgan",
        {
            "img": FILE,
            "version": _choice("v1.2", "v1.3", "v1.4", "RestoreFormer", default="v1.4"),
            "scale": _number(default=2),
        },
        required=("img",),
        output="one",
        official=False,
        sized="source",
        factor="scale",
        pinned="0fbacf7afc6c144e5be9767cff80f25aff23e52b0708f17e20f9879b2f21516c",
    ),
    Model(
        "sczhou/codeformer",
        {
            "image": FILE,
            "codeformer_fidelity": _number(0, 1, default=0.5),
            "background_enhance": ON,
            "face_upsample": ON,
            "upscale": _whole(default=2),
        },
        required=("image",),
        output="one",
        official=False,
        sized="source",
        factor="upscale",
        pinned="cc4956dd26fa5a7185d5660cc9100fab1b8070a1d1654a8bb5eb6d443b020bb2",
    ),
    Model(
        "zsxkib/ic-light",
        {
            "subject_image": FILE,
            "prompt": _text(),
            "appended_prompt": _text(default="best quality"),
            "negative_prompt": _text(default="lowres, bad anatomy, bad hands, cropped, worst quality"),
            "width": _one_of(*range(256, 1025, 64), default=512),
            "height": _one_of(*range(256, 1025, 64), default=640),
            "steps": _whole(1, 100, default=25),
            "cfg": _number(1, 32, default=2),
            "highres_scale": _number(1, 3, default=1.5),
            "highres_denoise": _number(0.1, 1, default=0.5),
            "lowres_denoise": _number(0.1, 1, default=0.9),
            "light_source": _choice(
                "None", "Left Light", "Right Light", "Top Light", "Bottom Light", default="None"
            ),
            "seed": _whole(),
            "number_of_images": _whole(1, 12, default=1),
            "output_format": _choice("webp", "jpg", "png", default="webp"),
            "output_quality": _whole(0, 100, default=80),
        },
        required=("subject_image", "prompt"),
        official=False,
        sized="asked",
        factor="highres_scale",
        pinned="d41bcb10d8c159868f4cfbd7c6a2ca01484f7d39e4613419d5952c61562f1ba7",
    ),
    Model(
        "851-labs/background-remover",
        {
            "image": FILE,
            "threshold": _number(default=0),
            "reverse": FLAG,
            "background_type": _text(default="rgba"),
            "format": _text(default="png"),
        },
        required=("image",),
        output="one",
        official=False,
        sized="source",
        pinned="a029dff38972b5fda4ec5d75d7d1cd25aeff621d2cf4946a41055d7db66b80bc",
    ),
    Model(
        "bria/remove-background",
        {
            "image": FILE,
            "image_url": _text(),
            "preserve_partial_alpha": ON,
            "content_moderation": FLAG,
        },
        required=(),
        output="one",
        sized="source",
        pinned="75311b285fb392db04196e36ce3b5b347b674e47ff3e8d1b3839dba67d63858e",
    ),
    Model(
        "bria/generate-background",
        {
            "image": FILE,
            "image_url": _text(),
            "bg_prompt": _text(),
            "ref_image_url": _text(),
            "ref_image_file": FILE,
            "negative_prompt": _text(),
            "sync": ON,
            "refine_prompt": ON,
            "original_quality": FLAG,
            "content_moderation": FLAG,
            "seed": _whole(),
        },
        required=(),
        sized="source",
        pinned="3a1f29aee18799a08d64a8ad8277d7beba24747595f1e191cc7c9f043e0eec7c",
    ),
    Model("acme/portraits", _FLUX, official=False),
    Model("acme/inline", _FLUX, output="data", official=False),
)
MODELS: Final = {model.name: model for model in _ALL}
VERSIONS: Final = {model.version: model for model in _ALL}
#: Deployments by `owner/name`, and the model that each runs.
DEPLOYMENTS: Final = {"acme/fast-flux": MODELS["black-forest-labs/flux-schnell"]}
FREE: Final = Model("acme/unknown", {}, required=(), official=False)
