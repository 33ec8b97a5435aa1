"""Presets: transforms with a name. Those that come along, and those of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from ferrotype.config import ConfigError
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform import Transform
from ferrotype.domain.transform_query import NAME, Vocabulary, parse

#: What every `social-*` has in common: exactly that size, since a network crops or refuses others, with
#: what draws the eye in it; and JPEG, since crawlers seldom say what they take.
SOCIAL: Final = "fit=cover&gravity=attention&enlarge=1&format=jpeg"

#: They are there without any configuration. Sizes as the networks ask for them.
BUILT_IN: Final[Mapping[str, str]] = {
    # For a list or a grid, as wide as 160 and 320 CSS pixels on a screen with two dots to a pixel.
    "thumb": "w=320&h=320&fit=cover&format=auto",
    "card": "w=640&format=auto",
    "full": "format=auto",
    # Open Graph: developers.facebook.com/docs/sharing/webmasters/images ("at least 1200 x 630")
    "social-og": f"w=1200&h=630&{SOCIAL}",
    # Summary card with large image, 2:1: developer.x.com/en/docs/x-for-websites/cards/overview
    "social-x": f"w=1200&h=600&{SOCIAL}",
    # Shared links, 1.91:1: linkedin.com/help/linkedin/answer/a521928
    "social-linkedin": f"w=1200&h=627&{SOCIAL}",
    # Kept as they are at 1080 pixels and 1.91:1 to 3:4: help.instagram.com/1631821640426723
    "social-instagram": f"w=1080&h=1080&{SOCIAL}",
    "social-instagram-portrait": f"w=1080&h=1350&{SOCIAL}",
    # The whole screen of a phone, 9:16: Instagram, Facebook, TikTok
    "social-story": f"w=1080&h=1920&{SOCIAL}",
    # 2:3: business.pinterest.com/en/Pinterest-product-specs
    "social-pinterest": f"w=1000&h=1500&{SOCIAL}",
    # Thumbnails of videos: support.google.com/youtube/answer/72431
    "social-youtube": f"w=1280&h=720&{SOCIAL}",
}


def load_presets(table: Any, known: Vocabulary) -> dict[str, Transform]:
    """Every preset by its name: those of `[presets]`, and those built in that it neither replaces nor takes
    away with an empty text. `known` brings the bounds and the watermarks; its sides do not count, since an
    operator's own sizes are meant.

    A built-in one that the bounds do not allow is not there. Raises ConfigError naming the preset at fault.
    """
    where = "[presets]"
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} in the configuration file: it is no table.")
    known = Vocabulary(max_side=known.max_side, max_pixels=known.max_pixels, watermarks=known.watermarks)
    found = {}
    for name, text in BUILT_IN.items():
        if name not in table and (transform := _fitting(text, known)) is not None:
            found[name] = transform
    for name, text in table.items():
        key = f"{where} {name} in the configuration file"
        if not NAME.fullmatch(name):
            raise ConfigError(f"{key}: a name is made of lower-case letters, digits, - and _.")
        if not isinstance(text, str):
            raise ConfigError(f'{key}: a text is wanted, such as "w=320&h=320&format=auto".')
        if not text:
            if name not in BUILT_IN:
                raise ConfigError(f"{key}: it is empty, which takes away one of {', '.join(BUILT_IN)}.")
            continue
        try:
            found[name] = _read(text, known)
        except InvalidField as problem:
            raise ConfigError(f"{key}: {problem.detail}{_there_is(problem, known)}") from None
    return found


def _read(text: str, known: Vocabulary) -> Transform:
    query = parse_qsl(text, keep_blank_values=True)
    if "preset" in dict(query):
        raise InvalidField("A preset cannot hold another.", field="preset")
    return parse(query, known)


def _fitting(text: str, known: Vocabulary) -> Transform | None:
    try:
        return _read(text, known)
    except InvalidField:
        return None


def _there_is(problem: InvalidField, known: Vocabulary) -> str:
    """The operator's own names, which the text of a problem leaves out."""
    if problem.field != "watermark":
        return ""
    return f" There is {', '.join(sorted(known.watermarks)) or 'none'}."
