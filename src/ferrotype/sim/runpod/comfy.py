"""A ComfyUI workflow, read as far as the simulated worker needs it: is it sound, and what will it make?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ferrotype.sim.hosted import Work

SAVERS = ("SaveImage", "SaveAnimatedPNG", "SaveAnimatedWEBP")
PREVIEWS = ("PreviewImage", "SaveImageWebsocket")
#: Samplers that every server has; what else is named is taken.
SAMPLERS = ("euler", "euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "lcm", "ddim", "uni_pc")


def fault_of(graph: Any, uploaded: set[str]) -> str | None:
    """What worker-comfyui answers to a workflow that its ComfyUI refuses; None for a sound one."""
    if not isinstance(graph, dict) or not graph or not all(_is_node(node) for node in graph.values()):
        return "Cannot execute because a node is missing the class_type property."
    if not any(node["class_type"] in SAVERS + PREVIEWS for node in graph.values()):
        return "Prompt has no outputs"
    lines = [f"• Node {key} (errors): {[wrong]}" for key, wrong in _faults(graph, uploaded)]
    return "\n".join(["Workflow validation failed:", *lines]) if lines else None


def _faults(graph: Mapping[str, Any], uploaded: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for key, node in graph.items():
        for label, value in node["inputs"].items():
            if _is_link(value) and value[0] not in graph:
                yield key, {"type": "return_type_mismatch", "message": "Bad linked input", "details": label}
        if node["class_type"] in ("LoadImage", "LoadImageMask"):
            name = node["inputs"].get("image")
            if name not in uploaded:
                details = f"image - Invalid image file: {name}"
                message = "Custom validation failed for node"
                yield key, {"type": "custom_validation_failed", "message": message, "details": details}
        sampler = node["inputs"].get("sampler_name")
        if sampler is not None and not _is_link(sampler) and sampler not in SAMPLERS:
            details = f"sampler_name: '{sampler}' not in {list(SAMPLERS)}"
            yield key, {"type": "value_not_in_list", "message": "Value not in list", "details": details}


def read_graph(graph: Mapping[str, Any], work: Work) -> None:
    """Prompt, seed, size and number of pictures of a sound workflow."""
    for node in graph.values():
        inputs, kind = node["inputs"], node["class_type"]
        if "Sampler" in kind and _is_link(inputs.get("positive")):
            work.prompt = str(graph[inputs["positive"][0]]["inputs"].get("text", ""))
        for name in ("seed", "noise_seed"):
            if isinstance(inputs.get(name), int):
                work.seed = inputs[name]
        if kind.startswith("Empty") and isinstance(inputs.get("width"), int):
            work.width, work.height = inputs["width"], inputs["height"]
            work.count = inputs.get("batch_size", 1)
        if kind in SAVERS:
            work.request["prefix"] = inputs.get("filename_prefix", "ComfyUI")
    if "prefix" not in work.request:
        work.count, work.request["prefix"] = 0, ""  # the worker leaves out what is not saved


def _is_node(node: Any) -> bool:
    return (
        isinstance(node, dict)
        and isinstance(node.get("class_type"), str)
        and isinstance(node.get("inputs"), dict)
    )


def _is_link(value: Any) -> bool:
    match value:
        case [str(), int()]:
            return True
        case _:
            return False
