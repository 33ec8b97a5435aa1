"""What lies under the sky, one painter per setting. Each draws itself and says where subjects may stand."""

from __future__ import annotations

from collections.abc import Callable

from . import air, cosmos, heights, indoors, land, town, waters
from .stage import Ground, Stage

__all__ = ["HORIZONS", "OWN_SKY", "Ground", "Stage", "paint"]

HORIZONS: dict[str, tuple[float, float]] = {
    "meadow": (0.5, 0.62), "forest": (0.56, 0.64), "jungle": (0.58, 0.66), "savanna": (0.58, 0.68),
    "mountains": (0.6, 0.68), "snow": (0.54, 0.64), "sea": (0.46, 0.56), "lake": (0.46, 0.52), "pond": (0.44,
    0.5),
    "underwater": (0.0, 0.0), "beach": (0.42, 0.5), "desert": (0.52, 0.62), "city": (0.62, 0.68), "road":
    (0.5, 0.58),
    "space": (1.0, 1.0), "moon": (0.62, 0.68), "room": (0.64, 0.7), "table": (0.6, 0.66), "studio": (0.6,
    0.66),
    "sky": (0.86, 0.9), "abstract": (0.7, 0.8),
}  # fmt: skip


def paint(ground: Ground) -> Stage:
    """Draws the scene's setting and returns its stage."""
    return _PAINTERS.get(ground.scene.setting, land.meadow)(ground)


_PAINTERS: dict[str, Callable[[Ground], Stage]] = {
    "meadow": land.meadow, "forest": land.forest, "jungle": land.jungle, "savanna": land.savanna,
    "mountains": heights.mountains,
    "snow": heights.snow, "desert": heights.desert, "sea": waters.sea, "lake": waters.lake, "pond":
    waters.lake, "beach": waters.beach,
    "underwater": waters.underwater, "city": town.city, "road": land.road, "space": cosmos.space, "moon":
    cosmos.moon, "room": indoors.room,
    "table": indoors.table, "studio": indoors.studio, "sky": air.sky, "abstract": air.abstract,
}  # fmt: skip
#: Settings that cover the whole canvas themselves: no sky is painted behind them.
OWN_SKY = frozenset({"underwater", "space", "moon", "room", "table", "studio", "abstract"})
