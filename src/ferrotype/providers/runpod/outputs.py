"""The pictures in a job's output.

| who | output |
| --- | --- |
| worker-comfyui from 5.0 | `{images: [{filename, type: "base64" or "s3_url", data}], errors?}` |
| worker-comfyui before | `{status: "success" or "error", message: base64, an address, or what went wrong}` |
| RunPod's public endpoints | `{image_url, cost}` |
| any other handler | whatever `providers/hosted/outputs.py` reads |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ferrotype.domain.asset import Origin
from ferrotype.domain.problems import ProviderFailed
from ferrotype.providers.base import AttemptRequest, Finished, Output
from ferrotype.providers.hosted.outputs import decoded, read_outputs
from ferrotype.providers.runpod.endings import complaint, verdict
from ferrotype.providers.runpod.options import Options, dig

ADDRESSES: Final = ("http://", "https://")


def results(
    job: Mapping[str, Any],
    request: AttemptRequest,
    options: Options,
    name: str,
    secrets: tuple[str, ...] = (),
) -> Iterator[Output | Finished]:
    """The last events of a job that is COMPLETED. More pictures than were asked for are left out.

    Raises ProviderFailed, ProviderRejected or ProviderRefused when there is no picture at all.
    """
    pictures = _pictures(job.get("output"), options, name)[: request.num_images]
    if not pictures:
        words = complaint(job, secrets)
        raise (
            verdict(name, words) if words else ProviderFailed(f"The job at {name} ended and made no picture.")
        )
    yield from pictures
    missing = None
    if len(pictures) < request.num_images:
        words = complaint(job, secrets)
        detail = f"{name} made {len(pictures)} of {request.num_images} pictures"
        missing = ProviderFailed(f"{detail}: {words}" if words else f"{detail}.")
    yield Finished(missing, seconds(job), usd(job, options))


def seconds(job: Mapping[str, Any]) -> float | None:
    """How long the handler worked; RunPod tells milliseconds."""
    spent = job.get("executionTime")
    return spent / 1_000 if isinstance(spent, int | float) and not isinstance(spent, bool) else None


def usd(job: Mapping[str, Any], options: Options) -> float | None:
    """The price that the output tells, where the deployment says where it stands."""
    told = dig(job.get("output"), options.usd) if options.usd is not None else None
    return float(told) if isinstance(told, int | float) and not isinstance(told, bool) else None


def _pictures(output: Any, options: Options, name: str) -> list[Output]:
    if options.output is not None:
        return read_outputs(dig(output, options.output), name)
    if isinstance(output, Mapping):
        images = output.get("images")
        if isinstance(images, list) and any(_is_saved(image) for image in images):
            saved = [image["data"] for image in images if _is_saved(image)]
            return [_saved(index, data, name) for index, data in enumerate(saved)]
        for key in ("message", "image_url", "image_urls"):
            if found := read_outputs(output.get(key), name):
                return found
    return read_outputs(output, name)


def _is_saved(image: Any) -> bool:
    """Whether it is one of worker-comfyui's. Without a bucket, its upload "works" onto its own disk."""
    match image:
        case {"type": "base64", "data": str(data)}:
            return bool(data)
        case {"type": "s3_url", "data": str(data)}:
            return data.startswith(ADDRESSES)
        case _:
            return False


def _saved(index: int, data: str, name: str) -> Output:
    if data.startswith(ADDRESSES):
        return Output(index, origin=Origin(provider=name, url=data))
    # Some forks of the worker leave the data URI's head on.
    return Output(index, data=decoded(data.partition(",")[2] if data.startswith("data:") else data))
