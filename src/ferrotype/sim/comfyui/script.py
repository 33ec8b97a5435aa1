"""What the simulated server is told to do: latency, faults, gates. Every field can be sent as JSON."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


@dataclass
class Failure:
    """The next `times` requests on `route` (`"POST /prompt"`, `"*"` for any) are answered with `status` and
    `body` instead. `status=0` aborts the connection. `after=True` does the work first and then loses the
    reply. `times=-1`: for ever."""

    route: str
    status: int = 503
    times: int = 1
    body: str = ""
    after: bool = False


@dataclass
class NodeError:
    """The next `times` executions of `node` (a node id or a class type) raise `kind` with `message`."""

    node: str
    message: str = "simulated failure"
    kind: str = "RuntimeError"
    times: int = 1


@dataclass
class Older:
    """`count` pictures in the output folder before the first prompt, named like SaveImage names them."""

    count: int
    prefix: str = "ComfyUI"


@dataclass
class Script:
    """Settings of one simulator; they may be changed while it runs. Times are in seconds, sizes in bytes.

    Counters (`refuse`, `times`, `*_times`) count down as they are used; -1 means for ever.
    """

    # Pace. The real server sends no previews unless it was started with --preview-method.
    step_seconds: float = 0.0
    prompt_seconds: float = 0.0
    steps: int | None = None
    preview: Literal["none", "JPEG", "PNG"] = "none"
    workers: int = 1  # read at start; the real server has one
    # Gates: "start" parks a prompt before its first node, k after k steps; `ComfySim.release` lets it go on.
    hold: Literal["start"] | int | None = None
    # The real order of output nodes is that of a Python set; these ids go first, in this order.
    output_order: list[str] = field(default_factory=list)

    # HTTP
    http_seconds: dict[str, float] = field(default_factory=dict)
    refuse: int = 0
    failures: list[Failure] = field(default_factory=list)
    view_only: bool = False
    auth: str | None = None  # "bearer:TOKEN" or "basic:user:password"
    base_path: str = ""  # read at start
    max_upload_size: int = 104857600  # read at start

    # Ids: an older server ignores the client's prompt_id and answers one of its own; current ones (later than
    # the recorded 0.3.64) refuse an id that is no canonical lowercase UUID.
    own_prompt_ids: bool = False
    strict_prompt_ids: bool = False

    # Runs
    node_errors: list[NodeError] = field(default_factory=list)
    hang_at_step: int | None = None
    hang_times: int = -1
    drop_ws_at_step: int | None = None
    drop_ws_times: int = 1
    # So many GET /history/{id} find nothing after the prompt has ended (or a quarter of a second passes), and
    # only then come the entry and `executing` null.
    history_late: int = 0
    # So many GET /history/{id} of each finished prompt find nothing, even after `executing` null.
    history_empty_polls: int = 0

    # /view
    truncate_view: int | None = None
    truncate_times: int = -1
    wrong_view: str | None = None
    drip_bytes: int | None = None
    drip_seconds: float = 0.0

    # What is installed
    older: Older | None = None
    checkpoints: list[str] = field(
        default_factory=lambda: [
            "flux1-schnell-fp8.safetensors",
            "sd_xl_base_1.0.safetensors",
            "v1-5-pruned-emaonly.safetensors",
        ]
    )
    loras: list[str] = field(default_factory=lambda: ["detail.safetensors", "watercolor.safetensors"])
    vaes: list[str] = field(default_factory=lambda: ["ae.safetensors"])
    diffusion_models: list[str] = field(default_factory=lambda: ["flux1-schnell.safetensors"])
    text_encoders: list[str] = field(default_factory=lambda: ["clip_l.safetensors", "t5xxl_fp8.safetensors"])
    # An x2 or 2x in the name tells the factor; without one it is 4.
    upscale_models: list[str] = field(default_factory=lambda: ["4x-UltraSharp.pth", "RealESRGAN_x4plus.pth"])

    def to_json(self) -> dict[str, Any]:
        """The whole script as plain JSON values."""
        return dataclasses.asdict(self)

    def update(self, values: Mapping[str, Any]) -> None:
        """Sets the named fields; strings are converted to the field's type (for the command line).
        Raises ValueError for a name or a value that does not fit, and then changes nothing."""
        hints = get_type_hints(type(self))
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ValueError(f"unknown script field: {', '.join(unknown)}")
        converted = {name: _convert(hints[name], value, name) for name, value in values.items()}
        for name, value in converted.items():
            setattr(self, name, value)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Script:
        """A script with the defaults and the given fields. Raises ValueError like `update`."""
        script = cls()
        script.update(values)
        return script


def take(count: int) -> tuple[bool, int]:
    """Uses one of a countdown: whether there was one left, and what is left now. -1 never runs out."""
    if count == 0:
        return False, 0
    return True, count - 1 if count > 0 else count


def _convert(kind: Any, value: Any, name: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _convert_union(get_args(kind), value, name)
    if origin is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(map(repr, get_args(kind)))}")
        return value
    if origin is list:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(f"{name}: a list is wanted")
        return [_convert(get_args(kind)[0], item, name) for item in items]
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"{name}: an object is wanted")
        return {str(key): _convert(get_args(kind)[1], item, name) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return _convert_record(kind, value, name)
    return _convert_plain(kind, value, name)


def _convert_union(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    reasons = []
    for kind in kinds:
        if kind is type(None):
            continue
        try:
            return _convert(kind, value, name)
        except ValueError as error:
            reasons.append(str(error))
    raise ValueError("; ".join(reasons))


def _convert_record(kind: Any, value: Any, name: str) -> Any:
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and value.isdigit():  # `--older 33`
        value = {dataclasses.fields(kind)[0].name: int(value)}
    if not isinstance(value, dict):
        raise ValueError(f"{name}: an object is wanted")
    hints = get_type_hints(kind)
    if unknown := sorted(set(value) - set(hints)):
        raise ValueError(f"{name}: unknown field {', '.join(unknown)}")
    try:
        return kind(**{key: _convert(hints[key], item, f"{name}.{key}") for key, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{name}: {error}") from None


def _convert_plain(kind: Any, value: Any, name: str) -> Any:
    if kind is bool:
        if isinstance(value, str) and value.lower() in ("true", "false", "1", "0", "yes", "no"):
            return value.lower() in ("true", "1", "yes")
        if not isinstance(value, bool):
            raise ValueError(f"{name}: true or false is wanted, not {value!r}")
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"{name}: {kind.__name__} is wanted, not {value!r}")
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"{name}: {kind.__name__} is wanted, not {value!r}") from None
