"""The 26 styles of the network `multistyle26`, by number.

The network came without names: these are ours, and tell what a picture looks like afterwards.
"""

from typing import Final

STYLES: Final = (
    "crayon",  # 0
    "yellow-ink",
    "porcelain",
    "shards",
    "poster",
    "fauve",  # 5
    "indigo-lace",
    "bold",
    "candy",
    "linocut",
    "rust",  # 10
    "engraving",
    "lavender",
    "moss",
    "mist",
    "stained-glass",  # 15
    "dusk",
    "blocks",
    "olive",
    "starry",
    "crimson",  # 20
    "collage",
    "graphic",
    "noir",
    "wave",
    "swirl",  # 25
)
