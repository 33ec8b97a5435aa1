"""Pictures out of a model's result.

The usual form is ``{"images": [{"url", "width", "height", "content_type"}], "seed", "has_nsfw_concepts":
[bool], "timings": {"inference": s}}``; models that make one picture say ``{"image": {...}}``. With
`sync_mode` the addresses are data URIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from ferrotype.domain.problems import Problem, ProviderFailed, ProviderRefused
from ferrotype.providers.base import Finished, Output
from ferrotype.providers.hosted.outputs import read_outputs

UNITS: Final = "X-Fal-Billable-Units"
#: Longest side that is believed, in pixels.
MAX_SIDE: Final = 100_000
#: Larger seeds, which some models draw by themselves, fit into no column of a database.
MAX_SEED: Final = 2**63 - 1


def pictures_of(result: Any, provider: str) -> tuple[list[Output], Problem | None]:
    """The pictures, and what is missing although there are some: the safety checker puts black pictures in
    place of those that it does not let out.

    Raises ProviderRefused when all were replaced, ProviderFailed when there is none at all.
    """
    outputs: list[Output] = []
    for item in _items(result):
        outputs += [_stated(output, item) for output in read_outputs(item, provider, first=len(outputs))]
    if not outputs:
        raise ProviderFailed(f"{provider} ended without a picture.")
    replaced = _replaced(result, len(outputs))
    kept = [output for output in outputs if output.index not in replaced]
    seed = result.get("seed") if isinstance(result, Mapping) else None
    if isinstance(seed, int) and not isinstance(seed, bool) and abs(seed) <= MAX_SEED:
        # It is the call's: what further pictures of it were made with, fal does not tell.
        kept = [replace(output, seed=seed) if output.index == 0 else output for output in kept]
    if not replaced:
        return kept, None
    problem = ProviderRefused(
        f"{provider}'s safety checker kept back {len(outputs) - len(kept)} of {len(outputs)} pictures."
    )
    if not kept:
        raise problem
    return kept, problem


def units_of(headers: Mapping[str, str]) -> float | None:
    """What fal bills the call for, in units of the model's price; None where it does not tell."""
    try:
        units = float(headers.get(UNITS, ""))
    except ValueError:
        return None
    return units if 0 <= units < 1e9 else None


def finished(
    status: Mapping[str, Any], result: Any, problem: Problem | None, usd: float | None = None
) -> Finished:
    """The end, with the seconds that the work took where fal tells."""
    metrics, timings = status.get("metrics"), result.get("timings") if isinstance(result, Mapping) else None
    told = _seconds(metrics, "inference_time"), _seconds(timings, "inference")
    seconds = next((each for each in told if each is not None), None)
    return Finished(problem=problem, seconds=seconds, usd=usd)


def _items(result: Any) -> list[Any]:
    """The parts that hold one picture each."""
    if isinstance(result, Mapping):
        for key in ("images", "image", "output", "outputs"):
            held = result.get(key)
            if held:
                return held if isinstance(held, list) else [held]
    return result if isinstance(result, list) else [result]


def _stated(output: Output, item: Any) -> Output:
    """With what the service states about the picture."""
    if not isinstance(item, Mapping):
        return output
    width, height, content_type = item.get("width"), item.get("height"), item.get("content_type")
    if _is_side(width) and _is_side(height):
        output = replace(output, width=width, height=height)
    if isinstance(content_type, str) and content_type.startswith("image/"):
        output = replace(output, content_type=content_type)
    return output


def _replaced(result: Any, count: int) -> set[int]:
    flags = result.get("has_nsfw_concepts") if isinstance(result, Mapping) else None
    if isinstance(flags, bool):
        return set(range(count)) if flags else set()
    return {i for i, flag in enumerate(flags) if flag is True} if isinstance(flags, list) else set()


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIDE


def _seconds(times: Any, key: str) -> float | None:
    value = times.get(key) if isinstance(times, Mapping) else None
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
    return float(value) if fits and value is not None else None
