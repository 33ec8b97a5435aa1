"""Whether the models of the extra `[local]` run on this machine, for `ferrotype doctor`: each makes a tiny
picture."""

from __future__ import annotations

from typing import Any, Final

import pyvips

from ferrotype.domain.problems import Problem
from ferrotype.providers.local.settings import LocalSettings
from ferrotype.providers.local.styles import STYLES
from ferrotype.providers.local.weights import RESTYLE, UPSCALERS
from ferrotype.providers.local.workers import Workers

#: Width and height in pixels, and the seconds that each picture may take.
SIDE: Final = 16
PATIENCE: Final = 60.0

ORDERS: Final[dict[str, dict[str, Any]]] = {
    **{target: {"scale": 2} for target in UPSCALERS},
    RESTYLE: {"style": STYLES[0]},
}


async def trial(settings: LocalSettings) -> dict[str, str | None]:
    """For each target what went wrong with it in a worker process, None where nothing did."""
    picture = bytes((pyvips.Image.black(SIDE, SIDE, bands=3) + 90).cast("uchar").pngsave_buffer())
    workers = Workers(settings)
    found: dict[str, str | None] = {}
    try:
        for target, params in ORDERS.items():
            order = {"target": target, "params": params, "width": SIDE, "height": SIDE, "format": "png"}
            try:
                await workers.run(order, [picture], PATIENCE, lambda: None, lambda _: None)
                found[target] = None
            except Problem as problem:
                found[target] = problem.detail
    finally:
        await workers.close()
    return found
