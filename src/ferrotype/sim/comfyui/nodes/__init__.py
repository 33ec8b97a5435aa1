"""The registry of simulated nodes: enough for text to image, edits, inpainting, upscaling and batches."""

from __future__ import annotations

from . import images, latents, models, outputs, upscale
from .base import Node

REGISTRY: dict[str, Node] = {
    node.name: node for node in [*models.NODES, *latents.NODES, *images.NODES, *upscale.NODES, *outputs.NODES]
}
