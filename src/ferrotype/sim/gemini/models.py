"""The image models that the simulator knows, as Google's page on image generation tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

#: Pixels at 1K; other sizes are multiples.
SHAPES: Final = {
    "1:1": (1024, 1024),
    "2:3": (848, 1264),
    "3:2": (1264, 848),
    "3:4": (896, 1200),
    "4:3": (1200, 896),
    "4:5": (928, 1152),
    "5:4": (1152, 928),
    "9:16": (768, 1376),
    "16:9": (1376, 768),
    "21:9": (1584, 672),
}
NARROW: Final = {"1:4": (512, 2048), "4:1": (2048, 512), "1:8": (384, 3072), "8:1": (3072, 384)}
SCALES: Final = {"512": 0.5, "1K": 1.0, "2K": 2.0, "4K": 4.0}


@dataclass(frozen=True, slots=True)
class ImageModel:
    """What one model makes: tokens per picture by size, shapes with their pixels at 1K."""

    name: str
    title: str
    tokens: dict[str, int]
    shapes: dict[str, tuple[int, int]]

    def to_json(self) -> dict[str, Any]:
        """As `models.get` tells of it."""
        return {
            "name": f"models/{self.name}",
            "version": "001",
            "displayName": self.title,
            "description": self.title,
            "inputTokenLimit": 65_536,
            "outputTokenLimit": 32_768,
            "supportedGenerationMethods": ["generateContent", "countTokens", "batchGenerateContent"],
            "temperature": 1,
            "topP": 0.95,
            "topK": 64,
            "thinking": True,
        }

    def size(self, shape: str, resolution: str) -> tuple[int, int]:
        """Width and height in pixels."""
        width, height = self.shapes[shape]
        scale = SCALES[resolution]
        return round(width * scale), round(height * scale)

    def nearest(self, width: int, height: int) -> str:
        """The shape that is most like a picture's."""
        proportion = width / height
        return min(
            self.shapes, key=lambda name: abs(self.shapes[name][0] / self.shapes[name][1] - proportion)
        )


MODELS: Final = {
    model.name: model
    for model in (
        ImageModel(
            "gemini-3.1-flash-image",
            "Nano Banana 2",
            {"512": 747, "1K": 1120, "2K": 1680, "4K": 2520},
            SHAPES | NARROW,
        ),
        ImageModel("gemini-3.1-flash-lite-image", "Nano Banana 2 Lite", {"1K": 1120}, SHAPES | NARROW),
        ImageModel("gemini-3-pro-image", "Nano Banana Pro", {"1K": 1120, "2K": 1120, "4K": 2000}, SHAPES),
    )
}
