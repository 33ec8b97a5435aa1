"""The body of a job: `{input, policy, webhook?}`.

Sources: docs.runpod.io `serverless/endpoints/send-requests` (policy, limits) and the README and handler of
worker-comfyui 3.6 to 5.8 (its input).
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from ferrotype.domain.problems import ProviderRejected
from ferrotype.providers.base import AttemptRequest, InputImage
from ferrotype.providers.hosted.outputs import as_data_uri
from ferrotype.providers.hosted.payload import fill
from ferrotype.providers.runpod.options import Options
from ferrotype.providers.workflows import Library, TemplateFault, order
from ferrotype.providers.workflows.graph import only_by_websocket
from ferrotype.providers.workflows.templates import with_prefix

#: Most bytes of a body, of `run` and of `runsync`.
RUN_BYTES: Final = 10 * 1024 * 1024
RUNSYNC_BYTES: Final = 20 * 1024 * 1024
#: Bounds of `policy.executionTimeout` and `policy.ttl`, in milliseconds.
EXECUTION_MS: Final = (5_000, 604_800_000)
TTL_MS: Final = (10_000, 604_800_000)
#: A job is deleted with its result when its `ttl` is over, so it lives a little longer than it may run.
TTL_MARGIN_MS: Final = 60_000


async def body(request: AttemptRequest, options: Options, library: Library) -> bytes:
    """The job as JSON.

    Raises ProviderMisconfigured for a template of no use, ProviderRejected (TemplateFault is one) for what
    the workflow cannot do, or when RunPod would not take so large a body.
    """
    job: dict[str, Any] = {
        "input": await _input(request, options, library),
        "policy": policy(request.timeout) | dict(options.policy),
    }
    if request.webhook_url is not None:
        job["webhook"] = request.webhook_url
    data = json.dumps(job, separators=(",", ":")).encode()
    limit = RUN_BYTES if options.wait is None else RUNSYNC_BYTES
    if len(data) > limit:
        raise ProviderRejected(
            f"The job is too large for RunPod: with its input pictures it has {len(data)} bytes, and {limit} "
            f"are taken{_way_out(len(data), options)}.",
            field="images",
            limit=limit,
        )
    return data


def policy(timeout: float) -> dict[str, int]:
    """When RunPod gives a job up by itself, so that nothing that nobody waits for is paid."""
    milliseconds = int(timeout * 1_000)
    return {
        "executionTimeout": _within(milliseconds, EXECUTION_MS),
        "ttl": _within(milliseconds + TTL_MARGIN_MS, TTL_MS),
    }


async def _input(request: AttemptRequest, options: Options, library: Library) -> dict[str, Any]:
    if options.workflow is not None:
        return await _workflow(request, options.workflow, library)
    send = as_data_uri if options.pictures == "data_uri" else as_base64
    return await fill(options.input or {}, request, send)


async def _workflow(request: AttemptRequest, name: str, library: Library) -> dict[str, Any]:
    """worker-comfyui's input. It puts `images` into ComfyUI's input folder under their names."""
    template = library.load(name)
    order.check_wishes(template, request)
    graph = with_prefix(template.fill(order.values(request)), order.filename_prefix(request))
    if only_by_websocket(graph):
        raise TemplateFault(
            f"Workflow {name!r} sends its pictures by websocket, and RunPod's worker hands over"
            " saved ones only."
        )
    # By name, because a picture that is also the mask must not be there twice.
    images = {order.upload_name(image): image for _, image in order.uploads(request)}
    named = [{"name": name, "image": await as_base64(image)} for name, image in images.items()]
    return {"workflow": graph, **({"images": named} if named else {})}


async def as_base64(image: InputImage) -> str:
    """An input picture as base64 alone: workers before 5.0 know no data URIs."""
    return base64.b64encode(await image.read()).decode()


def _within(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])


def _way_out(size: int, options: Options) -> str:
    if options.wait is None and size <= RUNSYNC_BYTES:
        return f" ({RUNSYNC_BYTES} where the deployment has the option `wait`)"
    return ""
