"""What the simulated server is told to do: latency, faults, gates. Every field can be sent as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ferrotype.sim.options import Failure, Options


@dataclass
class NodeError:
    """The next `times` executions of `node` (a node id or a class type) raise `kind` with `message`; the kind
    `InterruptProcessingException` interrupts the prompt, as if somebody had asked for it."""

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
class Script(Options):
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
