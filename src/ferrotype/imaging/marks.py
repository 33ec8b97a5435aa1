"""The `[watermarks.NAME]` tables of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import field_validator

from ferrotype.config import ConfigError, Settings, load, setting
from ferrotype.domain.problems import InvalidField
from ferrotype.domain.transform_query import COMPASS, NAME, READERS, SPELLINGS, Vocabulary
from ferrotype.imaging.font_file import read_font
from ferrotype.imaging.watermark import Watermark

#: What only a text has.
WORDS: Final = ("font", "font_file", "color")


class MarkSettings(Settings):
    """One table: what is laid over a picture, and where."""

    area: ClassVar[str] = "watermarks"

    picture: Path | None = setting(
        None, "File of a picture of any type that can be uploaded, or of an SVG; or write `text`."
    )
    text: str | None = setting(None, "Words; or name a `picture`.", pattern=r"\S", max_length=500)
    font: str | None = setting(
        None,
        "Font of the text, family and style: `Inter Bold`. That of `font_file`, else `sans`, when not set.",
        pattern=r"\S",
    )
    font_file: Path | None = setting(
        None, "TrueType or OpenType file with that font, which need not be installed then."
    )
    color: str | None = setting(None, "Colour of the text: `rrggbb` or a basic CSS name. White when not set.")
    opacity: float = setting(0.5, "How much of it covers what is below: above 0, up to 1.", gt=0, le=1)
    share: float = setting(
        0.25, "Share of the picture's width and height that it fits into: above 0, up to 1.", gt=0, le=1
    )
    gravity: str = setting("southeast", f"Where it stands: {', '.join(f'`{each}`' for each in COMPASS)}.")
    margin: float = setting(
        0.02,
        "Share of the picture's shorter side that it stays away from the edges, below 0.5.",
        ge=0,
        lt=0.5,
    )

    @field_validator("color")
    @classmethod
    def _opaque(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            found = str(READERS["bg"]("color", value, Vocabulary()))
        except InvalidField:
            found = ""
        if len(found) != 6:
            raise ValueError("rrggbb or a basic CSS colour is wanted")
        return found

    @field_validator("gravity")
    @classmethod
    def _point(cls, value: str) -> str:
        value = SPELLINGS.get(value, value)
        if value not in COMPASS:
            raise ValueError(f"one of {', '.join(COMPASS)} is wanted")
        return value


def load_marks(tables: Any, folder: Path) -> dict[str, Watermark]:
    """Every watermark by its name, each drawn once; its files are relative to `folder`.

    Raises ConfigError naming the table and the key at fault.
    """
    if not isinstance(tables, Mapping):
        raise ConfigError("[watermarks] in the configuration file: write [watermarks.NAME].")
    return {name: _mark(name, table, folder) for name, table in tables.items()}


def _mark(name: str, table: Any, folder: Path) -> Watermark:
    where = f"[watermarks.{name}]"
    end = " in the configuration file"
    if not NAME.fullmatch(name):
        raise ConfigError(f"{where}{end}: a name is made of lower-case letters, digits, - and _.")
    try:
        values = load(MarkSettings, {}, {MarkSettings.area: table})
    except ConfigError as error:
        raise ConfigError(str(error).replace(f"[{MarkSettings.area}]", where, 1)) from None
    if (values.picture is None) == (values.text is None):
        raise ConfigError(f"{where} picture{end}: a watermark has either a picture or a text.")
    for key in WORDS if values.picture is not None else ():
        if getattr(values, key) is not None:
            raise ConfigError(f"{where} {key}{end}: it is for a text, and this watermark is a picture.")
    given = values.model_dump(exclude_none=True)
    key = "picture" if values.text is None else "text"
    try:
        if values.picture is not None:
            given["picture"] = _file(values.picture, folder).read_bytes()
        if values.font_file is not None:
            key, given["font_file"] = "font_file", _file(values.font_file, folder)
            font = read_font(given["font_file"].read_bytes())
            key = "font"
            given["font"] = font.called(values.font)
            key = "text"
        mark = Watermark(**given)
        mark.prove()
    except OSError as error:
        raise ConfigError(f"{where} {key}{end}: {error.filename}: {error.strerror}.") from None
    except (ValueError, RuntimeError) as error:  # RuntimeError: ~name of a user that is not there
        raise ConfigError(f"{where} {key}{end}: {' '.join(str(error).split()).rstrip('.')}.") from None
    return mark


def _file(path: Path, folder: Path) -> Path:
    return (folder / path.expanduser()).absolute()
