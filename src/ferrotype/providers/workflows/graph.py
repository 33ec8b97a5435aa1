"""What a filled workflow tells before it runs: what its nodes weigh, what its pictures will measure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ferrotype.providers.workflows.templates import is_link

Node = Mapping[str, Any]
Graph = Mapping[str, Node]

#: The class whose pictures arrive on the websocket instead of in a file.
WEBSOCKET_SAVER: Final = "SaveImageWebsocket"
#: Core nodes that end in pictures.
SAVERS: Final = frozenset({"SaveImage", "PreviewImage", WEBSOCKET_SAVER})

#: Weight of a node that does one thing, in sampling steps.
LIGHT: Final = 0.5
_USUAL_STEPS: Final = 20
_MOST_STEPS: Final = 1_000

#: Nodes that hand the size of one input on, and that input.
_SAME_SIZE: Final[Mapping[str, str]] = {
    "VAEDecode": "samples",
    "VAEDecodeTiled": "samples",
    "KSampler": "latent_image",
    "KSamplerAdvanced": "latent_image",
    "SamplerCustom": "latent_image",
    "SamplerCustomAdvanced": "latent_image",
    "RepeatLatentBatch": "samples",
    "RepeatImageBatch": "image",
    "SetLatentNoiseMask": "samples",
    "VAEEncode": "pixels",
    "ImageInvert": "image",
    "ImageAddNoise": "image",
    "ImageCompositeMasked": "destination",
}
_EXACT: Final = frozenset({"EmptyImage", "ImageScale"})
#: Sizes of latents are whole blocks of this many pixels.
_LATENT_BLOCK: Final = 8
_LATENTS: Final = frozenset({"EmptyLatentImage", "EmptySD3LatentImage"})


def class_of(graph: Graph, node: str) -> str:
    """The node's class; empty for a node that is not in the graph."""
    return str(graph.get(node, {}).get("class_type", ""))


def savers(graph: Graph) -> list[str]:
    """The core nodes that end in pictures."""
    return [node for node in graph if class_of(graph, node) in SAVERS]


def only_by_websocket(graph: Graph) -> bool:
    """Whether its pictures can come in no other way."""
    ends = {class_of(graph, node) for node in savers(graph)}
    return ends == {WEBSOCKET_SAVER}


def weights(graph: Graph, dead: Iterable[str] = ()) -> dict[str, float]:
    """Each node that will run and its weight: samplers count their steps, every other node little.

    `dead` are output nodes that the server refused: they and what only they need do not run.
    """
    linked = {value[0] for node in graph.values() for value in _inputs(node).values() if is_link(value)}
    gone = set(dead)
    pending = [node for node in graph if node not in linked and node not in gone]
    live: set[str] = set()
    while pending:
        node = pending.pop()
        if node in live or node not in graph:
            continue
        live.add(node)
        pending += [value[0] for value in _inputs(graph[node]).values() if is_link(value)]
    return {node: _weight(graph, node) for node in graph if node in live}


def picture_size(graph: Graph, node: str) -> tuple[int, int] | None:
    """Width and height of what a saving node gets, in pixels; None unless the workflow makes it certain."""
    current = _source(graph, node, "images")
    for _ in graph:  # no path is longer, and a cycle ends here
        if current is None:
            return None
        inputs, kind = _inputs(graph[current]), class_of(graph, current)
        if kind in _SAME_SIZE:
            current = _source(graph, current, _SAME_SIZE[kind])
            continue
        width, height = inputs.get("width"), inputs.get("height")
        if not isinstance(width, int) or not isinstance(height, int) or width < 1 or height < 1:
            return None  # for ImageScale, 0 means: by the other side
        if kind in _EXACT:
            return width, height
        if kind in _LATENTS:
            return width // _LATENT_BLOCK * _LATENT_BLOCK, height // _LATENT_BLOCK * _LATENT_BLOCK
        return None
    return None


def _weight(graph: Graph, node: str) -> float:
    inputs = _inputs(graph[node])
    name = class_of(graph, node).lower()
    if "scheduler" in name or "select" in name:
        return LIGHT  # they state `steps` and take no time
    steps = inputs.get("steps")
    if steps is None and "sampler" in name and "latent_image" in inputs:
        sigmas = _source(graph, node, "sigmas")
        steps = _inputs(graph[sigmas]).get("steps", _USUAL_STEPS) if sigmas is not None else _USUAL_STEPS
    if isinstance(steps, int) and steps > 0:
        return float(min(steps, _MOST_STEPS))
    return LIGHT


def _inputs(node: Node) -> Mapping[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _source(graph: Graph, node: str, label: str) -> str | None:
    value = _inputs(graph.get(node, {})).get(label)
    return value[0] if is_link(value) and value[0] in graph else None
