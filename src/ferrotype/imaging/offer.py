"""What may be asked of pictures: the operator's bounds, presets and watermarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ferrotype.domain.transform_query import Vocabulary
from ferrotype.imaging.marks import load_marks
from ferrotype.imaging.presets import load_presets
from ferrotype.imaging.watermark import Watermark

#: Hex digits of a fingerprint in the name of a watermark.
DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Offer:
    """What may be asked of pictures here.

    `marks` has the watermarks by the name that stands in `Transform.watermark`, which tells what they look
    like: `logo.3fa9c12b4d5e`. `vocabulary.watermarks` leads there from the names that users write.
    """

    vocabulary: Vocabulary
    marks: Mapping[str, Watermark]


def load_offer(toml: Mapping[str, Any], bounds: Vocabulary, folder: Path = Path()) -> Offer:
    """The offer within `bounds`, with what stands in the tables `[presets]` and `[watermarks.NAME]`. Files
    are relative to `folder`, that of the configuration file; each is read, and each watermark drawn once.

    Raises ConfigError naming the table and the key at fault.
    """
    marks = load_marks(toml.get("watermarks", {}), folder)
    names = {name: f"{name}.{mark.fingerprint[:DIGITS]}" for name, mark in marks.items()}
    vocabulary = replace(bounds, watermarks=names)
    presets = load_presets(toml.get("presets", {}), vocabulary)
    return Offer(replace(vocabulary, presets=presets), {names[name]: mark for name, mark in marks.items()})
