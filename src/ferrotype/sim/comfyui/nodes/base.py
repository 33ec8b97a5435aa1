"""What a simulated node is: its inputs as /object_info tells them, and the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from ferrotype.sim.comfyui.folders import Folders
from ferrotype.sim.comfyui.script import Script
from ferrotype.sim.pixels import Picture

Images = tuple[Picture, ...]


class NodeFailure(Exception):
    """A run-time error of a node. `kind` is the Python exception type that the real server would name."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Latent:
    """A latent batch: pixel size, what it holds (None where it is still empty) and an inpainting mask."""

    width: int
    height: int
    pictures: tuple[Picture | None, ...]
    mask: Picture | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What a node gives: its output slots, and what `executed` and the history show of it."""

    outputs: tuple[Any, ...] = ()
    ui: dict[str, Any] | None = None


class Context(Protocol):
    """What a running node sees of the server."""

    node_id: str
    prompt_id: str
    script: Script
    folders: Folders
    prompt: Mapping[str, Any]
    extra_data: Mapping[str, Any]

    async def step(self, value: int, total: int, preview: tuple[str, bytes] | None = None) -> None:
        """Reports progress after latency, gates and faults; raises Interrupted when asked to stop.
        `preview` is a form (JPEG, PNG) and the bytes."""
        ...

    async def report(self, value: int, total: int, preview: tuple[str, bytes] | None = None) -> None:
        """Reports progress at once."""
        ...

    async def sleep_deaf(self) -> None:
        """One step's wait that does not look at interrupts."""
        ...

    def text(self, text: str) -> None:
        """Sends a progress text (binary frame 3)."""
        ...

    async def save(self, pictures: Images, prefix: str, kind: str) -> list[dict[str, str]]:
        """Writes PNGs with the prompt in their text chunks; gives the `images` entries."""
        ...

    async def save_bytes(
        self, data: bytes, prefix: str, suffix: str, size: tuple[int, int]
    ) -> dict[str, str]:
        """Writes one file to the output folder; gives its entry."""
        ...


Options = Mapping[str, Any]
Choices = Callable[[Script, Folders], list[str]]


@dataclass(frozen=True, slots=True)
class Input:
    """One input: a type name, a fixed list of choices, or a function that makes the list."""

    kind: str | list[str] | Choices
    options: Options = field(default_factory=dict)
    required: bool = True

    def type_now(self, script: Script, folders: Folders) -> str | list[str]:
        """The type as /object_info shows it now."""
        return self.kind(script, folders) if callable(self.kind) else self.kind


Run = Callable[..., Awaitable[Result]]
Check = Callable[[Script, Folders, Mapping[str, Any]], str | None]
Changed = Callable[[Script, Folders, Mapping[str, Any]], object]


@dataclass(frozen=True, slots=True)
class Node:
    """A node class. `run(context, **inputs)` makes its Result. `check` gives the reason why an input named
    `checked` is refused. `changed` is part of the cache key beside the inputs (a file's hash, or a value that
    is never the same twice). `hidden` inputs show in execution errors only."""

    name: str
    category: str
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    run: Run
    output_node: bool = False
    checked: str | None = None
    check: Check | None = None
    changed: Changed | None = None
    hidden: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()

    def info(self, script: Script, folders: Folders) -> dict[str, Any]:
        """The /object_info entry."""
        groups: dict[str, dict[str, Any]] = {"required": {}}
        for name, port in self.inputs.items():
            entry = [port.type_now(script, folders), dict(port.options)]
            groups.setdefault("required" if port.required else "optional", {})[name] = entry
        order = {group: list(names) for group, names in groups.items()}
        if self.hidden:
            groups["hidden"] = {name: name.upper() for name in self.hidden}
            order["hidden"] = list(self.hidden)
        return {
            "input": groups,
            "input_order": order,
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.output_names or self.outputs),
            "name": self.name,
            "display_name": self.name,
            "description": "",
            "python_module": "nodes",
            "category": self.category,
            "output_node": self.output_node,
        }


def integer(default: int, low: int, high: int, step: int = 1, **more: Any) -> Input:
    """A required INT."""
    return Input("INT", {"default": default, "min": low, "max": high, "step": step, **more})


def number(default: float, low: float, high: float, step: float = 0.01, **more: Any) -> Input:
    """A required FLOAT."""
    return Input("FLOAT", {"default": default, "min": low, "max": high, "step": step, **more})


def seed() -> Input:
    """A required 64-bit seed."""
    return Input("INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True})


def tensor_text(value: Any) -> str:
    """How an execution error shows a value: tensors as their text, the rest as `str` makes it."""
    if isinstance(value, tuple) and value and hasattr(value[0], "bands"):
        pixel = [f"{band / 255:.4f}" for band in value[0](0, 0)]
        return f"tensor([[[[{', '.join(pixel)}],\n          ...]]])"
    return str(value)


def shown(value: Any) -> Any:
    """How an execution error lists an input: plain values as they are, the rest as text."""
    return value if value is None or isinstance(value, (str, int, float)) else tensor_text(value)
